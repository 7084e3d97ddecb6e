"""Plays a script: two clients and a server over watched connections, on a mock clock.

Owns the play and the record of it; `test_state_machine` says what must hold of the record.
"""

from __future__ import annotations

import contextlib
from typing import Any, Literal

import attrs
import trio
import trio.testing

import trimcp
from tests.session.script import (
    CLIENTS,
    Advance,
    Call,
    Cancel,
    Change,
    Drain,
    Fault,
    Garbage,
    Ping,
    Script,
    Step,
    make_server,
)
from tests.session.wire import WatchedDuplex
from trimcp.server.run import ServerRun
from trimcp.session.session import Session
from trimcp.transports.memory import memory_pair

PATIENCE = 2000.0
"""Seconds of the mock clock: far beyond every limit of the server's, so passing it is a hang."""

LINGER = 30.0
"""Seconds that everybody stays when the script is over: enough for every tool to end."""

Outcome = Literal["result", "refused", "timed out", "ended", "cancelled", "invalid"]

UNREAD = (-32700, -32600)
"""Codes of errors without id, which fail the only call in flight: the server could not read what it was sent."""


@attrs.define
class Made:
    """One call: what was asked, what came of it."""

    call: Call
    nonce: int
    scope: trio.CancelScope
    outcome: Outcome | None = None
    result: trimcp.ToolResult | None = None
    error: Exception | None = None
    reports: list[float] = attrs.Factory(list)
    seen: int = 0
    """How many lines the client's end had seen when the outcome was there."""
    reports_after: int = 0
    """Reports that came when the outcome was there already."""


@attrs.define
class Drained:
    """One drain of one session: how many requests were in flight, and what is said of them."""

    peer: Peer
    in_flight: list[Any]
    """The ids of the requests when it began."""
    report: trimcp.DrainReport
    written: bool
    """Whether all that was to be written could be."""


class Peer:
    """One client with its connection."""

    def __init__(self, number: int, capacity: int) -> None:
        near, far = memory_pair(capacity=capacity, description=f"memory {number}")
        self.near = WatchedDuplex(near)
        self.far = WatchedDuplex(far)
        self.client: trimcp.Client | None = None
        self.server_side: Session | None = None
        self.serving = trio.CancelScope()
        self.leave = trio.Event()
        self.ready = trio.Event()


