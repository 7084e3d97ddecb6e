"""Carries messages to a server by HTTP+SSE of 2024-11-05, and checks what this transport adds."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, ClassVar, Final

import trio

from trimcp.cli.doctor.examination import Examination, Failed, Rules
from trimcp.cli.doctor.http_checks import FOREIGN
from trimcp.cli.doctor.http_wire import EVENTS, JSON, MOST_BYTES
from trimcp.cli.doctor.wire import Answer, DuplexWire, NoAnswer, Over, reading
from trimcp.codec.jsontext import dumps
from trimcp.errors import ExchangeFailed
from trimcp.http.client.connect import http_client_for
from trimcp.http.client.http_client import HttpClient
from trimcp.http.client.sse_2024 import SseClientDuplex, open_sse_duplex
from trimcp.types.revisions import BY_VERSION, Era, Revision

CHECKS: Final = Rules()
REVISION: Final[Revision] = BY_VERSION["2024-11-05"]
TRANSPORT: Final = "HTTP+SSE"
PAGE: Final = "basic/transports"


class SseWire(DuplexWire):
    """A wire over HTTP+SSE: an event stream, and a URL to post to."""

    over: ClassVar[Over] = "sse"

    def __init__(self, duplex: SseClientDuplex, client: HttpClient, timeout: float) -> None:
        super().__init__(duplex, timeout)
        self._client = client
        self.endpoint: str = duplex.endpoint
        """The URL to post to."""
        self._refusal: str | None = None
        duplex.on_lost = self._note_refusal  # which is no end of the connection

    def _note_refusal(self, message: bytes, failure: ExchangeFailed) -> None:
        self._refusal = str(failure)

    async def tell(self, message: Mapping[str, Any] | bytes) -> Answer:
        """See `Wire`. Text that is no message may be refused."""
        await super().tell(message)
        refusal, self._refusal = self._refusal, None
        if refusal is not None and not isinstance(message, bytes):
            raise NoAnswer(f"cannot send: {refusal}")
        return Answer(None)

    async def request(
        self, verb: str, headers: Mapping[str, str], body: bytes | None = None, *, url: str | None = None
    ) -> Answer:
        """Make one request of HTTP beside the connection; return the head of its response.

        Raises:
            NoAnswer: no response came in time.
        """
        try:
            with trio.fail_after(self.timeout):
                async with self._client.request(verb, headers, body, url=url) as response:
                    return Answer(None, response.status, response.fields, response.media_type)
        except ExchangeFailed as exc:
            raise NoAnswer(f"{verb}: {exc}") from exc
        except trio.TooSlowError:
            raise NoAnswer(f"no response to {verb} in {self.timeout:g} seconds") from None


def open_sse_wire(url: str, headers: Mapping[str, str], timeout: float) -> AbstractAsyncContextManager[SseWire]:
    """Open the event stream of a server.

    Raises:
        Failed: the server opens none, or does not name the URL to post to.
        UsageError: the URL or a header is not valid, or a library is missing.
    """
    return reading(_sse_wire(url, headers, timeout))


@contextlib.asynccontextmanager
async def _sse_wire(url: str, headers: Mapping[str, str], timeout: float) -> AsyncIterator[SseWire]:
    client = http_client_for(url, headers)
    try:
        async with contextlib.AsyncExitStack() as stack:
            try:
                duplex = await stack.enter_async_context(open_sse_duplex(client, limit=MOST_BYTES))
            except ExchangeFailed as exc:
                raise Failed(str(exc)) from exc
            yield SseWire(duplex, client, timeout)
    finally:
        with trio.move_on_after(1, shield=True):
            await client.aclose()


def _wire(examination: Examination) -> SseWire:
    assert isinstance(examination.wire, SseWire)
    return examination.wire


@CHECKS.rule(PAGE, "a posted message is accepted, and answered on the stream", era=Era.LEGACY, over="sse")
async def answers_come_on_the_stream(examination: Examination) -> None:
    wire = _wire(examination)
    posted = await wire.request("POST", {"content-type": JSON}, dumps(examination.message("ping")), url=wire.endpoint)
    if posted.status is None or not 200 <= posted.status < 300:
        raise Failed(f"the POST was answered by {posted}")
    await examination.alive()


@CHECKS.rule(PAGE, "a stream for a foreign Origin is refused", era=Era.LEGACY, over="sse")
async def streams_of_foreign_origins_are_refused(examination: Examination) -> None:
    _refused(await _wire(examination).request("GET", {"accept": EVENTS, "origin": FOREIGN}), "GET")


@CHECKS.rule(PAGE, "a message from a foreign Origin is refused", era=Era.LEGACY, over="sse")
async def messages_of_foreign_origins_are_refused(examination: Examination) -> None:
    wire = _wire(examination)
    headers = {"content-type": JSON, "origin": FOREIGN}
    _refused(await wire.request("POST", headers, dumps(examination.message("ping")), url=wire.endpoint), "POST")


def _refused(answer: Answer, verb: str) -> None:
    if answer.status is None or not 400 <= answer.status < 500:
        raise Failed(f"{verb} with Origin: {FOREIGN} was answered by {answer}")
