"""Any order of calls of a store, on two handles, against a model: memory, SQLite and Valkey do the same."""

from __future__ import annotations

import queue
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import attrs
import pytest
import trio
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.stores.contract import record
from tests.stores.valkey import ValkeyProcess
from trimcp.stores import MemoryStore, SQLite, Store, Valkey
from trimcp.stores.event_store import SETTLED, AppendFailed, EventBatch, StoredEvents
from trimcp.stores.session_store import SessionRecord
from trimcp.stores.task_store import TaskRecord
from trimcp.testing.store_checks.racing import fresh
from trimcp.testing.store_checks.tasks import task

T = TypeVar("T")
HANDLES = st.integers(0, 1)
NAMES = st.sampled_from("ab")
STREAMS = st.integers(1, 2)
NODES = st.integers(1, 2)


@attrs.define
class Stream:
    """One stream of the model."""

    writer: int
    events: list[tuple[int, bytes]]
    last: int
    is_finished: bool = False


class StoreMachine(RuleBasedStateMachine):
    """Calls a store, and compares each result with that of the model."""

    call: ClassVar[Callable[[Callable[[], Awaitable[Any]]], Any]]
    handles: ClassVar[list[Store]]

    def __init__(self) -> None:
        super().__init__()
        self.suffix = fresh()  # another part of the data for each example
        self.streams: dict[tuple[str, int], Stream] = {}
        self.sessions: dict[str, SessionRecord] = {}
        self.tasks: dict[str, TaskRecord] = {}
        self.uris: dict[str, set[str]] = {}

    def id(self, name: str) -> str:
        return name + self.suffix

    def run(self, function: Callable[..., Awaitable[T]], *args: Any, **options: Any) -> T:
        result: T = type(self).call(lambda: function(*args, **options))
        return result

    # --- events -----------------------------------------------------------------------

    @rule(
        handle=HANDLES,
        name=NAMES,
        stream=STREAMS,
        writer=NODES,
        offset=st.sampled_from([0, 0, 0, -1, 1]),
        count=st.integers(0, 3),
        is_last=st.booleans(),
    )
    def append(self, handle: int, name: str, stream: int, writer: int, offset: int, count: int, is_last: bool) -> None:
        known = self.streams.get((name, stream))
        last = 0 if known is None else known.last
        first = max(1, last + 1 + offset)
        events = tuple(b"%d" % n for n in range(first, first + count))
        try:
            batch = EventBatch(self.id(name), stream, first, events, is_last, writer)
            self.run(self.handles[handle].events.append, [batch])
        except AppendFailed:
            assert known is not None
            assert known.writer != writer
            return
        assert known is None or known.writer == writer
        if known is None:
            if not events and (is_last or first != 1):
                return
            known = self.streams[name, stream] = Stream(writer, [], 0)
        if not events and is_last and known.last < first - 1:
            del self.streams[name, stream]
            return
        new = [(number, event) for number, event in enumerate(events, first) if number > known.last]
        if new:
            known.events = [*(known.events if new[0][0] == known.last + 1 else ()), *new]
            known.last = new[-1][0]
        known.is_finished |= is_last and batch.last == known.last

    @rule(handle=HANDLES, name=NAMES, stream=STREAMS, back=st.integers(-1, 4))
    def replay(self, handle: int, name: str, stream: int, back: int) -> None:
        known = self.streams.get((name, stream))
        after = (0 if known is None else known.last) - back
        found = self.run(self.handles[handle].events.replay, self.id(name), stream, after)
        if known is None or not 0 <= after <= known.last or (known.events and after < known.events[0][0] - 1):
            assert found is None
            return
        events = tuple(each for each in known.events if each[0] > after)
        assert found == StoredEvents(events, known.is_finished, known.writer)

    @rule(handle=HANDLES, name=NAMES, stream=STREAMS, writer=NODES)
    def settle(self, handle: int, name: str, stream: int, writer: int) -> None:
        known = self.streams.get((name, stream))
        settled = self.run(self.handles[handle].events.settle, self.id(name), stream, writer, (b"lost",))
        assert settled == (known is not None and known.writer == writer and not known.is_finished)
        if settled:
            assert known is not None
            known.last += 1
            known.events.append((known.last, b"lost"))
            known.is_finished, known.writer = True, SETTLED

    @rule(handle=HANDLES, name=NAMES)
    def forget(self, handle: int, name: str) -> None:
        self.run(self.handles[handle].events.forget, self.id(name))
        self.streams = {key: stream for key, stream in self.streams.items() if key[0] != name}

    # --- sessions -----------------------------------------------------------------------

    @rule(handle=HANDLES, name=NAMES)
    def add(self, handle: int, name: str) -> None:
        added = record(self.id(name))
        try:
            self.run(self.handles[handle].sessions.add, added)
        except ValueError:
            assert name in self.sessions
        else:
            assert name not in self.sessions
            self.sessions[name] = added

    @rule(handle=HANDLES, name=NAMES, version=st.integers(0, 3), seen_at=st.floats(0, 2e9))
    def update(self, handle: int, name: str, version: int, seen_at: float) -> None:
        known = self.sessions.get(name)
        updated = record(self.id(name), version=version, next_stream=version + 7, seen_at=seen_at)
        found = self.run(self.handles[handle].sessions.update, updated)
        if known is None or known.version != version:
            assert found is None
        else:
            self.sessions[name] = attrs.evolve(updated, version=version + 1)
            assert found == self.sessions[name]

    @rule(handle=HANDLES, name=NAMES, seen_at=st.floats(0, 2e9))
    def touch(self, handle: int, name: str, seen_at: float) -> None:
        self.run(self.handles[handle].sessions.touch, [self.id(name)], seen_at)
        if name in self.sessions:
            self.sessions[name] = attrs.evolve(self.sessions[name], seen_at=seen_at)

    @rule(handle=HANDLES, name=NAMES)
    def find(self, handle: int, name: str) -> None:
        assert self.run(self.handles[handle].sessions.find, self.id(name)) == self.sessions.get(name)

    @rule(handle=HANDLES, name=NAMES)
    def remove(self, handle: int, name: str) -> None:
        """Both, as a server does: some stores forget the subscriptions with the session already."""
        self.run(self.handles[handle].sessions.remove, self.id(name))
        self.run(self.handles[handle].subscriptions.forget, self.id(name))
        self.sessions.pop(name, None)
        self.uris.pop(name, None)

    @rule(handle=HANDLES, name=NAMES, uri=NAMES, is_on=st.booleans())
    def subscribe(self, handle: int, name: str, uri: str, is_on: bool) -> None:
        store, uris = self.handles[handle].subscriptions, self.uris.setdefault(name, set())
        changed = self.run(store.add if is_on else store.remove, self.id(name), uri)
        assert changed == ((uri in uris) != is_on)
        (uris.add if is_on else uris.discard)(uri)
        assert self.run(store.uris_of, self.id(name)) == uris

    # --- tasks ------------------------------------------------------------------------

    @rule(handle=HANDLES, name=st.sampled_from("abcd"), node=NODES)
    def create(self, handle: int, name: str, node: int) -> None:
        principal = self.id("ada")
        created = task(self.id(name), principal=principal, incarnation=10**6 + node, ttl=3600.0)
        try:
            is_kept = self.run(self.handles[handle].tasks.create, created, most=3)
        except ValueError:
            assert name in self.tasks
        else:
            assert name not in self.tasks
            assert is_kept == (len(self.tasks) < 3)
            if is_kept:
                self.tasks[name] = created

    @rule(
        handle=HANDLES,
        name=st.sampled_from("abcd"),
        version=st.integers(0, 2),
        status=st.sampled_from(["working", "completed"]),
        node=NODES,
    )
    def transition(self, handle: int, name: str, version: int, status: Any, node: int) -> None:
        known = self.tasks.get(name, task(self.id(name), principal=self.id("ada")))
        changed = attrs.evolve(known, version=version, status=status, incarnation=10**6 + node)
        found = self.run(self.handles[handle].tasks.update, changed)
        if name not in self.tasks or known.version != version:
            assert found is None
        else:
            self.tasks[name] = attrs.evolve(changed, version=version + 1)
            assert found == self.tasks[name]

    @rule(handle=HANDLES, after=st.sampled_from(["", *"abcd"]), limit=st.integers(1, 4))
    def list_tasks(self, handle: int, after: str, limit: int) -> None:
        names = list(self.tasks)
        listing = self.handles[handle].tasks.list
        try:
            found = self.run(listing, self.id("ada"), self.id(after) if after else None, limit)
        except KeyError:
            assert after not in names
            return
        start = names.index(after) + 1 if after else 0
        assert list(found) == [self.tasks[name] for name in names[start : start + limit]]

    @rule(handle=HANDLES, node=NODES)
    def unfinished(self, handle: int, node: int) -> None:
        found = self.run(self.handles[handle].tasks.unfinished, 10**6 + node)
        mine = {each.id for each in found if each.principal == self.id("ada")}
        of_node = [each for each in self.tasks.values() if each.incarnation == 10**6 + node and not each.is_final]
        assert mine == {each.id for each in of_node}


