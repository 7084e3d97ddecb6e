"""One user's function, ready to be called for a request: injection, and a thread where it is sync.

For prompts, resources and completions. Tools have their own way, which is on the hot path and
knows limits and timeouts.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import trio

from trimcp.server.context import Context
from trimcp.server.dependencies import Dependencies, swallowed
from trimcp.server.signature import ToolSignature
from trimcp.session.request import InboundRequest

MakeContext = Callable[[InboundRequest], Context]


class PreparedFunction:
    """A function and what it wants beside its arguments."""

    def __init__(self, signature: ToolSignature, dependencies: Dependencies, threads: trio.CapacityLimiter) -> None:
        self.name = f"{signature.name}()"
        self._function = signature.function
        self._is_async = signature.is_async
        self._injection = dependencies.injection(dict(signature.injected))
        self._threads = threads

    async def call(self, request: InboundRequest, kwargs: dict[str, Any], context: MakeContext) -> Any:
        """Call it; whatever it raises is raised."""
        if self._injection is None:
            return await self._run(kwargs)
        async with AsyncExitStack() as stack:
            await self._injection.fill(kwargs, context(request), stack)
            return await self._run(kwargs)
        raise await swallowed(self.name)

    async def _run(self, kwargs: dict[str, Any]) -> Any:
        if self._is_async:
            return await self._function(**kwargs)
        # Abandoned when the request is cancelled, as a tool's thread is; it keeps its place until it ends.
        return await trio.to_thread.run_sync(
            functools.partial(self._function, **kwargs), limiter=self._threads, abandon_on_cancel=True
        )
