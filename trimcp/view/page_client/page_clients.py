"""`PageClients`: the clients of all pages of one view. A page that leaves ends its client, and so cancels its calls."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Final

import trio

from trimcp.http.binding import HttpResponse
from trimcp.observability import events, log
from trimcp.view.control import ControlRefused
from trimcp.view.page_client.outbox import PageOutbox
from trimcp.view.page_client.page_client import ClientTarget, PageClient
from trimcp.view.publisher import STREAM_FIELDS

MOST_CLIENTS: Final = 8
"""Pages with a client at once. A further one is refused with 503."""
PATH: Final = "/client/"


class PageClients:
    """Opens a client for each page that asks for one, and ends it when the page leaves."""

    def __init__(self, target: ClientTarget, nursery: trio.Nursery) -> None:
        """
        Args:
            target: what the clients connect to.
            nursery: they run in it.
        """
        self._target = target
        self._nursery = nursery
        self._clients: dict[str, PageClient] = {}
        self._shown: dict[str, Any] | None = None
        self._outboxes: set[PageOutbox] = set()

    def open(self, response: HttpResponse) -> bool:
        """Begin the stream of a page, and its client. Returns False where there are too many."""
        if len(self._clients) >= MOST_CLIENTS:
            return False
        key = secrets.token_urlsafe(16)
        scope = trio.CancelScope()
        outbox = PageOutbox(response, scope)
        client = self._clients[key] = PageClient(self._target, outbox)
        response.begin(200, STREAM_FIELDS)
        outbox.post("opened", key=key)
        if self._shown is not None:
            outbox.post("serving", **self._shown)
        self._nursery.start_soon(self._run, key, client, outbox, scope, name="trimcp view: client of a page")
        return True

    async def _run(self, key: str, client: PageClient, outbox: PageOutbox, scope: trio.CancelScope) -> None:
        self._outboxes.add(outbox)
        try:
            with scope:
                await client.run()
        except Exception as exc:  # noqa: BLE001 - it ends the client of one page, and not the server
            log.error(events.VIEW_FAILED, exc_info=exc)
            outbox.post("connection", state="failed", problem="The client of this page has failed: see the log")
        finally:
            self._outboxes.discard(outbox)
            del self._clients[key]
            outbox.end()

    async def act(self, key: str, what: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Do what a page asks for.

        Raises:
            ControlRefused: it cannot be done, or the page has no client.
        """
        client = self._clients.get(key)
        if client is None:
            raise ControlRefused("This page has no client any more: it gets another one when its stream is back")
        client.act(what, asked)
        await trio.lowlevel.checkpoint()
        return {}

    def show(self, serving: Mapping[str, Any]) -> None:
        """Show on all pages how the server is served: see `trimcp dev`."""
        self._shown = dict(serving)
        for outbox in self._outboxes:
            outbox.post("serving", **serving)

    def connect_again(self) -> None:
        """Have all clients connect anew: the server is another process now."""
        for client in self._clients.values():
            client.connect_again()
