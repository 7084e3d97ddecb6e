"""A request of the peer that telemetry follows, from its acceptance to its answer."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from trimcp.codec.jsontext import loads
from trimcp.observability.telemetry import CANCELLED, TOOL_ERROR, Operation, Telemetry
from trimcp.protocol.cancel_reason import CancelReason
from trimcp.session.request import InboundRequest


class TracedRequest(InboundRequest):
    """A request in flight that tells its telemetry of itself. Its handler runs in the context of the operation."""

    __slots__ = ("_operation",)

    def __init__(self, telemetry: Telemetry, *request: Any) -> None:
        """`request`: as `InboundRequest` takes it."""
        super().__init__(*request)
        self._operation: Operation = telemetry.received(
            self.session, self.method, self.id, self.params, self.revision.version, self.delivery.headers
        )

    async def run(self) -> None:
        """See `Work`."""
        with self._operation.active():
            await super().run()

    def failed(self, error: BaseException) -> None:
        """See `Work`."""
        self._operation.failed(error)
        super().failed(error)

    def answer_at_once(self) -> None:
        """See `InboundRequest`."""
        super().answer_at_once()
        self._operation.end(None)

    def _send_answer(self, frame: bytes, code: int | None) -> None:
        super()._send_answer(frame, code)
        if code is not None:
            self._operation.end(str(code) if self.cancel_reason is None else CANCELLED, code)
        else:
            self._operation.end(TOOL_ERROR if self.method == "tools/call" and _is_tool_error(frame) else None)

    def _answer_cancel(self, reason: CancelReason) -> None:
        super()._answer_cancel(reason)
        self._operation.end(CANCELLED)


def request_maker(telemetry: Telemetry | None) -> Callable[..., InboundRequest]:
    """Return what makes the requests of a session, which its telemetry follows where it has one."""
    return InboundRequest if telemetry is None else functools.partial(TracedRequest, telemetry)


def _is_tool_error(frame: bytes) -> bool:
    if b'"isError":true' not in frame:
        return False
    answer: dict[str, Any] = loads(frame)  # the text may be in the content of a result that is no error
    return answer["result"].get("isError") is True
