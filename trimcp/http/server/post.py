"""One POST to the endpoint: reads its body, and decides the era of its message.

The era is decided message by message. A `_meta` that names a revision, or a header that names a modern one, makes a
stateless request; any other message belongs to a legacy session, which `initialize` opens.
"""

from __future__ import annotations

from trimcp.codec.envelope import InvalidMessage, read_message
from trimcp.codec.jsontext import InvalidJson, loads
from trimcp.framing import headers
from trimcp.http.binding import HttpRequest, HttpResponse
from trimcp.http.server.content_negotiation import accepted, is_encoded, is_json
from trimcp.http.server.legacy_requests import LegacyRequests
from trimcp.http.server.post_reply import respond_encoded, respond_error
from trimcp.http.server.stateless import StatelessRequests
from trimcp.session.session import Service
from trimcp.types.jsonrpc import INVALID_REQUEST, PARSE_ERROR, Message, Notification, Request
from trimcp.types.metadata import PROTOCOL_VERSION
from trimcp.types.revisions import Era


class PostHandler:
    """Handles the POSTs to one endpoint."""

    def __init__(self, service: Service, stateless: StatelessRequests, legacy: LegacyRequests) -> None:
        self._stateless = stateless
        self._legacy = legacy
        self._limits = service.limits
        self._modern_fields = {r.version.encode() for r in service.revisions if r.era is Era.MODERN}
        self._has_legacy = len(self._modern_fields) < len(service.revisions)

    async def handle(self, request: HttpRequest, response: HttpResponse) -> None:
        """Handle one POST, whose body is there."""
        accepts = accepted(request.fields.get(b"accept"))
        if not (accepts.json or accepts.sse):
            text = "Not acceptable: accept application/json and text/event-stream"
            respond_error(response, 406, INVALID_REQUEST, text)
            return
        if not is_json(request.fields.get(b"content-type")):
            respond_error(response, 415, INVALID_REQUEST, "Unsupported media type: send Content-Type application/json")
            return
        if b"content-encoding" in request.fields and is_encoded(request.fields):
            respond_encoded(response)
            return
        try:
            value = loads(request.body, max_depth=self._limits.json_depth, max_containers=self._limits.json_containers)
        except InvalidJson as exc:
            respond_error(response, 400, PARSE_ERROR, f"Parse error: {exc.reason}")
            return
        if type(value) is list:
            await self._legacy.post_batch(value, request, response, accepts)
            return
        try:
            message = read_message(value)
        except InvalidMessage as exc:
            await self._refuse_invalid(exc, request, response)
            return
        if self._is_modern(message, request):
            self._stateless.post(message, request, response, accepts)
        else:
            await self._legacy.post(message, request, response, accepts)

    def _is_modern(self, message: Message, request: HttpRequest) -> bool:
        if not self._modern_fields:
            return False
        kind = type(message)
        if kind is Request or kind is Notification:
            params = message.params  # type: ignore[union-attr]  # `type` narrows no union
            meta = None if params is None else params.get("_meta")
            if type(meta) is dict and PROTOCOL_VERSION in meta:
                return True
        return not self._has_legacy or request.fields.get(headers.PROTOCOL_VERSION) in self._modern_fields

    async def _refuse_invalid(self, exc: InvalidMessage, request: HttpRequest, response: HttpResponse) -> None:
        if exc.kind == "response" and headers.SESSION_ID in request.fields:
            session = await self._legacy.session_of(request, response)
            if session is None:
                return
            session.calls.invalid_response(exc.id, str(exc))
        # An invalid response has the id of a request of ours, so the error must not repeat it.
        id = None if exc.kind == "response" else exc.id
        respond_error(response, 400, exc.code, exc.message, {"path": exc.path}, id)
