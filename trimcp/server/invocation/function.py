"""Calls a function of the user for a request: with its dependencies, and in a thread if it is sync."""

from __future__ import annotations

import inspect
from contextlib import AsyncExitStack
from typing import Any

import trio

from trimcp.server.context.client_view import ContextRun
from trimcp.server.context.context import Context
from trimcp.server.invocation.dependencies import Dependencies, swallowed_error
from trimcp.server.invocation.signature import FunctionSignature
from trimcp.session.request import InboundRequest


class PreparedFunction:
    """A function, and the parameters that trimcp fills."""

    def __init__(self, signature: FunctionSignature, dependencies: Dependencies, threads: trio.CapacityLimiter) -> None:
        self._name = signature.name
        self._function = signature.function
        self._is_async = signature.is_async
        self._injection = dependencies.injection(signature.injected)
        self._threads = threads

    async def call(self, request: InboundRequest, kwargs: dict[str, Any], run: ContextRun) -> Any:
        """Call the function with its arguments, and with the objects that it wants injected."""
        injection = self._injection
        if injection is None:
            return await self._call(kwargs)
        context = Context(request, run)
        for name in injection.contexts:
            kwargs[name] = context
        if not injection.provided:
            return await self._call(kwargs)
        async with AsyncExitStack() as stack:
            await injection.fill(kwargs, context, stack)
            return await self._call(kwargs)
        raise await swallowed_error(self._name)

    async def _call(self, kwargs: dict[str, Any]) -> Any:
        if self._is_async:
            return await self._function(**kwargs)
        # The thread is abandoned when the request is cancelled. It keeps its place among the threads until it ends,
        # so abandoned threads are bounded too.
        # In a list, since Trio refuses a coroutine, which a sync wrapper around an async function returns.
        (value,) = await trio.to_thread.run_sync(
            lambda: [self._function(**kwargs)], limiter=self._threads, abandon_on_cancel=True
        )
        return await value if inspect.isawaitable(value) else value
