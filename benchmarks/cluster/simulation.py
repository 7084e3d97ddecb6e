"""One simulation: nodes, a balancer, clients and chaos; then the invariants."""

from __future__ import annotations

import functools
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import attrs
import trio

from benchmarks.cluster.balancer import Balancer, Faults
from benchmarks.cluster.callers import ModernClient
from benchmarks.cluster.chaos import KINDS, Chaos
from benchmarks.cluster.exchange import Address
from benchmarks.cluster.ledger import Ledger, Outcome
from benchmarks.cluster.nodes import Node
from benchmarks.cluster.sessions import SessionClient
from benchmarks.cluster.store_servers import FileStore, GivenStore, StoreServer, ValkeyServer
from benchmarks.cluster.task_callers import TaskCaller, callers_of
from benchmarks.cluster.task_ledger import TaskLedger
from trimcp.stores.node_store import LEASE

OPENING: Final = 32
"""Sessions that are opened at the same time."""
TOLD_SECONDS: Final = 20.0
"""Seconds in which a change must reach all that watch it, once all is quiet."""


@attrs.frozen(kw_only=True)
class Settings:
    """What to simulate. See the options of the command."""

    nodes: int = 3
    workers: int | None = None
    sessions: int = 100
    modern: int = 10
    tasks: int = 10
    """Tasks at once: half of them in sessions."""
    task_seconds: float = 4.0
    """Seconds that a task pauses at the most. One with steps pauses for a quarter of it at the most, before each."""
    seconds: float = 60.0
    rate: float = 30.0
    """Calls a second, over all clients."""
    store: str | None = None
    """`sqlite` and `valkey` are made here, `none` is the memory of one node; another value is that of `--store`."""
    kinds: Sequence[str] = KINDS
    every: float = 3.0
    lease: float = LEASE
    """Seconds after which a silent node counts as dead."""
    freeze_seconds: tuple[float, float] = (1.0, 20.0)
    faults: Faults = attrs.field(factory=Faults)
    options: Sequence[str] = ()
    """Further options of `trimcp run`."""
    squares: int = 10
    seed: int | None = None


@attrs.define
class Report:
    """What came out."""

    ledger: Ledger
    tasks: TaskLedger
    violations: Sequence[str]
    rows: Sequence[tuple[str, object]]
    """For people: a name and a value."""


@attrs.frozen
class Clients:
    """All clients of the simulation."""

    sessions: Sequence[SessionClient]
    modern: Sequence[ModernClient]
    tasks: Sequence[TaskCaller]
    """They use the others."""

    @property
    def all(self) -> Sequence[SessionClient | ModernClient]:
        """All of them."""
        return (*self.sessions, *self.modern)


