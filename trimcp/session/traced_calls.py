"""The calls of a session that telemetry follows: each carries its trace context in `_meta`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import trio

from trimcp.errors import ConnectionEnded, RequestFailed, RequestTimedOut
from trimcp.limits import Limits
from trimcp.observability.telemetry import CANCELLED, TIMEOUT, TOOL_ERROR, ObservedPeer, Operation, Telemetry
from trimcp.observability.tracing import trace_context
from trimcp.session.call import Call, CallWatcher, OpenCall
from trimcp.session.pending_calls import Calls, CallSender
from trimcp.types.jsonrpc import RequestId
from trimcp.types.revisions import Revision


class TracedSession(CallSender, ObservedPeer, Protocol):
    """The session, as its traced calls see it."""

    revision: Revision | None


class TracedCalls(Calls):
    """Makes the calls of one session, and tells its telemetry of them."""

    def __init__(self, session: TracedSession, limits: Limits, telemetry: Telemetry) -> None:
        super().__init__(session, limits)
        self._peer = session
        self._telemetry = telemetry
        self._open: dict[RequestId, Operation] = {}
        """The operations of the requests that no task waits for."""

    async def call(self, method: str, params: dict[str, Any] | None, **options: Any) -> dict[str, Any]:
        """See `Calls`."""
        operation = self._asked(method, params)
        params = _with_trace(params, operation.carrier)
        try:
            with operation.active():
                result = await super().call(method, params, **options)
        except BaseException as exc:
            operation.end(*_error_of(exc))
            raise
        operation.end(TOOL_ERROR if method == "tools/call" and result.get("isError") is True else None)
        return result

    async def _wait(self, call: Call, *args: Any, **options: Any) -> dict[str, Any]:
        self._telemetry.sent(call.id)
        return await super()._wait(call, *args, **options)

    def begin(self, method: str, params: dict[str, Any] | None, watcher: CallWatcher | None) -> OpenCall:
        """See `Calls`."""
        operation = self._asked(method, params)
        try:
            call = super().begin(method, _with_trace(params, operation.carrier), _Watcher(self, operation, watcher))
        except ConnectionEnded as exc:
            operation.end(*_error_of(exc))
            raise
        with operation.active():
            self._telemetry.sent(call.id)
        if not call.is_settled:
            self._open[call.id] = operation
        return call

    def abandon(self, call: OpenCall, why: str) -> None:
        """See `Calls`."""
        super().abandon(call, why)
        self.end(call.id, CANCELLED)

    def end(self, id: RequestId, error: str | None, code: int | None = None) -> None:
        """End the operation of a request that no task waits for. Idempotent."""
        operation = self._open.pop(id, None)
        if operation is not None:
            operation.end(error, code)

    def _asked(self, method: str, params: dict[str, Any] | None) -> Operation:
        revision = self._peer.revision
        return self._telemetry.asked(self._peer, method, params, None if revision is None else revision.version)


class _Watcher:
    """Stands before the watcher of an open call, and ends the operation of the call."""

    def __init__(self, calls: TracedCalls, operation: Operation, watcher: CallWatcher | None) -> None:
        self._calls = calls
        self._operation = operation
        self._watcher = watcher

    def settled(self, call: OpenCall) -> None:
        """See `CallWatcher`."""
        error, code = (None, None) if call.error is None else _error_of(call.error)
        self._operation.end(error, code)
        self._calls.end(call.id, None)
        if self._watcher is not None:
            self._watcher.settled(call)


def open_calls(session: TracedSession, limits: Limits, telemetry: Telemetry | None) -> Calls:
    """Make the calls of a session, which its telemetry follows where it has one."""
    return Calls(session, limits) if telemetry is None else TracedCalls(session, limits, telemetry)


def _error_of(exc: BaseException) -> tuple[str, int | None]:
    """Return the error type of a call that failed, and the code of its answer."""
    if isinstance(exc, RequestFailed):
        return str(exc.code), exc.code
    if isinstance(exc, trio.Cancelled):
        return CANCELLED, None
    return (TIMEOUT if isinstance(exc, RequestTimedOut) else type(exc).__name__), None


def _with_trace(params: dict[str, Any] | None, carrier: Mapping[str, str]) -> dict[str, Any] | None:
    """Add the trace context of an operation to params, unless the program gave another than that of its own span."""
    if not carrier:
        return params
    meta: dict[str, Any] = {} if params is None else params.get("_meta") or {}
    given = meta.get("traceparent")
    if given is not None and given != trace_context().get("traceparent"):
        return params
    return {**(params or {}), "_meta": {**meta, **carrier}}
