"""Middleware: async functions around the answering of any request that takes work.

    @server.middleware
    async def timed(ctx: trimcp.Context, params: Any, proceed: trimcp.Proceed) -> Any:
        started = trio.current_time()
        try:
            return await proceed(params)
        finally:
            print(ctx.method, trio.current_time() - started)

Declared first runs outermost. What it raises is answered as if the handler had raised it. Where
there is none, nothing of this is on the way of a request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from trimcp.server.context import Context
from trimcp.session.request import InboundRequest

Proceed = Callable[[Any], Awaitable[Any]]
"""What a middleware calls, with the params, to go on; it returns the result object."""

Middleware = Callable[[Context, Any, Proceed], Awaitable[Any]]
"""A middleware: it gets the context, the params object, and what goes on."""

Handle = Callable[[InboundRequest, Any], Awaitable[Any]]


def wrap(handle: Handle, middleware: Sequence[Middleware], context: Callable[[InboundRequest], Context]) -> Handle:
    """The handler with all the middleware around it; itself, if there is none."""
    if not middleware:
        return handle

    async def through(request: InboundRequest, params: Any) -> Any:
        ctx = context(request)

        async def innermost(params: Any) -> Any:
            return await handle(request, params)

        proceed: Proceed = innermost
        for layer in reversed(middleware):
            proceed = _around(layer, ctx, proceed)
        return await proceed(params)

    return through


def _around(layer: Middleware, ctx: Context, inner: Proceed) -> Proceed:
    async def proceed(params: Any) -> Any:
        return await layer(ctx, params, inner)

    return proceed