async def simulate(settings: Settings, directory: Path) -> Report:
    """Run a simulation with its files in a directory, and check what came out."""
    random.seed(settings.seed)
    ledger, tasks = Ledger(), TaskLedger()
    effects, task_effects = directory / "effects", directory / "task_effects"
    for path in (effects, task_effects):
        path.unlink(missing_ok=True)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(store_of(settings, directory))
        log = os.open(directory / "nodes.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        stack.callback(os.close, log)
        background = await stack.enter_async_context(trio.open_nursery())
        environment = {"TOWN_EFFECTS": str(effects), "TOWN_TASK_EFFECTS": str(task_effects)}
        nodes = await _started(settings, store, background, environment, log)
        balancer = Balancer([node.address for node in nodes], settings.faults)
        address = await background.start(balancer.serve)
        chaos = Chaos(nodes, store, settings.kinds, settings.every, settings.freeze_seconds, log)
        clients = await _opened(settings, address, ledger, tasks, background)
        began = trio.current_time()
        await _disturbed(settings, clients, chaos)
        seconds = trio.current_time() - began
        await _served_again(clients, ledger)
        late = await _told(clients, ledger)
        async with trio.open_nursery() as closing:
            for client in clients.sessions:
                closing.start_soon(client.close)
        keys = await store.keys_without_ttl()
        background.cancel_scope.cancel()
    rung, ran = (path.read_text().splitlines() if path.exists() else [] for path in (effects, task_effects))
    lasting = [f"{key} has no time to live" for key in keys]
    violations = [*ledger.violations(rung), *tasks.violations(ran), *lasting]
    return Report(ledger, tasks, violations, _rows(ledger, tasks, balancer, chaos, nodes, seconds, late))


@asynccontextmanager
async def store_of(settings: Settings, directory: Path) -> AsyncIterator[StoreServer]:
    """Make the store that the settings ask for, or name it."""
    if settings.store in (None, "sqlite"):
        yield FileStore(directory)
    elif settings.store == "valkey":
        valkey = ValkeyServer(directory)
        await valkey.start()
        try:
            yield valkey
        finally:
            valkey.stop()
    else:
        yield GivenStore(None if settings.store == "none" else settings.store)


async def _started(
    settings: Settings, store: StoreServer, nursery: trio.Nursery, environment: Mapping[str, str], log: int
) -> Sequence[Node]:
    options = ["--grace", "5", *settings.options]
    if store.url is not None:
        options += ["--store", store.url]
    if settings.workers is not None:
        options += ["--workers", str(settings.workers)]
    environment = {**environment, "TOWN_LEASE": str(settings.lease)}
    nodes = [Node(number, nursery, options, environment) for number in range(settings.nodes)]
    async with trio.open_nursery() as starting:
        for node in nodes:
            starting.start_soon(node.start, log)
    return nodes


async def _opened(
    settings: Settings, address: Address, ledger: Ledger, tasks: TaskLedger, nursery: trio.Nursery
) -> Clients:
    """Open the sessions and the streams of all clients."""
    sessions = [
        SessionClient(nursery, number, address, ledger, number % settings.squares)
        for number in range(settings.sessions)
    ]
    modern = [ModernClient(number, address, ledger, number % settings.squares) for number in range(settings.modern)]
    limiter = trio.CapacityLimiter(OPENING)

    async def open_session(client: SessionClient) -> None:
        async with limiter:
            await client.open()

    async with trio.open_nursery() as opening:
        for client in sessions:
            opening.start_soon(open_session, client)
    for each in (*sessions, *modern):
        nursery.start_soon(each.listen)
    for each in (*sessions, *modern):
        await each.listens.wait()
    return Clients(sessions, modern, callers_of(settings.tasks, settings.task_seconds, sessions, modern, tasks))


async def _disturbed(settings: Settings, clients: Clients, chaos: Chaos) -> None:
    """Have the clients call under chaos; return when all calls and tasks have ended."""
    quiet = trio.Event()
    every = len(clients.all) / settings.rate
    async with trio.open_nursery() as nursery:
        for client in clients.all:
            nursery.start_soon(functools.partial(client.call_until, quiet, every=every))
        for caller in clients.tasks:
            nursery.start_soon(caller.call_until, quiet)
        await chaos.run(settings.seconds)
        quiet.set()


async def _served_again(clients: Clients, ledger: Ledger) -> None:
    """Check that each session is served once all is quiet."""
    without = set(clients.all)
    with trio.move_on_after(TOLD_SECONDS):
        for client in clients.all:
            await client.listens.wait()
            without.discard(client)  # a moment later a balancer may cut its stream
    for client in clients.all:
        if client in without:
            ledger.violate(f"{client.name} has no stream {TOLD_SECONDS:g} s after all is quiet")
    for client in clients.sessions:
        call = await client.call("ring", 0.0)
        with trio.move_on_after(TOLD_SECONDS):
            while call.outcome is Outcome.REFUSED:  # as by a node that has not joined anew
                await trio.sleep(1)
                call = await client.call("ring", 0.0)
        if call.outcome is not Outcome.ANSWERED:
            ledger.violate(f"{client.name} is not served after all is quiet: {call.outcome.value} {call.detail}")


async def _told(clients: Clients, ledger: Ledger) -> float:
    """Check that each client is told of a change; return the seconds until the last one was."""
    listens = {client: client.listens if client.listens.is_set() else None for client in clients.modern}
    for client in clients.all:
        client.told = 0
    began = trio.current_time()
    for square in {client.square for client in clients.all}:
        await next(client for client in clients.modern if client.square == square).announce()
    with trio.move_on_after(TOLD_SECONDS):
        while not all(client.told for client in clients.all):
            with trio.move_on_after(1):
                while not all(client.told for client in clients.all):  # noqa: ASYNC110 - each has a count of its own
                    await trio.sleep(0.01)
            # A listen cannot be resumed: a client whose listen was just cut has missed the change.
            for client in clients.modern:
                if not client.told and client.listens is not listens[client]:
                    listens[client] = client.listens
                    await client.listens.wait()
                    await client.announce()
    for client in clients.all:
        if not client.told:
            ledger.violate(f"{client.name} was not told of a change in {TOLD_SECONDS:g} s")
    return trio.current_time() - began


def _rows(
    ledger: Ledger,
    tasks: TaskLedger,
    balancer: Balancer,
    chaos: Chaos,
    nodes: Sequence[Node],
    seconds: float,
    late: float,
) -> Sequence[tuple[str, object]]:
    outcomes = Counter((call.kind, call.outcome.value) for call in ledger.calls)
    resumed = [call for call in ledger.calls if call.resumed]
    times = sorted(call.seconds for call in ledger.calls if call.outcome is Outcome.ANSWERED)
    return [
        ("seconds", f"{seconds:.0f}"),
        ("disturbances", ", ".join(f"{kind} {number}" for kind, number in sorted(chaos.done.items())) or "none"),
        ("starts of nodes", sum(node.starts for node in nodes)),
        ("requests through the balancer", balancer.passed),
        ("connections that nodes refused", balancer.refused),
        ("responses cut for being quiet", balancer.cut),
        *((f"{kind}: {outcome}", number) for (kind, outcome), number in sorted(outcomes.items())),
        ("calls whose stream was resumed", len(resumed)),
        *tasks.rows(),
        *sorted(ledger.counts.items()),
        ("median answer", f"{1000 * times[len(times) // 2]:.0f} ms" if times else "none"),
        ("slowest answer", f"{times[-1]:.1f} s" if times else "none"),
        ("all told of a change after", f"{late:.2f} s"),
    ]
