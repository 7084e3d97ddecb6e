"""The supervisor of worker processes: starts them, replaces those that die, rolls them one by one, passes signals on.

It loads no program of the user, and serves no client. A worker whose supervisor has gone drains, and ends.
"""

from __future__ import annotations

import itertools
import signal
import socket
from collections.abc import Mapping, Sequence
from typing import Final

import trio

from trimcp.actors.backoff import Backoff
from trimcp.observability.stderr import write_line
from trimcp.server.workers.hub import BusHub
from trimcp.server.workers.port import SharedAddress
from trimcp.server.workers.process import WorkerProcess

STEADY: Final = 60.0
"""Seconds after which the death of a worker does not count with those before it."""
RESTARTS: Final = 10
"""Deaths in a row, in one slot, before the supervisor gives up."""
FIRST_PAUSE: Final = 0.1
"""Seconds before a worker is replaced; each further death in a row doubles them, up to half a minute."""
EXIT_FAILED: Final = 1


async def supervise(command: Sequence[str], count: int, addresses: Mapping[str, SharedAddress], directory: str) -> int:
    """Keep workers running until a signal; return the highest exit code of the workers.

    SIGTERM and SIGINT are passed on, and end the supervisor when all workers have ended. SIGHUP replaces the workers
    one by one.

    Args:
        command: starts a process that finds its `WorkerPlace` in the environment.
        count: how many processes serve at the same time.
        addresses: those that they share, each with a name that the workers know.
        directory: for files that they share.
    """
    slots: list[_Slot] = []
    try:
        slots.extend(_Slot({name: address.open() for name, address in addresses.items()}) for _ in range(count))
        async with trio.open_nursery() as nursery:
            supervisor = WorkerSupervisor(nursery, slots, tuple(addresses.values()), command, directory)
            await nursery.start(supervisor.take_signals)
            nursery.start_soon(supervisor.roll)
            await supervisor.run()
            nursery.cancel_scope.cancel()
        return supervisor.code
    finally:
        for slot in slots:
            slot.close()


class _Slot:
    """The place of one worker: its listening sockets, and the process that accepts on them now."""

    def __init__(self, sockets: Mapping[str, Sequence[socket.socket]]) -> None:
        self.sockets = sockets
        self.worker: WorkerProcess | None = None
        self.replacing = trio.Lock()
        """Held while another worker is started here."""

    def close(self) -> None:
        """Close the sockets."""
        for sock in itertools.chain.from_iterable(self.sockets.values()):
            sock.close()


class WorkerSupervisor:
    """Owns the workers. Made by `supervise`, which runs its tasks."""

    def __init__(
        self,
        nursery: trio.Nursery,
        slots: Sequence[_Slot],
        addresses: Sequence[SharedAddress],
        command: Sequence[str],
        directory: str,
    ) -> None:
        """`nursery`: the workers' processes are watched in it."""
        self._nursery = nursery
        self._slots = slots
        self._addresses = addresses
        self._command = command
        self._directory = directory
        self._hub = BusHub()
        self._workers: set[WorkerProcess] = set()
        self._stopping = trio.Event()
        self._outdated = trio.Event()
        """Set when the program has changed, and the workers are to be replaced."""
        self._is_announced = False
        self.code: int = 0
        """The exit code of the supervisor."""

    async def run(self) -> None:
        """Serve until all workers have ended. The first of them finds what is wrong with the program or its options."""
        slot = self._slots[0]
        async with slot.replacing:
            first = slot.worker = await self._start(slot)
        if not first.is_ready:
            if not self._stopping.is_set():
                self.code = first.code if first.code > 0 else EXIT_FAILED
            return
        async with trio.open_nursery() as nursery:
            for slot in self._slots:
                nursery.start_soon(self._keep, slot)
        for worker in list(self._workers):
            await worker.ended.wait()

    async def take_signals(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Pass signals on to the workers until cancelled; SIGHUP says that the program has changed."""
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as received:
            task_status.started()
            async for number in received:
                if number == signal.SIGHUP:
                    self._outdated.set()
                else:
                    self._stop(number)

    def _stop(self, number: int) -> None:
        self._stopping.set()
        # When the workers close their copies, connections are refused, and do not wait in vain.
        for slot in self._slots:
            slot.close()
        for address in self._addresses:
            address.close()
        for worker in self._workers:
            worker.send_signal(number)

    def _announce(self) -> None:
        """Write the address once, when all workers listen."""
        ready = [slot.worker for slot in self._slots if slot.worker is not None and slot.worker.is_ready]
        if len(ready) == len(self._slots) and not self._is_announced:
            self._is_announced = True
            write_line(f"trimcp: {ready[0].shown}, by {len(ready)} workers")

    # --- one worker after the other ---------------------------------------------------

    async def _start(self, slot: _Slot) -> WorkerProcess:
        """Start a worker; return it when it listens, or has ended."""
        worker = WorkerProcess(self._command, slot.sockets, self._directory, self._hub)
        self._workers.add(worker)
        self._nursery.start_soon(self._watch, worker)
        await worker.settled.wait()
        return worker

    async def _watch(self, worker: WorkerProcess) -> None:
        try:
            await worker.run()
        except* OSError as group:  # such as a Python that was removed
            write_line(f"trimcp: cannot start a worker: {group.exceptions[0]}")
        self._workers.discard(worker)
        if self._stopping.is_set() and worker.is_ready:
            self.code = max(self.code, worker.code if worker.code >= 0 else EXIT_FAILED)

    async def _keep(self, slot: _Slot) -> None:
        """Keep one worker running in a slot until the supervisor stops."""
        backoff = Backoff(first=FIRST_PAUSE, jitter=0.0, budget=RESTARTS)
        while not self._stopping.is_set():
            async with slot.replacing:
                if slot.worker is None or slot.worker.ended.is_set():
                    slot.worker = await self._start(slot)
                worker = slot.worker
            self._announce()
            await worker.ended.wait()
            if self._stopping.is_set() or slot.worker is not worker:
                continue
            write_line(f"trimcp: {worker.name} ended with {worker.code}")
            if trio.current_time() - worker.born >= STEADY:
                backoff.succeeded()
            pause = backoff.next_pause()
            if pause is None:
                write_line(f"trimcp: stopping: {backoff.tries} workers in a row have died; see the lines above")
                self.code = EXIT_FAILED
                self._stop(signal.SIGTERM)
                return
            with trio.move_on_after(pause):
                await self._stopping.wait()

    async def roll(self) -> None:
        """Replace the workers one by one when the program has changed, until cancelled."""
        while True:
            await self._outdated.wait()
            self._outdated = trio.Event()
            await self._roll()

    async def _roll(self) -> None:
        """Replace the workers. Each new one listens before the old one drains."""
        for slot in self._slots:
            async with slot.replacing:
                if self._stopping.is_set():
                    return
                before, worker = slot.worker, await self._start(slot)
                if not worker.is_ready:
                    write_line("trimcp: not updated: the new worker did not start, and the old ones go on")
                    return
                slot.worker = worker
            if before is not None:
                before.send_signal(signal.SIGTERM)
                await before.ended.wait()
                if before.code:
                    write_line(f"trimcp: {before.name} ended with {before.code}")
        write_line(f"trimcp: updated {len(self._slots)} workers")
