"""Carries messages to a server as they are, valid or not, and notes all that the server sends.

The client of trimcp cannot do that: it sends nothing invalid, and hides what it does not need.
"""

from __future__ import annotations

import abc
import contextlib
import itertools
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar, Final, Literal, TypeVar

import attrs
import trio

from trimcp.auth.challenges import token_challenge
from trimcp.client.targets import Opener
from trimcp.codec.jsontext import InvalidJson, dumps, loads
from trimcp.errors import ConnectionEnded, TrimcpError
from trimcp.transports.duplex import Duplex, Oversized

Over = Literal["http", "duplex", "sse"]
"""A transport: Streamable HTTP, a duplex connection, or HTTP+SSE of 2024-11-05."""
MOST_MESSAGES: Final = 1000
"""Messages of the server that are kept; the oldest go first."""
START: Final = 30.0
"""Seconds that a server has to start."""
SHOWN: Final = 120
"""Characters of a message that a problem shows."""


class NoAnswer(TrimcpError):
    """The server did not answer in time, or the connection is over."""


@attrs.frozen
class Answer:
    """A response of the server, and what came with it."""

    message: Mapping[str, Any] | None
    """The response; None where HTTP brought none."""
    status: int | None = None
    """The status of HTTP."""
    fields: Mapping[str, str] = attrs.field(factory=dict)
    """The header fields of HTTP."""
    media_type: str = ""
    before: tuple[Mapping[str, Any], ...] = ()
    """The messages that came before it, since the request."""
    body: bytes = b""
    """The body, where it was no message."""
    has_ended: bool = True
    """Whether the event stream ended with the response; only known if the wire reads to the end."""

    @property
    def result(self) -> Mapping[str, Any] | None:
        """The result; None for an error, or if there is no response."""
        result = None if self.message is None else self.message.get("result")
        return result if isinstance(result, dict) else None

    @property
    def code(self) -> int | None:
        """The code of the error; None for a result, or if there is no response."""
        error = None if self.message is None else self.message.get("error")
        code = error.get("code") if isinstance(error, dict) else None
        return code if type(code) is int else None

    @property
    def data(self) -> Any:
        """The data of the error."""
        error = {} if self.message is None else self.message.get("error")
        return error.get("data") if isinstance(error, dict) else None

    @property
    def lacks_scope(self) -> bool:
        """Whether HTTP has refused the token, by 403 and a challenge."""
        return self.status == 403 and token_challenge(self.fields.get("www-authenticate")) is not None

    def __str__(self) -> str:
        status = "" if self.status is None else f"HTTP {self.status}"
        if self.message is None:
            return status or "nothing"
        text = dumps(self.message).decode()
        return f"{status} {text if len(text) <= SHOWN else text[:SHOWN] + '…'}".strip()


