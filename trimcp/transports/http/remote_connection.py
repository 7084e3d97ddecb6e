"""One connection to a server, and one request after the other on it.

Owns the order of things: a request leaves, its response comes, and the connection is left fit for
the next one, or is not. Which connection a request gets is `remote_direct`'s.
"""

from __future__ import annotations

from typing import Final

import trio

from trimcp.transports.http.remote import WRITE_TIMEOUT, Origin
from trimcp.transports.http.remote_parsing import ResponseParser
from trimcp.transports.http.remote_wires import TAKES_NOTHING, Wire, WireBroken

OVERHEARD: Final = 64 * 1024
"""Bytes of a body that are kept while the request is still being sent."""
_LAST_READS: Final = 2
"""Reads by which the rest of a response that nobody wants is looked for, without waiting for it."""
_ENDED: Final = "the server ended it"


class Unintelligible(WireBroken):
    """What comes is not HTTP."""


class Connection:
    """A wire, and the parser of what comes over it."""

    __slots__ = ("_all_sent", "idle_since", "origin", "parser", "was_used", "wire")

    def __init__(self, wire: Wire, origin: Origin) -> None:
        """`wire`: it is owned. `origin`: the server that it leads to."""
        self.wire = wire
        self.origin = origin
        self.parser = ResponseParser()
        self.was_used = False
        """Whether there was a response on it already."""
        self.idle_since = 0.0
        """For the pool: when it was left (Trio's clock)."""
        self._all_sent = True

    async def ask(self, verb: str, data: bytes) -> None:
        """Send a request, and wait for the head of its response.

        Where this is cancelled, or raises, the connection is of no use any more.

        Raises:
            WireBroken: it broke before the head had come.
            Unintelligible: what came is not HTTP.
        """
        parser = self.parser
        parser.begin(verb)
        self._all_sent = False
        try:
            sent = await self.wire.send_first(data)
        except WireBroken as exc:
            await self._hear_last_words(exc)
            return
        if sent == len(data):
            self._all_sent = True
        else:
            await self._send_slowly(memoryview(data)[sent:])
        while not parser.has_head:
            await self.read()

    async def read(self) -> None:
        """Wait for what comes, and parse it.

        Raises:
            WireBroken: nothing more comes, and the response is not complete.
            Unintelligible: what came before is not HTTP.
        """
        parser = self.parser
        if parser.fault is not None:
            await trio.lowlevel.checkpoint()
            raise Unintelligible(parser.fault)
        data = await self.wire.receive()
        if data:
            parser.feed(data)
        elif not parser.end():
            raise WireBroken(_ENDED)

    async def _hear_last_words(self, failure: WireBroken) -> None:
        """The server takes nothing any more; what it said before may be there, and is of use."""
        try:
            while not self.parser.has_head:
                await self.read()
        except WireBroken:
            raise failure from None

    async def _send_slowly(self, rest: memoryview) -> None:
        """Send what did not leave at once, and listen meanwhile: a server may refuse what it has not read."""
        failures: list[WireBroken] = []
        sending = trio.CancelScope()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._overhear, sending, failures)
            with sending:
                try:
                    await self._push(rest)
                except WireBroken as exc:
                    failures.append(exc)
            if self._all_sent or (failures and str(failures[0]) == TAKES_NOTHING):
                nursery.cancel_scope.cancel()  # otherwise it ends by itself, as the connection does
        if failures and not self.parser.has_head:
            raise failures[0]

    async def _push(self, rest: memoryview) -> None:
        while rest:
            with trio.move_on_after(WRITE_TIMEOUT) as scope:
                rest = rest[await self.wire.send_some(rest) :]
            if scope.cancelled_caught:
                raise WireBroken(TAKES_NOTHING)
        self._all_sent = True

    async def _overhear(self, sending: trio.CancelScope, failures: list[WireBroken]) -> None:
        parser = self.parser
        try:
            while not parser.is_complete and parser.waiting_bytes < OVERHEARD:
                await self.read()
        except WireBroken as exc:
            failures.append(exc)
            sending.cancel()
        if parser.status >= 300:
            sending.cancel()  # the server has made up its mind; the connection is given up with the rest

    def is_reusable(self) -> bool:
        """Whether the response is over, with what is there already, and the next request may follow it."""
        parser = self.parser
        try:
            for _ in range(_LAST_READS):
                if parser.is_complete or parser.fault is not None or not parser.has_head:
                    break
                data = self.wire.receive_nowait()
                if not data:
                    break
                parser.feed(data)
                parser.take()
        except WireBroken:
            return False
        self.was_used = True
        return self._all_sent and parser.is_complete and parser.keeps_alive

    def close(self) -> None:
        """End it. Whoever waits for it gets to know."""
        self.wire.close()
