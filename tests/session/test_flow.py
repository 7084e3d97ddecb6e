"""Peers that do not read, connections that fail, and two ends that flood each other."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.session.peer import ERAS, Logged, Peer, served
from trimcp import ConnectionLost, Limits
from trimcp.transports.duplex import Duplex, Frame
from trimcp.transports.memory import memory_pair


def make_server(**limits: Any) -> trimcp.Server:
    server = trimcp.Server("test", limits=Limits(**limits))

    @server.tool
    async def repeat(text: str, times: int = 1) -> str:
        return text * times

    @server.tool
    async def wait() -> str:
        await trio.sleep_forever()
        return "never"

    return server


class Failing(Duplex):
    """A connection whose parts fail as told."""

    def __init__(self, inner: Duplex) -> None:
        self._inner = inner
        self.receiving: Exception | None = None
        self.sending: Exception | None = None
        self.closed = False

    async def receive(self) -> Sequence[Frame]:
        if self.receiving is not None:
            await trio.lowlevel.checkpoint()
            raise self.receiving
        return await self._inner.receive()

    def try_send(self, data: bytes) -> int:
        if self.sending is not None:
            raise self.sending
        return self._inner.try_send(data)

    async def send_all(self, data: bytes) -> None:
        if self.sending is not None:
            await trio.lowlevel.checkpoint()
            raise self.sending
        await self._inner.send_all(data)

    async def send_eof(self) -> None:
        await self._inner.send_eof()

    async def aclose(self) -> None:
        self.closed = True
        await self._inner.aclose()

    @property
    def description(self) -> str:
        return "failing"


@pytest.mark.parametrize("version", ERAS)
@pytest.mark.parametrize("what", ["receive", "send", "receive by a bug", "send by a bug"])
async def test_a_connection_that_fails_ends_its_session_and_no_other(
    version: str, what: str, logged: Logged, autojump_clock: MockClock
) -> None:
    server = make_server()
    failure: Exception = RuntimeError("a bug") if "bug" in what else ConnectionLost("the cable is cut")
    async with server.running() as running, served(server, version) as other, trio.open_nursery() as nursery:
        ours, theirs = memory_pair()
        failing = Failing(theirs)
        session = await nursery.start(server.serve, failing)
        peer = Peer(ours, version)
        await peer.open()
        await peer.send(peer.call(1, "wait"))
        await wait_all_tasks_blocked()
        if what.startswith("receive"):
            failing.receiving = failure
        else:
            failing.sending = failure
        await peer.send(peer.call(2, "repeat", {"text": "x"}))
        with trio.fail_after(100):
            await session.wait_over()
        assert failing.closed
        assert isinstance(session.end, trimcp.ConnectionEnded)
        assert bool(logged.of("session.failed")) == ("bug" in what)
        assert session.snapshot().requests == ()
        assert (await other.ask(other.call(1, "repeat", {"text": "x"})))["id"] == 1
        await wait_all_tasks_blocked()
        assert running.admission.free == running.admission.most


async def test_a_connection_that_never_closes_is_left_after_a_second(autojump_clock: MockClock) -> None:
    class Clinging(Failing):
        async def aclose(self) -> None:
            await trio.sleep_forever()

    server = make_server()
    ours, theirs = memory_pair()
    async with trio.open_nursery() as nursery:
        session = await nursery.start(server.serve, Clinging(theirs))
        before = trio.current_time()
        session.close()
        await session.wait_over()
        assert trio.current_time() - before <= 2
    await ours.aclose()


@pytest.mark.parametrize("version", ERAS)
async def test_a_peer_that_stops_reading_is_not_read_from_and_then_let_go(
    version: str, logged: Logged, autojump_clock: MockClock
) -> None:
    """Requests keep coming and nobody reads the answers: memory stays bounded, others notice nothing."""
    server = make_server(out_bytes=100_000, write_timeout=30, session_request_bytes=100_000)
    async with server.running(), served(server, version) as other, served(server, version, capacity=4096) as peer:
        session = peer.session
        assert session is not None
        sent = 0
        highest = 0

        async def flood() -> None:
            nonlocal sent
            with trio.CancelScope() as scope:
                flooding.append(scope)
                while True:
                    await peer.duplex.send_all(line(peer.call(sent, "repeat", {"text": "0123456789", "times": 100})))
                    sent += 1

        flooding: list[trio.CancelScope] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stopped_by_loss, flood)
            for _ in range(50):
                await wait_all_tasks_blocked()
                highest = max(highest, session.writer.waiting_bytes)
                await trio.sleep(0.1)
            # It has stopped reading long before, since what it would have to say waits already.
            read = session.messages_read
            assert highest <= 100_000 + 2 * 4096 * 20 + 65536
            await trio.sleep(20)
            assert session.messages_read == read
            assert session.end is None
            assert (await other.ask(other.call(1, "repeat", {"text": "x"})))["id"] == 1
            with trio.fail_after(100):
                await session.wait_over()
            flooding[0].cancel()
        assert "read nothing for 30 s" in str(session.end)
        assert logged.of("writer.blocked")
        assert (await other.ask(other.call(2, "repeat", {"text": "x"})))["id"] == 2


def line(message: Any) -> bytes:
    return json.dumps(message).encode() + b"\n"


async def stopped_by_loss(work: Any) -> None:
    """Run it until the other end has closed."""
    with contextlib.suppress(ConnectionLost):
        await work()


@pytest.mark.parametrize("version", ERAS)
async def test_a_peer_that_reads_again_gets_everything(version: str, autojump_clock: MockClock) -> None:
    server = make_server(out_bytes=10_000)
    async with served(server, version, capacity=4096) as peer:
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                for n in range(200):
                    await peer.send(peer.call(n, "repeat", {"text": "0123456789", "times": 100}))

            nursery.start_soon(ask)
            await trio.sleep(20)
            answers = [await peer.receive() for _ in range(200)]
        assert {a["id"] for a in answers} == set(range(200))
        assert all(len(a["result"]["content"][0]["text"]) == 1000 for a in answers)


async def test_a_handler_that_reports_waits_while_the_peer_does_not_read(autojump_clock: MockClock) -> None:
    server = make_server(out_bytes=10_000, write_timeout=1000)
    reported = 0

    @server.tool
    async def chatter(ctx: trimcp.Context) -> str:
        nonlocal reported
        for n in range(1, 10_000):
            await ctx.progress(n, message="x" * 100)
            reported = n
        return "done"

    async with served(server, capacity=4096) as peer:
        for id in (0, 1):  # one is being written, one waits
            await peer.send(peer.call(id, "repeat", {"text": "x" * 100_000}))
            await wait_all_tasks_blocked()
        await peer.send(peer.call(2, "chatter", progressToken=1))
        await trio.sleep(10)
        assert reported < 100
        messages: list[Any] = []
        while len([m for m in messages if "id" in m]) < 3:
            messages.append(await peer.receive())
        assert reported == 9_999


@pytest.mark.parametrize("revision", ERAS)
async def test_two_ends_that_flood_each_other_through_small_pipes_both_survive(
    revision: str, autojump_clock: MockClock
) -> None:
    server = make_server(out_bytes=20_000)
    ours, theirs = memory_pair(capacity=4096)
    answered = 0

    @server.tool
    async def chat(text: str, ctx: trimcp.Context) -> str:
        if revision != ERAS[1]:
            await ctx.ping()
        return text

    with trio.fail_after(10_000):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve, theirs)
            limits = Limits(out_bytes=20_000)
            async with trimcp.connect(ours, revision=revision, limits=limits) as client:

                async def call(n: int) -> None:
                    nonlocal answered
                    text = f"{n} " * 5000
                    result = await client.call_tool("chat", {"text": text}, on_progress=lambda *_: None)
                    assert result.text == text
                    answered += 1

                async with trio.open_nursery() as calls:
                    for n in range(100):
                        calls.start_soon(call, n)
    assert answered == 100


async def test_callers_wait_while_too_much_waits_to_leave(autojump_clock: MockClock) -> None:
    """However many tasks call at once, what waits to leave is bounded: one at a time gets room."""
    ours, theirs = memory_pair(capacity=4096)
    server = make_server()
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve, theirs)
        async with trimcp.connect(ours, limits=Limits(out_bytes=50_000)) as client:
            highest = 0

            async def call() -> None:
                nonlocal highest
                await client.call_tool("repeat", {"text": "x" * 10_000, "times": 0})

            async with trio.open_nursery() as calls:
                for _ in range(200):
                    calls.start_soon(call)
                for _ in range(30):
                    highest = max(highest, client.session.writer.waiting_bytes)
                    await trio.lowlevel.checkpoint()
            assert 50_000 < highest < 50_000 + 65_536 + 3 * 10_500


async def test_a_server_that_asks_without_end_and_does_not_read_fills_no_clients_memory(
    autojump_clock: MockClock,
) -> None:
    ours, theirs = memory_pair(capacity=4096)

    async def script() -> None:
        peer = Peer(theirs, "2025-11-25")
        opening = await peer.receive()
        answer = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "a", "version": "1"}}
        await peer.send({"jsonrpc": "2.0", "id": opening["id"], "result": answer})
        for n in range(2000):
            await peer.duplex.send_all(line({"jsonrpc": "2.0", "id": f"{n}-" + "x" * 100, "method": "ping"}))
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stopped_by_loss, script)
        limits = Limits(out_bytes=10_000, write_timeout=30)
        async with trimcp.connect(ours, revision="2025-11-25", limits=limits) as client:
            await wait_all_tasks_blocked()
            waiting = client.session.writer.waiting_bytes
            client.close()
        nursery.cancel_scope.cancel()
    assert waiting < 65536 + 10_000 + 4096 * 20


async def test_requests_that_wait_start_only_as_the_peer_reads_the_answers(autojump_clock: MockClock) -> None:
    server = trimcp.Server("test", limits=Limits(session_requests=4, out_bytes=4000))
    started = 0

    @server.tool
    async def long() -> str:
        nonlocal started
        started += 1
        await trio.lowlevel.checkpoint()
        return "x" * 2000

    async with served(server, capacity=100_000) as peer:  # takes all the requests, and half of the answers
        await peer.send(*(peer.call(id, "long") for id in range(100)))
        await wait_all_tasks_blocked()
        assert started < 60
        answers = [await peer.receive() for _ in range(100)]
        assert sorted(answer["id"] for answer in answers) == list(range(100))
