"""The log of requests: one line for each that ends, where `log.informs`."""

from __future__ import annotations

from typing import Any, Protocol

import trio

from trimcp.framing.headers import named_param
from trimcp.observability import events, log
from trimcp.protocol.cancel_reason import CancelReason


class EndedRequest(Protocol):
    """A request, as far as its line needs it."""

    params: dict[str, Any] | None
    received_at: float
    cancel_reason: CancelReason | None
    code: int | None
    serial: int

    @property
    def method(self) -> str:
        """The name of the method."""
        ...


def log_ended(request: EndedRequest, frame: bytes | None = None) -> None:
    """Log a request that has ended. `frame`: its answer, which tells whether the result of a tool is an error."""
    if request.cancel_reason is not None:
        outcome = request.cancel_reason.value
    elif request.code is not None:
        outcome = f"error {request.code}"
    else:
        outcome = "tool error" if frame is not None and b'"isError":true' in frame else "ok"
    ms = round((trio.current_time() - request.received_at) * 1000, 1)
    name = named_param(request.method, request.params) or ""
    log.info(events.REQUEST_ENDED, method=request.method, name=name, ms=ms, outcome=outcome, request=request.serial)