class Wire(abc.ABC):
    """One connection to a server."""

    over: ClassVar[Over]
    """The transport, as far as checks depend on it."""

    @property
    def is_http(self) -> bool:
        """Whether messages go by Streamable HTTP."""
        return self.over == "http"

    def __init__(self, timeout: float) -> None:
        self.timeout: float = timeout
        self.problems: list[str] = []
        """What was wrong with messages of the server, each problem once."""
        self.requests: list[str] = []
        """The methods of requests that the server sent."""
        self.codes: set[int] = set()
        """The codes of all errors."""
        self._ids = itertools.count(1)

    def next_id(self) -> int:
        """Return an id that no request had."""
        return next(self._ids)

    @property
    @abc.abstractmethod
    def is_over(self) -> bool:
        """Whether the server has ended the connection."""

    @abc.abstractmethod
    async def ask(self, message: Mapping[str, Any], *, headers: Mapping[str, str | None] | None = None) -> Answer:
        """Send a request, and wait for the response with its id.

        Args:
            message: the request.
            headers: over HTTP: fields to send in place of the usual ones; None leaves one out.

        Raises:
            NoAnswer: none came in time.
        """

    @abc.abstractmethod
    async def tell(self, message: Mapping[str, Any] | bytes) -> Answer:
        """Send a message that needs no response; return what HTTP answers.

        Raises:
            NoAnswer: the connection is over.
        """

    @abc.abstractmethod
    async def first(self, message: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Send a request, and return the first message that follows; None if there is none.

        Raises:
            NoAnswer: none came in time.
        """

    def note(self, data: bytes) -> Mapping[str, Any] | None:
        """Read one message of the server, and note its problems; None if it is none."""
        try:
            message = loads(data)
        except InvalidJson:
            self._wrong(f"not JSON: {data[:SHOWN]!r}")
            return None
        if not isinstance(message, dict):
            self._wrong(f"not one message: {data[:SHOWN]!r}")
            return None
        self._check(message)
        return message

    def _check(self, message: Mapping[str, Any]) -> None:
        shown = dumps(message)[:SHOWN].decode(errors="replace")
        if message.get("jsonrpc") != "2.0":
            self._wrong(f'"jsonrpc" is not "2.0": {shown}')
        if isinstance(message.get("method"), str):
            if "id" in message:
                self.requests.append(message["method"])
            return
        if ("result" in message) == ("error" in message):
            self._wrong(f"a response needs either a result or an error: {shown}")
        elif "error" in message:
            error = message["error"]
            if not isinstance(error, dict) or type(error.get("code")) is not int:
                self._wrong(f"an error needs an integer code: {shown}")
            elif not isinstance(error.get("message"), str):
                self._wrong(f"an error needs a message: {shown}")
            else:
                self.codes.add(error["code"])
        elif type(message.get("id")) not in (int, str):
            self._wrong(f"a result needs the id of its request: {shown}")

    def _wrong(self, problem: str) -> None:
        if problem not in self.problems and len(self.problems) < MOST_MESSAGES:
            self.problems.append(problem)


class DuplexWire(Wire):
    """A wire over a pipe, a socket or a WebSocket."""

    over: ClassVar[Over] = "duplex"

    def __init__(self, duplex: Duplex, timeout: float) -> None:
        super().__init__(timeout)
        self._duplex = duplex
        self._received: deque[Mapping[str, Any]] = deque(maxlen=MOST_MESSAGES)
        self._arrived = trio.Event()
        self._ended: str | None = None
        self._has_answered = False

    @property
    def is_over(self) -> bool:
        """See `Wire`."""
        return self._ended is not None

    @property
    def half_closes(self) -> bool:
        """Whether the end of our input does not end the connection."""
        return self._duplex.half_closes

    async def read(self) -> None:
        """Take what the server sends, until it ends the connection."""
        try:
            while frames := await self._duplex.receive():
                for frame in frames:
                    if isinstance(frame, Oversized):
                        self._wrong(f"a message of more than {frame.limit} bytes")
                        continue
                    message = self.note(frame) if frame.strip() else None
                    if message is not None:
                        self._has_answered = True
                        self._received.append(message)
                self._wake()
            self._ended = "the server closed the connection"
        except ConnectionEnded as exc:
            self._ended = str(exc)
        self._wake()

    def _wake(self) -> None:
        self._arrived.set()
        self._arrived = trio.Event()

    async def ask(self, message: Mapping[str, Any], *, headers: Mapping[str, str | None] | None = None) -> Answer:
        """See `Wire`."""
        self._received.clear()
        await self.tell(message)
        wanted = message["id"]
        timeout = self.timeout if self._has_answered else max(self.timeout, START)
        with trio.move_on_after(timeout):
            while True:
                for number, each in enumerate(self._received):
                    if "method" not in each and type(each.get("id")) is type(wanted) and each["id"] == wanted:
                        return Answer(each, before=tuple(self._received)[:number])
                if self._ended is not None:
                    break
                await self._arrived.wait()
        if self._ended is not None:
            raise NoAnswer(f"no answer to {message.get('method')}: {self._ended}")
        others = [each.get("id") for each in self._received if "method" not in each]
        instead = f"; there was one with the id {others[0]!r}, not {wanted!r}" if others else ""
        raise NoAnswer(f"no answer to {message.get('method')} in {timeout:g} seconds{instead}")

    async def tell(self, message: Mapping[str, Any] | bytes) -> Answer:
        """See `Wire`."""
        data = message if isinstance(message, bytes) else dumps(message)
        try:
            with trio.fail_after(self.timeout):
                await self._duplex.send_all(data + self._duplex.delimiter)
        except ConnectionEnded as exc:
            self._ended = str(exc)
            raise NoAnswer(f"cannot send: {exc}") from exc
        except trio.TooSlowError:
            raise NoAnswer(f"the server did not read in {self.timeout:g} seconds") from None
        return Answer(None)

    async def first(self, message: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """See `Wire`."""
        self._received.clear()
        await self.tell(message)
        with trio.move_on_after(self.timeout):
            while not self._received and self._ended is None:
                await self._arrived.wait()
        if not self._received:
            raise NoAnswer(self._ended or f"no message in {self.timeout:g} seconds")
        return self._received[0]

    def responses(self) -> list[Mapping[str, Any]]:
        """Return the responses that came since the last request was sent."""
        return [message for message in self._received if "method" not in message]

    async def end_input(self) -> bool:
        """Say that we send no more; return whether the server ends the connection in time."""
        with contextlib.suppress(ConnectionEnded):
            await self._duplex.send_eof()
        with trio.move_on_after(self.timeout):
            while self._ended is None:
                await self._arrived.wait()
        return self._ended is not None


W = TypeVar("W", bound=DuplexWire)


@contextlib.asynccontextmanager
async def reading(opening: AbstractAsyncContextManager[W]) -> AsyncIterator[W]:
    """Open a wire, and read what the server sends, in a task of its own, while the block runs."""
    failure: Exception | None = None
    async with opening as wire, trio.open_nursery() as nursery:
        nursery.start_soon(wire.read)
        try:
            yield wire
        except Exception as exc:  # noqa: BLE001
            failure = exc  # raised below, and not in a group
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


def open_duplex_wire(opener: Opener, timeout: float) -> AbstractAsyncContextManager[DuplexWire]:
    """Connect to a server that is not at an HTTP URL.

    Raises:
        ConnectionEnded: there is no connection.
        UsageError: the command cannot be run.
    """
    return reading(_duplex_wire(opener, timeout))


@contextlib.asynccontextmanager
async def _duplex_wire(opener: Opener, timeout: float) -> AsyncIterator[DuplexWire]:
    async with opener() as duplex:
        yield DuplexWire(duplex, timeout)
