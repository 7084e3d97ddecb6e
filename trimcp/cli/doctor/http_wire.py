"""Carries messages to a server by HTTP: each by a POST, with header fields as a check wants them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any, ClassVar, Final

import trio

from trimcp.cli.doctor.wire import Answer, NoAnswer, Over, Wire
from trimcp.codec.jsontext import dumps
from trimcp.errors import ExchangeFailed, TrimcpError
from trimcp.framing.headers import encode_value, named_param
from trimcp.framing.lines import Oversized
from trimcp.framing.sse import EventParser
from trimcp.http.client.auth import AuthRequest, ClientAuth
from trimcp.http.client.connect import http_client_for
from trimcp.http.client.http_client import HttpClient, HttpClientResponse

JSON: Final = "application/json"
EVENTS: Final = "text/event-stream"
BOTH: Final = f"{JSON}, {EVENTS}"
END: Final = 2.0
"""Seconds that an event stream has to end behind its response."""
MOST_BYTES: Final = 32 * 2**20


class HttpWire(Wire):
    """A wire over Streamable HTTP."""

    over: ClassVar[Over] = "http"

    def __init__(
        self, client: HttpClient, timeout: float, authorization: str | None, sign_in: ClientAuth | None = None
    ) -> None:
        """
        Args:
            client: sends the requests.
            timeout: seconds that each answer may take.
            authorization: the field of that name that was given.
            sign_in: where there is none: the hook that has the stored token. It is never told of a challenge.
        """
        super().__init__(timeout)
        self._client = client
        self._authorization = authorization
        self._sign_in = sign_in
        self.session: str | None = None
        """The id of the session, which requests carry."""
        self.version: str | None = None
        """The revision that requests carry."""
        self.is_modern: bool = False
        """Whether requests carry the header fields of 2026-07-28."""
        self.reads_to_end: bool = False
        """Whether an event stream is read to its end, behind the response."""

    @property
    def is_over(self) -> bool:
        """See `Wire`."""
        return False

    async def ask(self, message: Mapping[str, Any], *, headers: Mapping[str, str | None] | None = None) -> Answer:
        """See `Wire`. The answer may be without a message: then HTTP has refused the request."""
        return await self._post(dumps(message), self._fields(message, headers), message.get("id"))

    async def tell(self, message: Mapping[str, Any] | bytes) -> Answer:
        """See `Wire`."""
        if isinstance(message, bytes):
            return await self._post(message, self._fields({}, None), None)
        return await self._post(dumps(message), self._fields(message, None), None)

    async def send(self, verb: str, headers: Mapping[str, str | None]) -> Answer:
        """Send a GET or a DELETE; the body of an event stream is not waited for.

        Raises:
            NoAnswer: no response came in time.
        """
        given = {"mcp-session-id": self.session, "mcp-protocol-version": self.version}
        fields = await self._authorized(verb, {**given, **headers})
        try:
            with trio.fail_after(self.timeout):
                async with self._client.request(verb, fields) as response:
                    return Answer(None, response.status, response.fields, response.media_type)
        except ExchangeFailed as exc:
            raise NoAnswer(f"{verb}: {exc}") from exc
        except trio.TooSlowError:
            raise NoAnswer(f"no response to {verb} in {self.timeout:g} seconds") from None

    def _fields(self, message: Mapping[str, Any], headers: Mapping[str, str | None] | None) -> dict[str, str | None]:
        fields: dict[str, str | None] = {"content-type": JSON, "accept": BOTH, "mcp-session-id": self.session}
        fields["mcp-protocol-version"] = self.version
        if self.is_modern and isinstance(message.get("method"), str):
            fields["mcp-method"] = message["method"]
            name = named_param(message["method"], message.get("params"))
            fields["mcp-name"] = None if name is None else encode_value(name)
        return {**fields, **(headers or {})}

    async def _authorized(self, verb: str, fields: Mapping[str, str | None]) -> dict[str, str]:
        """Return the fields of a request, with the token unless a check decides on `authorization` itself.

        Raises:
            NoAnswer: the stored token cannot be used.
        """
        given: dict[str, str | None] = {"authorization": self._authorization, **fields}
        present = {name: value for name, value in given.items() if value is not None}
        if self._sign_in is None or "authorization" in fields:
            return present
        try:
            return {**present, **await self._sign_in.headers(AuthRequest(method=verb, url=self.url))}
        except TrimcpError as exc:
            raise NoAnswer(f"the stored sign-in cannot be used: {exc}") from exc

    @property
    def has_token(self) -> bool:
        """Whether a token was given in the header fields."""
        return self._authorization is not None

    @property
    def url(self) -> str:
        """The URL of the server."""
        return self._client.url

    async def _post(self, body: bytes, given: Mapping[str, str | None], wanted: Any) -> Answer:
        fields = await self._authorized("POST", given)
        try:
            with trio.fail_after(self.timeout):
                async with self._client.request("POST", fields, body) as response:
                    if response.media_type == EVENTS:
                        return await self._events(response, wanted)
                    data = await response.body(MOST_BYTES)
        except ExchangeFailed as exc:
            raise NoAnswer(str(exc)) from exc
        except trio.TooSlowError:
            raise NoAnswer(f"no answer in {self.timeout:g} seconds") from None
        # An error of the HTTP layer may have a JSON body of another kind.
        is_message = response.media_type == JSON and (response.status < 400 or b'"jsonrpc"' in data)
        message = self.note(data) if is_message and data.strip() else None
        if message is not None and "error" not in message and message.get("id") != wanted:
            self._wrong(f"a response has the id {message.get('id')!r}, not {wanted!r}")
        return Answer(message, response.status, response.fields, response.media_type, (), data)

    async def _events(self, response: HttpClientResponse, wanted: Any) -> Answer:
        """Read an event stream up to the response in it."""
        parser = EventParser(MOST_BYTES)
        before: list[Mapping[str, Any]] = []
        head = (response.status, response.fields, response.media_type)
        while (piece := await response.next_piece()) is not None:
            for event in parser.feed(piece):
                if isinstance(event, Oversized) or not event.data.strip():
                    continue
                if event.event != b"message":
                    self._wrong(f"an event of the type {event.event!r}, which clients pass over")
                message = self.note(event.data)
                if message is None:
                    continue
                if "method" not in message and type(message.get("id")) is type(wanted) and message.get("id") == wanted:
                    has_ended = not self.reads_to_end or await self._ends(response)
                    return Answer(message, *head, tuple(before), has_ended=has_ended)
                before.append(message)
        return Answer(None, *head, tuple(before))

    async def _ends(self, response: HttpClientResponse) -> bool:
        """Return whether a stream ends within a moment."""
        with trio.move_on_after(END):
            while await response.next_piece() is not None:
                pass
            return True
        return False

    async def first(self, message: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """See `Wire`. The response is left after the message."""
        fields = await self._authorized("POST", self._fields(message, None))
        try:
            with trio.fail_after(self.timeout):
                async with self._client.request("POST", fields, dumps(message)) as response:
                    return await self._first(response)
        except ExchangeFailed as exc:
            raise NoAnswer(str(exc)) from exc
        except trio.TooSlowError:
            raise NoAnswer(f"no message in {self.timeout:g} seconds") from None

    async def _first(self, response: HttpClientResponse) -> Mapping[str, Any] | None:
        if response.media_type != EVENTS:
            return self.note(await response.body(MOST_BYTES))
        parser = EventParser(MOST_BYTES)
        while (piece := await response.next_piece()) is not None:
            for event in parser.feed(piece):
                if not isinstance(event, Oversized) and event.data.strip():
                    return self.note(event.data)
        return None


@contextlib.asynccontextmanager
async def open_http_wire(
    url: str, headers: Mapping[str, str], timeout: float, sign_in: ClientAuth | None = None
) -> AsyncIterator[HttpWire]:
    """Prepare requests to an HTTP URL; see `HttpWire`.

    Raises:
        UsageError: the URL or a header is not valid, or a library is missing.
    """
    # Checks leave this field out, or send another.
    authorization = next((value for name, value in headers.items() if name.lower() == "authorization"), None)
    client = http_client_for(url, {name: value for name, value in headers.items() if name.lower() != "authorization"})
    try:
        yield HttpWire(client, timeout, authorization, sign_in)
    finally:
        with trio.move_on_after(1, shield=True):
            await client.aclose()
