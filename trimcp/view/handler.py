"""Answers the requests of the view: files of the page, the streams, records of messages, what a person does."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol
from urllib.parse import parse_qs

import trio

from trimcp.codec.jsontext import InvalidJson, dumps, loads
from trimcp.http.binding import HttpRequest, HttpResponse, Refusal
from trimcp.view.access import TEXT
from trimcp.view.control import Control, ControlRefused
from trimcp.view.files import STRICT, file_of
from trimcp.view.page_client.page_clients import PATH, PageClients
from trimcp.view.publisher import STREAM_FIELDS, Publisher
from trimcp.view.trace import ToolOf, as_ndjson

PORTION: Final = 50
"""Records that are masked at once, before other tasks get a turn."""
BODY_BYTES: Final = 2**20
"""Bytes of the longest request, such as the arguments of a call."""
JSON: Final = ((b"content-type", b"application/json"),)
NDJSON: Final = (
    (b"content-type", b"application/x-ndjson"),
    (b"content-disposition", b'attachment; filename="trace.ndjson"'),
)
LOGS: Final = (NDJSON[0], (b"content-disposition", b'attachment; filename="logs.ndjson"'))
NOT_FOUND: Final = Refusal(404, (*TEXT, *STRICT), b"Not found.\n")
WRONG_METHOD: Final = Refusal(405, (*TEXT, *STRICT, (b"allow", b"GET, HEAD, POST")), b"Method not allowed.\n")
ONLY_SHOWS: Final = "This view only shows: start the server with --view-control"
TOO_MANY: Final = b"Too many viewers look at this server: close one.\n"


class Access(Protocol):
    """Decides who may look."""

    def refuse(self, request: HttpRequest) -> Refusal | None:
        """Judge the head of a request; None lets it in."""
        ...


def refused(access: Access, request: HttpRequest) -> Refusal | None:
    """Judge the head of a request to a page; None lets it in. A refusal has the fields that keep a page safe."""
    refusal = access.refuse(request)
    if refusal is not None:
        return Refusal(refusal.status, (*refusal.fields, *STRICT), refusal.body)
    return None if request.method in ("GET", "HEAD", "POST") else WRONG_METHOD


class ViewHandler:
    """The `Handler` of the built-in server for the view."""

    body_limit: int = BODY_BYTES

    def __init__(
        self,
        access: Access,
        publisher: Publisher,
        control: Control | None,
        clients: PageClients | None,
        tool_of: ToolOf,
    ) -> None:
        """
        Args:
            access: decides who may look.
            publisher: sends the state.
            control: does what a person asks for; None where nothing may be done.
            clients: of the pages; None where nothing may be done.
            tool_of: see `ToolOf`.
        """
        self._access = access
        self._publisher = publisher
        self._control = control
        self._clients = clients
        self._tool_of = tool_of

    def refuse(self, request: HttpRequest) -> Refusal | None:
        """See `Handler`."""
        return refused(self._access, request)

    async def handle(self, request: HttpRequest, response: HttpResponse) -> None:
        """See `Handler`."""
        response.further = STRICT
        answer = self._answer_of(request)
        if answer is None:
            response.further = ()
            response.respond(NOT_FOUND.status, NOT_FOUND.fields, NOT_FOUND.body)
        else:
            await answer(request, response)

    def _answer_of(self, request: HttpRequest) -> Callable[[HttpRequest, HttpResponse], Awaitable[None]] | None:
        path = request.path
        if path.startswith(PATH):
            return functools.partial(answer_client, self._clients)
        if request.method == "POST":
            return functools.partial(self._do, path.removeprefix("/do/")) if path.startswith("/do/") else None
        if path == "/events":
            return self._stream
        if path == "/processes":
            return self._processes
        if path == "/stacks":
            return self._stacks
        if path == "/logs.ndjson":
            return self._lines
        if path == "/trace.ndjson":
            return self._records
        if path.startswith("/trace/") and path[7:].isdecimal():
            return functools.partial(self._record, int(path[7:]))
        return None if file_of(path) is None else answer_file

    async def _processes(self, request: HttpRequest, response: HttpResponse) -> None:
        """Respond with the processes that this page can lead to: a proxy knows more than this one."""
        response.respond(200, JSON, dumps([self._publisher.state.process()]))
        await trio.lowlevel.checkpoint()

    async def _stream(self, request: HttpRequest, response: HttpResponse) -> None:
        asked = parse_qs(request.query.decode("latin-1"))
        wants = {f"reads_{name}": asked.get(name) == ["1"] for name in ("trace", "steps")}
        if self._publisher.is_full:
            response.respond(503, TEXT, TOO_MANY)
        elif request.method == "HEAD":  # a page whose stream failed asks why
            response.respond(200, STREAM_FIELDS)
        else:
            self._publisher.join(response, **wants)
        await trio.lowlevel.checkpoint()

    async def _record(self, number: int, request: HttpRequest, response: HttpResponse) -> None:
        trace = self._publisher.trace
        record = trace.record(number)
        body = None if record is None else record.full(self._tool_of, trace.mask_of(record.session))
        response.respond(404 if record is None else 200, JSON, dumps(body))
        await trio.lowlevel.checkpoint()

    async def _records(self, request: HttpRequest, response: HttpResponse) -> None:
        records = list(self._publisher.trace)
        lines: list[bytes] = []
        mask_of = functools.cache(self._publisher.trace.mask_of)
        for at in range(0, len(records), PORTION):
            lines.append(as_ndjson(records[at : at + PORTION], self._tool_of, mask_of))
            await trio.lowlevel.checkpoint()
        response.respond(200, NDJSON, b"".join(lines))

    async def _lines(self, request: HttpRequest, response: HttpResponse) -> None:
        lines = self._publisher.trace.logs.ring.all()
        response.respond(200, LOGS, b"".join(dumps(line.shown(number)) + b"\n" for number, line in lines))
        await trio.lowlevel.checkpoint()

    async def _stacks(self, request: HttpRequest, response: HttpResponse) -> None:
        response.respond(200, JSON, dumps(await self._publisher.state.stacks.taken()))

    async def _do(self, what: str, request: HttpRequest, response: HttpResponse) -> None:
        control = self._control
        await answer_act(request, response, None if control is None else functools.partial(control.do, what))


async def answer_file(request: HttpRequest, response: HttpResponse) -> None:
    """Answer with a file of the page, which is there."""
    found = file_of(request.path)
    assert found is not None
    response.respond(200, ((b"content-type", found[0]),), found[1])
    await trio.lowlevel.checkpoint()


async def answer_client(clients: PageClients | None, request: HttpRequest, response: HttpResponse) -> None:
    """Answer a page about its client: `GET /client/events` opens it, `POST /client/KEY/WHAT` uses it.

    Args:
        clients: of the pages; None where nothing may be done.
        request: of the page.
        response: to it.
    """
    key, _, what = request.path.removeprefix(PATH).partition("/")
    if request.method == "POST":
        act = None if clients is None else functools.partial(clients.act, key, what)
        await answer_act(request, response, act)
    elif clients is None:
        response.respond(403, JSON, dumps({"problem": ONLY_SHOWS}))
    elif (key, what, request.method) != ("events", "", "GET"):
        response.respond(NOT_FOUND.status, TEXT, NOT_FOUND.body)
    elif not clients.open(response):
        response.respond(503, TEXT, TOO_MANY)
    await trio.lowlevel.checkpoint()


async def answer_act(
    request: HttpRequest, response: HttpResponse, act: Callable[[Mapping[str, Any]], Awaitable[dict[str, Any]]] | None
) -> None:
    """Answer what a person does: the body is JSON, and says the details.

    Args:
        request: of the page.
        response: to it.
        act: does it; None where nothing may be done.
    """
    if act is None:
        response.respond(403, JSON, dumps({"problem": ONLY_SHOWS}))
        return
    if request.fields.get(b"content-type") != b"application/json":
        response.respond(415, JSON, dumps({"problem": "Send JSON, as application/json"}))
        return
    try:
        asked: Any = loads(request.body or b"{}")
        done = await act(asked if isinstance(asked, dict) else {})
    except InvalidJson as exc:
        response.respond(400, JSON, dumps({"problem": str(exc)}))
    except ControlRefused as exc:
        response.respond(409, JSON, dumps({"problem": str(exc)}))
    else:
        response.respond(200, JSON, dumps(done))
