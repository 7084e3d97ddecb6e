"""Brings the views of Unix sockets to a browser: a listener on loopback, with a token of its own.

Each view has a path of its own, such as `/4711/` for process 4711, so one page can lead to the others: those of the
worker processes of a server, and of other servers.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Final, Protocol

import attrs
import trio

from trimcp.codec.jsontext import InvalidJson, dumps, loads
from trimcp.errors import ConnectionLost
from trimcp.http.binding import HttpRequest, HttpResponse, Refusal, cleared
from trimcp.view import sockets
from trimcp.view.access import TEXT, Guarded
from trimcp.view.files import STRICT
from trimcp.view.handler import BODY_BYTES, JSON, NOT_FOUND, refused
from trimcp.view.places import Place, asked
from trimcp.view.serving import HOST, LIMITS

PASSED_ON: Final = ("content-type", "content-disposition")
STUCK: Final = 30.0
"""Seconds for which the browser may not read. Then its response is broken off."""
PATIENCE: Final = 2.0
"""Seconds that a view has to say whose it is. One that does not is left out of the list."""
NO_SERVER: Final = b"No server of yours has a view now: start one with trimcp run FILE --view.\n"


class Places(Protocol):
    """Says which views there are now."""

    def found(self) -> Mapping[str, Place]:
        """Return the places of the views, by the first part of their paths."""
        ...


class EveryPlace:
    """The views of all processes of this user, which come and go."""

    def found(self) -> Mapping[str, Place]:
        """See `Places`."""
        return {str(pid): Place(str(path)) for pid, path in sockets.running().items()}


@attrs.frozen
class OnePlace:
    """The view that a person has named."""

    place: Place

    def found(self) -> Mapping[str, Place]:
        """See `Places`."""
        return {"view": self.place}


class ProxyHandler:
    """The `Handler` of the proxy: passes each request on, on a connection of its own."""

    body_limit: int = BODY_BYTES

    def __init__(self, places: Places, access: Guarded, nursery: trio.Nursery) -> None:
        self._places = places
        self._access = access
        self._nursery = nursery

    def refuse(self, request: HttpRequest) -> Refusal | None:
        """See `Handler`."""
        return refused(self._access, request)

    async def handle(self, request: HttpRequest, response: HttpResponse) -> None:
        """See `Handler`."""
        response.further = STRICT
        places = self._places.found()
        name, slash, path = request.path[1:].partition("/")
        if request.path == "/":
            if places:
                response.respond(302, (*TEXT, (b"location", f"/{next(iter(places))}/".encode())))
            else:
                response.respond(404, TEXT, NO_SERVER)
        elif request.path == "/processes":
            self._nursery.start_soon(_list, places, response)
        elif slash and name in places:
            self._nursery.start_soon(pass_on, places[name], f"/{path}", request, response, trio.CancelScope())
        else:
            response.further = ()
            response.respond(NOT_FOUND.status, NOT_FOUND.fields, NOT_FOUND.body)
        await trio.lowlevel.checkpoint()


async def _list(places: Mapping[str, Place], response: HttpResponse) -> None:
    """Respond with the processes of all views, in the order of their places."""
    found: dict[str, list[Any]] = {name: [] for name in places}

    async def ask(name: str, place: Place) -> None:
        try:
            with trio.move_on_after(PATIENCE):
                async with asked(place, "/processes") as answer:
                    said = loads(await answer.read_all())
                    found[name] = [{**each, "path": f"{name}/"} for each in said]
        except (ConnectionLost, InvalidJson):  # it has ended meanwhile
            return

    async with trio.open_nursery() as nursery:
        for name, place in places.items():
            nursery.start_soon(ask, name, place)
    response.respond(200, JSON, dumps([process for processes in found.values() for process in processes]))


async def pass_on(
    place: Place, path: str, request: HttpRequest, response: HttpResponse, scope: trio.CancelScope
) -> None:
    """Answer a request as the view at a place does.

    Args:
        place: of the view.
        path: of the request there.
        request: of a browser.
        response: to it.
        scope: cancelling it ends the response.
    """
    query = request.query.decode("latin-1")
    target = f"{path}?{query}" if query else path
    kind = request.fields.get(b"content-type", b"").decode("latin-1")
    response.on_gone = scope.cancel
    with scope:
        try:
            async with asked(place, target, method=request.method, body=request.body, kind=kind) as answer:
                named = answer.fields
                fields = [(name.encode(), named[name].encode("latin-1")) for name in PASSED_ON if name in named]
                response.begin(answer.status, fields)
                while data := await answer.read():
                    response.write(data)
                    if not await cleared(response, STUCK):
                        response.abort()
                        return
        except ConnectionLost as exc:
            response.respond(502, TEXT, f"{exc}\n".encode())
            return
    response.end()


async def serve_proxy(
    places: Places, port: int = 0, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve the views of these places on loopback until cancelled. The status is the URL with its token."""
    from trimcp.http.h1.server import HttpServer

    async with trio.open_nursery() as nursery:
        access = Guarded()
        server = HttpServer(ProxyHandler(places, access, nursery), nursery, limits=LIMITS)
        _, access.port = await nursery.start(functools.partial(server.serve_tcp, host=HOST, port=port))
        task_status.started(f"http://{HOST}:{access.port}/?token={access.token}")