@contextmanager
def calls_of(handles: list[Store]) -> Iterator[Callable[[Callable[[], Awaitable[Any]]], Any]]:
    """Open the handles in one run of Trio, and give a function that makes a call in it from outside."""
    asked: queue.SimpleQueue[Any] = queue.SimpleQueue()
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

    async def serve() -> None:
        async with handles[0].open(), handles[1].open():
            while (call := asked.get()) is not None:  # this run has nothing else to do
                try:
                    answers.put((await call(), None))
                except Exception as exc:
                    answers.put((None, exc))

    def call(function: Callable[[], Awaitable[Any]]) -> Any:
        asked.put(function)
        value, error = answers.get()
        if error is not None:
            raise error
        return value

    thread = threading.Thread(target=trio.run, args=(serve,))
    thread.start()
    try:
        yield call
    finally:
        asked.put(None)
        thread.join()


@pytest.mark.parametrize("kind", ["memory", "sqlite", "valkey"])
def test_any_order_of_calls_does_what_the_model_does(kind: str, valkey: ValkeyProcess) -> None:
    with tempfile.TemporaryDirectory() as directory:
        one: Store = MemoryStore(shared=True)
        handles = [one, one]
        if kind == "sqlite":
            handles = [SQLite(Path(directory) / "state.db") for _ in range(2)]
        elif kind == "valkey":
            handles = [Valkey(valkey.url, deadline=5.0) for _ in range(2)]
        with calls_of(handles) as call:
            machine = type("Machine", (StoreMachine,), {"call": staticmethod(call), "handles": handles})
            run_state_machine_as_test(
                machine,
                settings=settings(
                    max_examples=60,
                    stateful_step_count=30,
                    deadline=None,
                    suppress_health_check=[HealthCheck.too_slow],
                ),
            )
