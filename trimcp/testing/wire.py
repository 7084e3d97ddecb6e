"""A wire between a client and a server in this process: it records each message, and makes faults on demand.

`Wire(server)` is a target of `trimcp.connect` and of a group, in the place of the server. A relay for each direction
moves whole messages, so a fault meets one message and not some bytes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final, Protocol

import attrs
import trio

from trimcp.errors import ConnectionEnded
from trimcp.recording.messages import Sender, other_side
from trimcp.testing.recorder import Recorded, Recorder
from trimcp.transports.duplex import Duplex, Frame
from trimcp.transports.memory import DEFAULT_CAPACITY, memory_pair

CLOSING: Final = 1.0
"""Seconds that an end may take to close; a memory pair takes none."""
Matches = Callable[[Recorded], bool]


class Serves(Protocol):
    """A server in this process: a `trimcp.Server`, a `FakeServer`, another `Wire`."""

    async def serve(self, duplex: Duplex, *, task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve one connection."""
        ...


@attrs.define(eq=False)
class _Fault:
    """One fault, and how many messages it will still meet."""

    kind: str
    matches: Matches
    left: int
    seconds: float = 0.0


class Wire:
    """Carries messages between the clients and one server, records them, and makes faults.

    A fault is set for the messages of one method, or of one sender; a response has the method of its request. Faults
    meet messages in the order in which they were set.
    """

    def __init__(self, server: Serves, *, capacity: int = DEFAULT_CAPACITY, keep: int = 10_000) -> None:
        """
        Args:
            server: the server behind the wire.
            capacity: bytes that wait in each direction, on each side of the wire, before a sender waits.
            keep: how many messages the record keeps, the newest.
        """
        self._server = server
        self._capacity = capacity
        self._faults: list[_Fault] = []
        self._flow = {"client": trio.Event(), "server": trio.Event()}
        for event in self._flow.values():
            event.set()
        self._cuts: set[trio.CancelScope] = set()
        self.record: Recorder = Recorder(keep)
        """The messages that passed, with those that were dropped."""

    # --- faults -----------------------------------------------------------------------

    def drop(self, method: str | None = None, *, sender: Sender | None = None, times: int = 1) -> None:
        """Lose the next messages that match."""
        self._set("drop", method, sender, times)

    def delay(
        self, seconds: float, method: str | None = None, *, sender: Sender | None = None, times: int = sys.maxsize
    ) -> None:
        """Hold up messages that match, and all behind them: the order stays."""
        self._set("delay", method, sender, times, seconds)

    def reorder(self, method: str | None = None, *, sender: Sender | None = None, times: int = 1) -> None:
        """Let the next message of the same sender overtake a message that matches."""
        self._set("reorder", method, sender, times)

    def cut_at(self, method: str | None = None, *, sender: Sender | None = None) -> None:
        """Cut the connection in the middle of the next message that matches.

        The reader gets the first half of it, and then the end of input, as of a program that was killed.
        """
        self._set("cut", method, sender, 1)

    def cut(self) -> None:
        """Cut every open connection now. Bytes on their way are lost."""
        for scope in self._cuts:
            scope.cancel()

    def pause(self, reader: Sender) -> None:
        """Stop reading for one side: its peer gets no further than the buffers of the wire."""
        self._flow[other_side(reader)] = trio.Event()

    def resume(self, reader: Sender) -> None:
        """Read again for a side that was paused."""
        self._flow[other_side(reader)].set()

    def _set(self, kind: str, method: str | None, sender: Sender | None, times: int, seconds: float = 0.0) -> None:
        def matches(passed: Recorded) -> bool:
            return method in (None, passed.method) and sender in (None, passed.sender)

        self._faults.append(_Fault(kind, matches, times, seconds))

    def _fault_of(self, passed: Recorded) -> _Fault | None:
        for fault in self._faults:
            if fault.matches(passed):
                fault.left -= 1
                if not fault.left:
                    self._faults.remove(fault)
                return fault
        return None

    # --- one connection ---------------------------------------------------------------

    async def serve(self, duplex: Duplex, *, task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED) -> None:
        """Carry one connection until both directions have ended. The task status is that of the server."""
        ours, theirs = memory_pair(capacity=self._capacity, limit=sys.maxsize, description="wire")
        async with trio.open_nursery() as nursery:
            task_status.started(await nursery.start(self._server.serve, theirs))
            with trio.CancelScope() as cut:
                self._cuts.add(cut)
                try:
                    async with trio.open_nursery() as relays:
                        relays.start_soon(self._relay, duplex, ours, "client", cut)
                        relays.start_soon(self._relay, ours, duplex, "server", cut)
                finally:
                    self._cuts.discard(cut)
            for end in (duplex, ours):
                with trio.move_on_after(CLOSING, shield=True):
                    await end.aclose()

    async def _relay(self, source: Duplex, target: Duplex, sender: Sender, cut: trio.CancelScope) -> None:
        """Move the messages of one sender, until it ends or its reader has gone."""
        held: list[bytes] = []
        try:
            while frames := await source.receive():
                for frame in frames:
                    await self._flow[sender].wait()
                    await self._pass_on(frame, target, sender, held, cut)
            for data in held:
                await target.send_all(data)
            await target.send_eof()
        except ConnectionEnded:
            cut.cancel()

    async def _pass_on(
        self, frame: Frame, target: Duplex, sender: Sender, held: list[bytes], cut: trio.CancelScope
    ) -> None:
        assert isinstance(frame, bytes)  # the wire takes lines of any length
        passed = self.record.take(sender, frame)
        fault = self._fault_of(passed)
        kind = None if fault is None else fault.kind
        data = frame + target.delimiter
        if kind == "drop":
            passed.fate = "dropped"
            return
        if kind == "reorder":
            passed.fate = "overtaken"
            held.append(data)
            return
        if kind == "cut":
            passed.fate = "cut"
            await target.send_all(data[: len(data) // 2])
            cut.cancel()
            await trio.lowlevel.checkpoint()
        if fault is not None and kind == "delay":
            await trio.sleep(fault.seconds)
        await target.send_all(data)
        while held:
            await target.send_all(held.pop(0))
