"""Wraps the handlers of requests in middleware: async functions of the program.

    @server.middleware
    async def timed(ctx: trimcp.Context, params: Any, proceed: trimcp.Proceed) -> Any:
        started = trio.current_time()
        try:
            return await proceed(params)
        finally:
            print(ctx.method, trio.current_time() - started)

The first declared runs outermost. An exception of a middleware is answered as one of the handler. Without middleware,
nothing of this is on the path of a request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from trimcp.server.context.context import Context
from trimcp.session.request import InboundRequest

MakeContext = Callable[[InboundRequest], Context]
"""Makes the context of a request."""

Proceed = Callable[[Any], Awaitable[Any]]
"""Continues with the params; returns the result object."""

Middleware = Callable[[Context, Any, Proceed], Awaitable[Any]]
"""A middleware: gets the context, the params object, and the function that continues."""

Handle = Callable[[InboundRequest, Any], Awaitable[Any]]
"""Handles a request; gets its params object, and returns the result object."""


class Continuation:
    """Continues below a middleware for one request. The middleware gets it as `proceed`."""

    __slots__ = ("handle", "request")

    def __init__(self, handle: Handle, request: InboundRequest) -> None:
        self.handle: Handle = handle
        self.request: InboundRequest = request

    async def __call__(self, params: Any) -> Any:
        """Continue with these params; return the result object."""
        return await self.handle(self.request, params)


def wrap(handle: Handle, middleware: Sequence[Middleware], context: Callable[[InboundRequest], Context]) -> Handle:
    """Return the handler with all the middleware around it; the handler itself, if there is none."""
    for layer in reversed(middleware):
        handle = _around(layer, handle, context)
    return handle


def _around(layer: Middleware, inner: Handle, context: Callable[[InboundRequest], Context]) -> Handle:
    async def through(request: InboundRequest, params: Any) -> Any:
        return await layer(context(request), params, Continuation(inner, request))

    return through
