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


class Proceeding:
    """What goes on below a middleware, for one request: what it gets as `proceed`."""

    __slots__ = ("handle", "request")

    def __init__(self, handle: Handle, request: InboundRequest) -> None:
        self.handle = handle
        self.request = request

    async def __call__(self, params: Any) -> Any:
        """Go on, with these params; return the result object."""
        return await self.handle(self.request, params)


def wrap(handle: Handle, middleware: Sequence[Middleware], context: Callable[[InboundRequest], Context]) -> Handle:
    """The handler with all the middleware around it; itself, if there is none."""
    for layer in reversed(middleware):
        handle = _around(layer, handle, context)
    return handle


def _around(layer: Middleware, inner: Handle, context: Callable[[InboundRequest], Context]) -> Handle:
    async def through(request: InboundRequest, params: Any) -> Any:
        return await layer(context(request), params, Proceeding(inner, request))

    return through
