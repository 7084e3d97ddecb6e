"""The page of `trimcp dev`: its clients, and the view of the process that serves the file now."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import Any, Final

import trio

import trimcp
from trimcp.codec.jsontext import dumps
from trimcp.errors import UsageError
from trimcp.http.binding import HttpRequest, HttpResponse, Refusal
from trimcp.view.access import Guarded
from trimcp.view.files import STRICT, file_of
from trimcp.view.handler import BODY_BYTES, JSON, NOT_FOUND, answer_client, answer_file, refused
from trimcp.view.page_client.page_client import ClientTarget
from trimcp.view.page_client.page_clients import PATH, PageClients
from trimcp.view.places import Place
from trimcp.view.proxy import pass_on
from trimcp.view.publisher import STREAM_FIELDS, event_of
from trimcp.view.serving import HOST, LIMITS

MOST_STREAMS: Final = 16
"""Pages that read the state of no server. A further one is refused."""
NO_SERVER: Final = "The server does not run now: it starts again when a file changes"


class Desk:
    """The `Handler` of the page. It stays where the processes of the server come and go."""

    body_limit: int = BODY_BYTES

    def __init__(self, target: ClientTarget, name: str, access: Guarded, nursery: trio.Nursery) -> None:
        """
        Args:
            target: what the clients of pages connect to.
            name: of the server, until it says another one.
            access: decides who may look.
            nursery: of the clients, and of the requests that are passed on.
        """
        self.clients: PageClients = PageClients(target, nursery)
        """The clients of the pages."""
        self._name = name
        self._access = access
        self._nursery = nursery
        self._place: Place | None = None
        self._passing: set[trio.CancelScope] = set()
        self._alone: set[HttpResponse] = set()
        self._began = trio.current_time()

    def move(self, place: Place | None) -> None:
        """Show the view at another place from now on: pages lose their streams, and open them again."""
        self._place = place
        for scope in self._passing:
            scope.cancel()
        for response in self._alone:
            response.end()
        self._alone.clear()

    def refuse(self, request: HttpRequest) -> Refusal | None:
        """See `Handler`."""
        return refused(self._access, request)

    async def handle(self, request: HttpRequest, response: HttpResponse) -> None:
        """See `Handler`."""
        response.further = STRICT
        if request.path.startswith(PATH):
            await answer_client(self.clients, request, response)
        elif request.method != "POST" and file_of(request.path) is not None:
            await answer_file(request, response)
        elif self._place is not None:
            self._nursery.start_soon(self._pass_on, self._place, request, response)
        elif request.path == "/events" and request.method == "GET" and len(self._alone) < MOST_STREAMS:
            self._show_alone(response)
        elif request.path == "/processes":
            response.respond(200, JSON, b"[]")
        elif request.method == "POST":
            response.respond(409, JSON, dumps({"problem": NO_SERVER}))
        else:
            response.further = ()
            response.respond(NOT_FOUND.status, NOT_FOUND.fields, NOT_FOUND.body)
        await trio.lowlevel.checkpoint()

    async def _pass_on(self, place: Place, request: HttpRequest, response: HttpResponse) -> None:
        scope = trio.CancelScope()
        self._passing.add(scope)
        try:
            await pass_on(place, request.path, request, response, scope)
        finally:
            self._passing.discard(scope)

    def _show_alone(self, response: HttpResponse) -> None:
        """Show a page that there is nothing but its client."""
        server = {
            "name": self._name,
            "version": "",
            "trimcp": trimcp.__version__,
            "pid": os.getpid(),
            "began": self._began,
            "control": False,
            "client": True,
            "only_client": True,
            "recording": False,
            "refused": 0,
            "drain": None,
        }
        self._alone.add(response)
        response.on_gone = functools.partial(self._alone.discard, response)
        response.begin(200, STREAM_FIELDS)
        response.write(event_of(b"state", trio.current_time(), {"server": dumps(server)}, [], [], [], 0))

    def show(self, serving: Mapping[str, Any]) -> None:
        """Show on all pages how the server is served."""
        self.clients.show(serving)


async def open_desk(
    target: ClientTarget,
    name: str,
    port: int | None,
    *,
    task_status: trio.TaskStatus[tuple[Desk, str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve the page on loopback until cancelled. The status is the desk, and the URL with its token.

    Args:
        target: what the clients of pages connect to.
        name: of the server.
        port: None for `PORT`, or any other one where that is taken.
        task_status: see above.

    Raises:
        UsageError: the port is taken.
    """
    from trimcp.http.h1.server import HttpServer

    async with trio.open_nursery() as nursery:
        access = Guarded()
        desk = Desk(target, name, access, nursery)
        server = HttpServer(desk, nursery, limits=LIMITS)
        serve = functools.partial(server.serve_tcp, host=HOST)
        try:
            _, access.port = await nursery.start(functools.partial(serve, port=PORT if port is None else port))
        except UsageError:
            if port is not None:
                raise
            _, access.port = await nursery.start(functools.partial(serve, port=0))
        task_status.started((desk, f"http://{HOST}:{access.port}/?token={access.token}#Try"))


PORT: Final = 8001
"""The port of the page: the same each time, so that the browser finds the calls that it has saved."""
