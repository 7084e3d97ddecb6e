"""Takes the messages that a server sends in bodies and event streams, and hands them to the session."""

from __future__ import annotations

import trio

from trimcp.codec.envelope import InvalidMessage, read_message
from trimcp.codec.jsontext import InvalidJson, loads
from trimcp.codec.unreadable import unreadable
from trimcp.errors import ConnectionLost
from trimcp.framing.lines import Oversized
from trimcp.framing.sse import Event
from trimcp.http.client.request_headers import RequestHeaders
from trimcp.observability import events, log
from trimcp.session.session import Session
from trimcp.types.jsonrpc import (
    INVALID_REQUEST,
    PARSE_ERROR,
    ErrorResponse,
    Message,
    Request,
    RequestId,
    Response,
)


class IncomingMessages:
    """Hands the messages of one server to the dispatcher of its session."""

    def __init__(self, session: Session, headers: RequestHeaders) -> None:
        self._session = session
        self._headers = headers
        self.messages_read: int = 0
        """Messages that arrived so far."""
        self.refusal: int | None = None
        """The status of the response that refused `initialize`, if any."""

    def take_event(self, event: Event | Oversized, *, to: RequestId | None = None) -> bool:
        """Take an event of a stream; return whether it was a message.

        Args:
            event: of the stream.
            to: the request that the stream answers; None for the GET stream.
        """
        if isinstance(event, Oversized):
            problem = f"an event is longer than {event.limit} bytes"
            self._refused(unreadable(INVALID_REQUEST, problem, event.head, by_client=True, is_whole=False), to)
            return False
        if not event.data or event.event != b"message":
            return False
        self._take_text(event.data, to)
        return True

    def _take_text(self, text: bytes, to: RequestId | None) -> None:
        """Take one message, or, in 2025-03-26, several."""
        session = self._session
        try:
            value = loads(text, max_depth=session.limits.json_depth, max_containers=session.limits.json_containers)
            for one in value if type(value) is list else [value]:
                message = read_message(one)
                if to is not None and type(message) is ErrorResponse and message.id is None:
                    message = ErrorResponse(to, message.error)  # the server could not read the id of the request
                if to is not None and self._headers.is_modern and _answers_another(message, to):
                    log.debug(events.RESPONSE_IGNORED, id=to, why="no request of this exchange has that id")
                    continue
                self.take(message, len(text))
        except InvalidJson as exc:
            self._refused(unreadable(PARSE_ERROR, exc.reason, text, by_client=True), to)
        except InvalidMessage as exc:
            self._refused(exc, to)

    def _refused(self, exc: InvalidMessage, to: RequestId | None) -> None:
        """Fail the call whose answer cannot be read; take note of any other message that cannot be."""
        if exc.kind == "response" or (exc.kind == "unknown" and exc.id is not None):
            self._session.calls.invalid_response(to if exc.id is None else exc.id, str(exc))
        else:
            log.warning(events.MESSAGE_REFUSED, peer=self._session.description, why=str(exc))

    def take(self, message: Message, size: int) -> None:
        """Hand a message to the dispatcher of the session."""
        self.messages_read += 1
        session = self._session
        if type(message) is Request and self._headers.is_modern:
            # It is not answered: modern servers make no requests.
            log.warning(events.MESSAGE_IGNORED, peer=session.description, method=message.method, why="it is a request")
            return
        try:
            session.dispatcher.take(message, session.reply_stream, size, trio.current_time())
        except ConnectionLost as exc:
            session.lose(exc)


def _answers_another(message: Message, id: RequestId) -> bool:
    """Return whether a message answers another request; an id of another type is an answer to this one, and wrong."""
    return isinstance(message, Response | ErrorResponse) and str(message.id) != str(id)
