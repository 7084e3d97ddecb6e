"""Refusals: errors for requests that are not served and for messages that are invalid, counted and logged."""

from __future__ import annotations

from typing import Any, Final

from trimcp.codec.envelope import InvalidMessage, encode_error
from trimcp.errors import RequestFailed
from trimcp.observability import events, log
from trimcp.observability.instruments import Instruments
from trimcp.observability.telemetry import OTHER
from trimcp.session.peer import Peer
from trimcp.session.reply_stream import ReplyStream
from trimcp.session.request import InboundRequest
from trimcp.session.request_log import log_ended
from trimcp.types.fields import ABSENT
from trimcp.types.jsonrpc import BUSY, DRAINING, INVALID_REQUEST, STORE_UNAVAILABLE, Request
from trimcp.types.methods import METHODS

RETRY_AFTER_MS: Final = 1000
"""Milliseconds that a refused peer is told to wait; a hint, not a promise."""


def retry_data(reason: str) -> dict[str, Any]:
    """Return the `data` of an error after which another try may succeed: why, and when (our own members)."""
    return {"reason": reason, "retryAfterMs": RETRY_AFTER_MS}


class RequestCounter:
    """Refuses requests for one Router, and counts those that are refused."""

    __slots__ = ("_instruments",)

    def __init__(self, instruments: Instruments) -> None:
        self._instruments = instruments

    def draining(self, request: InboundRequest) -> None:
        """Refuse a request since the server stops."""
        self._count(request.method, "draining")
        request.refuse(DRAINING, "The server is stopping and takes no new work", retry_data("draining"))
        if log.informs:
            log_ended(request)

    def busy(self, request: InboundRequest, under_way: str) -> None:
        """Refuse a request for lack of room; `under_way`: the requests that take it."""
        register = request.register
        register.refused += 1
        log.warning(events.REQUEST_REFUSED, method=request.method, id=request.id, reason="busy")
        self._count(request.method, "busy")
        request.refuse(BUSY, f"Busy: {under_way} of this session are under way", retry_data("busy"))
        if log.informs:
            log_ended(request)

    def unfit(
        self,
        peer: Peer,
        message: Request,
        reply_stream: ReplyStream,
        code: int,
        text: str,
        data: Any = ABSENT,
        *,
        unfit: bool = False,
    ) -> None:
        """Refuse a message that becomes no request; `unfit`: its metadata are wrong. See `ReplyStream.refuse`."""
        self._count(message.method, "unfit")
        telemetry = self._instruments.telemetry
        if telemetry is not None:
            method = message.method if message.method in METHODS else OTHER
            delivery = reply_stream.delivery
            headers = {} if delivery is None else delivery.headers
            operation = telemetry.received(peer, method, message.id, message.params, None, headers)
            operation.end(str(code), code)
        if log.informs:
            log.info(events.REQUEST_REFUSED, method=message.method, id=message.id, code=code)
        reply_stream.refuse(encode_error(message.id, code, text, data, null_id=False), code, unfit=unfit)

    def answered_at_once(self, request: InboundRequest) -> None:
        """Log and trace a request that the Router has answered."""
        if log.informs:
            log_ended(request)
        for trace in self._instruments.traces:
            trace.answered_at_once(request)

    def _count(self, method: str, reason: str) -> None:
        for meter in self._instruments.meters:
            meter.refused(method, reason)


def refuse_duplicate(peer: Peer, request: Request, reply_stream: ReplyStream) -> None:
    """Drop a request with the id of one in flight: an answer would settle that one at the peer."""
    log.warning(events.REQUEST_DUPLICATED, id=request.id, method=request.method)
    reply_stream.withdraw()
    if not peer.unreadable_id_is_null:
        text = f"A request with the id {request.id!r} is in flight already"
        peer.writer.post(encode_error(None, INVALID_REQUEST, text, null_id=False))


def answer_invalid(peer: Peer, exc: InvalidMessage, reply_stream: ReplyStream, *, is_in_flight: bool) -> None:
    """Answer an invalid message.

    Args:
        peer: the sender.
        exc: the problem.
        reply_stream: where an answer by its id would leave.
        is_in_flight: whether a request in flight has its id: an answer by that id would settle that request.
    """
    data = {"path": exc.path} if exc.path else ABSENT
    if exc.kind == "response":  # in a batch
        peer.calls.invalid_response(exc.id, str(exc))
    elif exc.kind == "notification":
        log.warning(events.MESSAGE_IGNORED, why=str(exc))
    elif is_in_flight:
        reply_stream.withdraw()
        refuse_message(peer, exc.code, exc.message, data)
    elif exc.id is None and reply_stream is peer.reply_stream:
        refuse_message(peer, exc.code, exc.message, data)
    else:
        reply_stream.answer(_error(peer, exc.id, exc.code, exc.message, data))


def refuse_message(peer: Peer, code: int, message: str, data: Any = ABSENT) -> None:
    """Answer a message that has no id to answer to. A client only logs it."""
    log.warning(events.MESSAGE_REFUSED, peer=peer.description, code=code, why=message)
    if peer.is_server:
        peer.writer.post(_error(peer, None, code, message, data))


def _error(peer: Peer, request_id: Any, code: int, message: str, data: Any) -> bytes:
    return encode_error(request_id, code, message, data, null_id=peer.unreadable_id_is_null)


def store_unavailable() -> RequestFailed:
    """Make the error for a request that needs the store, which has failed."""
    return RequestFailed(STORE_UNAVAILABLE, "The store of the server does not answer", retry_data("store_unavailable"))
