"""Tasks over several nodes that share a store: each node answers for all, and settles those of the dead."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
from trio.testing import MockClock

import trimcp
from tests.session.peer import MODERN, served
from tests.tasks.principals import served_to
from tests.tasks.workshop import CORE, DECLARED, Client, Workshop, accepted, opened
from trimcp.codec.jsontext import loads
from trimcp.extensions.tasks import lifecycle
from trimcp.protocol.cancel_reason import CancelReason
from trimcp.protocol.principal import Principal, principal_of_key
from trimcp.stores import MemoryStore
from trimcp.stores.bus import Bus, Gap
from trimcp.stores.memory_nodes import MemoryBus


class Node:
    """A server of a cluster, in a nursery of its own that can be killed."""

    def __init__(self, store: MemoryStore) -> None:
        self.workshop = Workshop(store=store)
        self.life = trio.CancelScope()

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with self.life:
            async with self.workshop.server.running():
                task_status.started()
                await trio.sleep_forever()

    async def kill(self) -> None:
        """Die as by kill -9: the store hears nothing more of this node."""
        (run,) = self.workshop.server._runs._runs
        assert run.node is not None
        run.node.is_fenced = True  # so that it settles nothing, and does not leave
        run.tasks.manager.fence()  # type: ignore[union-attr]
        self.life.cancel()
        await trio.testing.wait_all_tasks_blocked()

    @asynccontextmanager
    async def client(self, version: str = MODERN) -> AsyncIterator[Client]:
        async with served(self.workshop.server, version, opened=False) as peer:
            yield await opened(peer)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(shared=True, clock=lambda: lifecycle.now())


@asynccontextmanager
async def cluster(
    store: MemoryStore, size: int = 2, providers: Sequence[trimcp.Provider] = ()
) -> AsyncIterator[list[Node]]:
    """Nodes that share a store, each with its provider if there are any."""
    nodes = [Node(store) for _ in range(size)]
    for node, provider in zip(nodes, providers, strict=False):
        node.workshop.server.add_provider(provider)
    async with trio.open_nursery() as nursery:
        for node in nodes:
            await nursery.start(node.run)
        yield nodes
        nursery.cancel_scope.cancel()


@pytest.fixture(params=[CORE, MODERN])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class LossyBus(Bus):
    """Loses everything, without a word."""

    async def publish(self, message: bytes, *, to: int | None = None) -> None:
        await trio.lowlevel.checkpoint()

    @asynccontextmanager
    async def subscribe(self, incarnation: int) -> AsyncIterator[trio.MemoryReceiveChannel[bytes | Gap]]:
        send, receive = trio.open_memory_channel[bytes | Gap](0)
        with send:
            yield receive


class CountingBus(MemoryBus):
    """Counts the messages that all nodes get."""

    def __init__(self) -> None:
        super().__init__()
        self.published: list[bytes] = []

    async def publish(self, message: bytes, *, to: int | None = None) -> None:
        self.published.append(message)
        await super().publish(message, to=to)


@pytest.mark.parametrize("loses", [False, True])
async def test_any_node_answers_and_cancels(
    autojump_clock: MockClock, store: MemoryStore, version: str, loses: bool
) -> None:
    if loses:
        store.bus = LossyBus()
    async with cluster(store) as (a, b), a.client(version) as first, b.client(version) as second:
        id = await first.begin("work")
        assert (await second.get(id))["status"] == "working"
        await second.cancel(id)
        assert (await first.get(id))["status"] == "cancelled"
        await trio.sleep(6 if loses else 0.1)
        assert a.workshop.reasons == [CancelReason.CANCELLED]


@pytest.mark.parametrize("loses", [False, True])
async def test_an_answer_at_another_node_reaches_the_work(
    autojump_clock: MockClock, store: MemoryStore, version: str, loses: bool
) -> None:
    if loses:
        store.bus = LossyBus()
    async with cluster(store) as (a, b), a.client(version) as first, b.client(version) as second:
        id = await first.begin("ask")
        with trio.fail_after(60):
            if version == CORE:
                outcome = await second.result_with_answers(id, "Ada", "Bob")
            else:
                for name in ("Ada", "Bob"):
                    state = await second.wait(id, "input_required")
                    (key,) = state["inputRequests"]
                    await second.ask("tasks/update", {"taskId": id, "inputResponses": {key: accepted(name)}})
                outcome = await first.outcome(id)
        assert outcome["content"][0]["text"] == "Ada, Bob"
        assert a.workshop.runs == ["ask"]
        assert b.workshop.runs == []


async def test_a_listen_at_another_node_is_told(autojump_clock: MockClock, store: MemoryStore) -> None:
    async with cluster(store) as (a, b), a.client() as first, b.client() as second:
        id = await first.begin("work")
        await listening(second, id)
        a.workshop.release.set()
        with trio.fail_after(1):
            while (await second.peer.receive())["params"].get("status") != "completed":
                pass


async def listening(client: Client, id: str) -> None:
    """Listen to a task, and take the acknowledgement and the first state."""
    filter = {"notifications": {"taskIds": [id]}}
    await client.peer.send(client.peer.request("L", "subscriptions/listen", filter, **DECLARED))
    for _ in range(2):
        await client.peer.receive()


async def test_a_change_crosses_the_bus_once_and_without_its_result(
    autojump_clock: MockClock, store: MemoryStore
) -> None:
    bus = store.bus = CountingBus()
    async with cluster(store, 3) as (a, b, c), a.client() as first, b.client() as second, c.client() as third:
        id = await first.begin("work", {"label": "x" * 1000})
        for client in (first, second, third):
            await listening(client, id)
        await trio.sleep(1)
        bus.published.clear()
        a.workshop.release.set()
        for client in (first, second, third):
            with trio.fail_after(1):
                assert (await client.peer.receive())["params"]["status"] == "completed"
        await trio.sleep(1)
        assert [loads(message)[1:] for message in bus.published] == [["task", id]]


async def test_a_listen_learns_what_came_in_a_gap_of_the_bus(autojump_clock: MockClock, store: MemoryStore) -> None:
    async with cluster(store) as (a, b), a.client() as first, b.client() as second:
        id = await first.begin("work")
        await listening(second, id)
        lossy, store.bus.publish = store.bus.publish, LossyBus().publish  # type: ignore[method-assign]
        a.workshop.release.set()
        await first.wait(id)
        with trio.move_on_after(5) as waiting:
            await second.peer.receive()
        assert waiting.cancelled_caught
        store.bus.publish = lossy  # type: ignore[method-assign]
        (run,) = b.workshop.server._runs._runs
        assert run.messages is not None
        run.messages.node_joined(3)  # the bus is opened again
        with trio.fail_after(1):
            assert (await second.peer.receive())["params"]["status"] == "completed"


async def test_a_listen_is_told_once_of_a_change_that_no_message_told_of(
    autojump_clock: MockClock, store: MemoryStore
) -> None:
    store.bus = LossyBus()
    async with cluster(store) as (a, b), a.client() as first, b.client() as second:
        id = await first.begin("work")
        await listening(second, id)
        a.workshop.release.set()
        with trio.fail_after(60):
            assert (await second.peer.receive())["params"]["status"] == "completed"
        with trio.move_on_after(60) as waiting:
            await second.peer.receive()
        assert waiting.cancelled_caught


async def test_the_result_is_waited_for_at_another_node(autojump_clock: MockClock, store: MemoryStore) -> None:
    async with cluster(store) as (a, b), a.client(CORE) as first, b.client(CORE) as second:
        id = await first.begin("work")
        await second.peer.send(second.peer.request("waits", "tasks/result", {"taskId": id}))
        await trio.sleep(0.1)
        a.workshop.release.set()
        with trio.fail_after(1):
            answer = await second.answer("waits")
        assert answer["result"]["content"][0]["text"] == "work done"


async def test_a_task_of_a_dead_node_fails_and_says_why(
    autojump_clock: MockClock, store: MemoryStore, version: str
) -> None:
    async with cluster(store) as (a, b), b.client(version) as second:
        async with a.client(version) as first:
            id = await first.begin("once")
            await a.kill()
        assert (await second.get(id))["status"] == "working"  # it may live
        assert (await second.wait(id))["status"] == "failed"
        error = await second.outcome(id)
        assert (error["code"], error["data"]) == (-31010, {"reason": "node_lost"})


async def test_a_task_of_a_dead_node_runs_again_once(
    autojump_clock: MockClock, store: MemoryStore, version: str
) -> None:
    async with cluster(store, 3) as (a, b, c), b.client(version) as second:
        async with a.client(version) as first:
            id = await first.begin("work", {"label": "again"})
            await a.kill()
        await trio.sleep(60)
        assert b.workshop.runs + c.workshop.runs == ["again"]
        assert (await second.get(id))["status"] == "working"
        for node in (b, c):
            node.workshop.release.set()
        assert (await second.outcome(id))["content"][0]["text"] == "again done"


async def test_answers_that_were_given_are_not_asked_for_again(autojump_clock: MockClock, store: MemoryStore) -> None:
    async with cluster(store) as (a, b), b.client() as second:
        async with a.client() as first:
            id = await first.begin("ask")
            await first.wait(id, "input_required")
            await first.ask("tasks/update", {"taskId": id, "inputResponses": {"first": accepted("Ada")}})
            await trio.sleep(0.1)
            (key,) = (await first.get(id))["inputRequests"]
            assert key != "first"
            await a.kill()
        await trio.sleep(60)
        state = await second.wait(id, "input_required")
        assert list(state["inputRequests"]) == [key]
        await second.ask("tasks/update", {"taskId": id, "inputResponses": {key: accepted("Bob")}})
        assert (await second.outcome(id))["content"][0]["text"] == "Ada, Bob"


async def test_of_cancels_at_two_nodes_and_the_end_of_the_work_one_wins(
    autojump_clock: MockClock, store: MemoryStore, version: str
) -> None:
    async with (
        cluster(store, 3) as (a, b, c),
        a.client(version) as first,
        b.client(version) as second,
        c.client(version) as third,
    ):
        for round in range(20):
            a.workshop.release = trio.Event()
            id = await first.begin("once")
            answers: list[object] = []

            async def cancel(client: Client, id: str = id, answers: list[object] = answers) -> None:
                answers.append(await client.cancel(id))

            async def release() -> None:
                a.workshop.release.set()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(cancel, second)
                nursery.start_soon(cancel, third)
                if round % 2:
                    nursery.start_soon(release)
            await trio.sleep(6)
            states = [await client.get(id) for client in (first, second, third)]
            assert len({(state["status"], state["lastUpdatedAt"]) for state in states}) == 1
            if first.is_core:  # the cancel that came first has cancelled it, and all others are told so
                won = [answer for answer in answers if "result" in answer]  # type: ignore[operator]
                assert len(won) == (states[0]["status"] == "cancelled")
            outcomes = [await client.outcome(id) for client in (second, third)]
            assert outcomes[0] == outcomes[1]


async def test_a_task_that_is_gone_while_its_result_is_waited_for_ends_everywhere(
    autojump_clock: MockClock, store: MemoryStore
) -> None:
    async with cluster(store) as (a, b), b.client(CORE) as second, a.client(CORE) as first:
        id = await first.begin("once", ttl=3000)
        unknown = (await second.ask("tasks/get", {"taskId": "unknown"}))["error"]
        await second.peer.send(second.peer.request("result", "tasks/result", {"taskId": id}))
        await trio.testing.wait_all_tasks_blocked()
        record = await store.tasks.find(id)
        assert record is not None
        await store.tasks.update(attrs.evolve(record, ttl=0.0))  # as if the store had lost it
        with trio.fail_after(20):
            assert (await second.answer("result"))["error"] == unknown
        assert (await second.ask("tasks/get", {"taskId": id}))["error"] == unknown


async def test_steps_and_scopes_are_kept_for_the_next_run(
    autojump_clock: MockClock, store: MemoryStore, version: str
) -> None:
    ada = Principal("ada", scopes={"write", "read"})
    async with cluster(store) as (a, b), served_to(b.workshop.server, version, ada) as second:
        async with served_to(a.workshop.server, version, ada) as first:
            id = await first.begin("book")
            await trio.sleep(0.1)
            assert a.workshop.runs == ["first", "second"]
            await a.kill()
        await trio.sleep(60)
        b.workshop.release.set()
        text = (await second.outcome(id))["content"][0]["text"]
        assert text == "first of 1, second of 2 for ['read', 'write']"
        assert b.workshop.runs == []


async def test_the_results_of_steps_have_a_bound(autojump_clock: MockClock, store: MemoryStore, version: str) -> None:
    async with cluster(store, 1) as (a,), a.client(version) as client:
        error = await client.outcome(await client.begin("hoard"))
        assert "Limits.task_bytes" in error["message"]


async def test_results_and_ends_outlive_their_node(autojump_clock: MockClock, store: MemoryStore, version: str) -> None:
    async with cluster(store) as (a, b), b.client(version) as second:
        async with a.client(version) as first:
            a.workshop.release.set()
            done = await first.begin("work")
            await first.wait(done)
            broken = await first.begin("fail", {"how": "protocol"})
            await first.wait(broken)
            await a.kill()
        await trio.sleep(60)
        assert (await second.outcome(done))["content"][0]["text"] == "work done"
        assert (await second.outcome(broken))["message"] == "no"


def test_a_principal_is_known_when_its_task_runs_again() -> None:
    for principal in (
        Principal("a:b"),
        Principal("ada", client="x:y"),
        Principal("ü", issuer="https://i:1", client="c"),
    ):
        assert principal_of_key(principal.key) == principal