class Player:
    """The play of one script."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.server = make_server()
        self.peers = [Peer(number, script.capacity) for number in range(CLIENTS)]
        self.calls: list[Made] = []
        self.drains: list[Drained] = []
        self.extra_tool = False
        self.server_was_drained = False
        self.left_at_end: dict[str, int] = {}
        """What is still there after the play, and should not be."""

    async def play(self) -> None:
        """Play it to its end, in which everybody leaves."""
        tasks_before = trio.lowlevel.current_statistics().tasks_living
        with trio.fail_after(PATIENCE):
            async with self.server.running() as running, trio.open_nursery() as nursery:
                for peer in self.peers:
                    nursery.start_soon(self._serve, running, peer)
                    nursery.start_soon(self._connect, peer)
                    await peer.ready.wait()
                    self._introduce(running, peer)
                for step in self.script.steps:
                    await self._take(step, nursery)
                await trio.sleep(LINGER)
                for peer in self.peers:
                    peer.near.resume()
                    peer.leave.set()
                # Nothing is cancelled here: it must all end by itself.
            self._look_for_leftovers(running)
        self.left_at_end["tasks"] = trio.lowlevel.current_statistics().tasks_living - tasks_before

    async def _serve(self, running: ServerRun, peer: Peer) -> None:
        with peer.serving:
            await running.serve(peer.far)

    async def _connect(self, peer: Peer) -> None:
        async with trimcp.connect(peer.near, revision=self.script.version) as peer.client:
            peer.ready.set()
            await peer.leave.wait()

    def _introduce(self, running: ServerRun, peer: Peer) -> None:
        (far,) = (session for session in running.sessions if session.duplex is peer.far)
        peer.server_side = far
        peer.far.waiting_bytes = lambda: far.writer.waiting_bytes
        assert peer.client is not None
        near = peer.client.session
        peer.near.waiting_bytes = lambda: near.writer.waiting_bytes

    def _look_for_leftovers(self, running: ServerRun) -> None:
        snapshot = running.snapshot()
        self.left_at_end = {
            "sessions": len(running.sessions),
            "places": snapshot.places - snapshot.places_free,
            "sessions in the ring": snapshot.sessions_waiting,
            "jobs": len(running.jobs),
        }
        for number, peer in enumerate(self.peers):
            assert peer.server_side is not None
            assert peer.client is not None
            self.left_at_end |= {
                f"requests of {number}": len(peer.server_side.requests.in_flight),
                f"waiting requests of {number}": len(peer.server_side.requests.waiting),
                f"calls of {number}": len(peer.client.session.calls),
                f"questions to {number}": len(peer.server_side.calls),
            }

    # --- steps ------------------------------------------------------------------------

    async def _take(self, step: Step, nursery: trio.Nursery) -> None:
        if isinstance(step, Drain | Fault):
            # Let what was asked for get under way first, or there is little to disturb.
            await trio.testing.wait_all_tasks_blocked()
        match step:
            case Call():
                made = Made(step, len(self.calls), trio.CancelScope())
                self.calls.append(made)
                nursery.start_soon(self._call, made)
            case Cancel(back):
                if back < len(self.calls):
                    self.calls[-1 - back].scope.cancel()
            case Advance(0):
                await trio.testing.wait_all_tasks_blocked()
            case Advance(seconds):
                await trio.sleep(seconds)
            case Ping(number):
                nursery.start_soon(self._ping, self.peers[number])
            case Garbage(number, to_server, line):
                peer = self.peers[number]
                (peer.far if to_server else peer.near).inject(line)
            case Change():
                self._change_tools()
            case Drain(None, deadline):
                self.server_was_drained = True
                nursery.start_soon(self.server.drain, deadline)
            case Drain(number, deadline):
                assert number is not None
                nursery.start_soon(self._drain, self.peers[number], deadline)
            case Fault(number, kind):
                await self._fault(self.peers[number], kind)

    def _change_tools(self) -> None:
        if self.extra_tool:
            self.server.remove_tool("extra")
        else:

            async def extra() -> None: ...

            self.server.tool(extra)
        self.extra_tool = not self.extra_tool

    async def _drain(self, peer: Peer, deadline: float) -> None:
        session = peer.server_side
        assert session is not None
        # Subscriptions are ended, with their answer, as a drain begins.
        in_flight = [request.id for request in session.requests.in_flight if request.method != "subscriptions/listen"]
        report = await session.drain(deadline)
        self.drains.append(Drained(peer, in_flight, report, written=not peer.far.writes_failed))

    async def _fault(self, peer: Peer, kind: str) -> None:
        assert peer.client is not None
        match kind:
            case "client closes":
                peer.client.close()
            case "client leaves":
                peer.leave.set()
            case "client vanishes":
                await peer.near.aclose()
            case "server vanishes":
                await peer.far.aclose()
            case "server is cancelled":
                peer.serving.cancel()
            case "server input is cut":
                peer.far.cut_input(after=1)
            case "client input is cut":
                peer.near.cut_input(after=1)
            case "client stops reading":
                peer.near.pause()
            case "client reads again":
                peer.near.resume()

    async def _ping(self, peer: Peer) -> None:
        assert peer.client is not None
        with contextlib.suppress(trimcp.ConnectionEnded, trimcp.RequestTimedOut, trimcp.InvalidPayload):
            try:
                await peer.client.ping()
            except trimcp.RequestFailed as exc:
                if exc.code not in UNREAD:
                    raise

    async def _call(self, made: Made) -> None:
        call = made.call
        client = self.peers[call.client].client
        assert client is not None

        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            if made.outcome is not None:
                made.reports_after += 1
            made.reports.append(progress)
            await trio.lowlevel.checkpoint()

        watched: dict[str, Any] = {"on_progress": on_progress} if call.watched else {}
        arguments = {"nonce": made.nonce, "size": call.size}
        with made.scope:
            try:
                made.result = await client.call_tool(call.tool, arguments, timeout=call.timeout, **watched)
                outcome: Outcome = "result"
            except trimcp.RequestFailed as exc:
                outcome, made.error = ("invalid" if exc.code in UNREAD else "refused"), exc
            except trimcp.RequestTimedOut as exc:
                outcome, made.error = "timed out", exc
            except trimcp.ConnectionEnded as exc:
                outcome, made.error = "ended", exc
            except trimcp.InvalidPayload as exc:
                outcome, made.error = "invalid", exc
        assert made.outcome is None
        made.seen = len(self.peers[call.client].near.lines)
        made.outcome = "cancelled" if made.scope.cancelled_caught else outcome
