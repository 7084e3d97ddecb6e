"""The actors of a session: what is a message to whom, in which order, and what is left when the session ends."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.session.peer import ERAS, MODERN, Logged, Peer, served
from trimcp import Limits
from trimcp.session.router import Router
from trimcp.transports.memory import memory_pair


def counting(**limits: Any) -> tuple[trimcp.Server, list[str]]:
    server = trimcp.Server("counting", limits=Limits(**limits))
    seen: list[str] = []

    @server.tool
    async def note(text: str) -> str:
        seen.append(text)
        return text

    @server.tool
    async def wait(text: str, ctx: trimcp.Context) -> str:
        seen.append(text)
        try:
            await trio.sleep_forever()
        finally:
            seen.append(f"{text}: {None if ctx.cancel_reason is None else ctx.cancel_reason.value}")
        return text

    @server.tool
    async def report(ctx: trimcp.Context, number: int = 40) -> str:
        for n in range(number):
            await ctx.progress(n + 1, number)
            if n % 10 == 9:
                ctx.log("info", n + 1)
        return "done"

    return server, seen


def cancel_of(id: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}}


# --- the wakes of a call ------------------------------------------------------------------


@pytest.mark.parametrize("version", ERAS)
async def test_a_serial_call_wakes_the_router_after_its_answer_alone(version: str, autojump_clock: MockClock) -> None:
    """The Router takes a request in the turn of the Reader, and is told of the end of the last one."""
    server, _ = counting()
    async with served(server, version) as peer:
        await peer.ask(peer.call(1, "note", {"text": "first"}))  # starts the actors
        await wait_all_tasks_blocked()
        assert peer.session is not None
        router = peer.session.router.mailbox
        told, handled_at_once = router.told, router.handled_at_once
        await peer.ask(peer.call(2, "note", {"text": "second"}))
        await wait_all_tasks_blocked()
        assert (router.told - told, router.handled_at_once - handled_at_once) == (2, 1)


@pytest.mark.parametrize("version", ERAS)
async def test_requests_that_are_read_together_are_one_message(version: str, autojump_clock: MockClock) -> None:
    server, _ = counting()
    async with served(server, version) as peer:
        await peer.ask(peer.call(1, "note", {"text": "first"}))  # starts the actors
        assert peer.session is not None
        router = peer.session.router.mailbox
        told = router.told
        await peer.send(*(peer.call(n, "note", {"text": "x"}) for n in range(10, 20)))
        assert sorted(answer["id"] for answer in await peer.settled()) == list(range(10, 20))
        assert router.told - told == 1 + 10  # and each request that has ended


# --- one mailbox for what must keep its order ---------------------------------------------


@pytest.mark.parametrize("version", ERAS)
async def test_a_cancel_that_is_read_with_its_request_beats_it_every_time(
    version: str, autojump_clock: MockClock
) -> None:
    server, seen = counting()
    async with served(server, version) as peer:
        for n in range(200):
            await peer.send(peer.call(n, "note", {"text": f"{n}"}), cancel_of(n))
        assert await peer.settled() == []
        assert seen == []
        assert (await peer.ask(peer.call("last", "note", {"text": "last"})))["id"] == "last"


async def test_a_request_behind_initialize_in_one_read_is_served_in_the_session(autojump_clock: MockClock) -> None:
    """The handshake is the Router's: the request waits in its mailbox behind `initialize`."""
    server, seen = counting()
    async with served(server, "2025-11-25", opened=False) as peer:
        initialized = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        await peer.send(peer.initialize(0), initialized, peer.call(1, "note", {"text": "at once"}))
        assert [answer["id"] for answer in await peer.settled()] == [0, 1]
        assert seen == ["at once"]


async def test_a_batch_behind_initialize_in_one_read_is_a_batch_of_its_revision(autojump_clock: MockClock) -> None:
    server, _ = counting()
    async with served(server, "2025-03-26", opened=False) as peer:
        batch = json.dumps([peer.call(n, "note", {"text": "x"}) for n in range(3)]).encode()
        await peer.send(peer.initialize(0, "2025-03-26"), batch)
        opening, answers = await peer.receive(), await peer.receive()
        assert opening["id"] == 0
        assert sorted(answer["id"] for answer in answers) == [0, 1, 2]


@pytest.mark.parametrize("version", ERAS)
async def test_errors_for_unreadable_frames_keep_their_place_among_the_answers(
    version: str, autojump_clock: MockClock
) -> None:
    server, _ = counting()
    async with served(server, version) as peer:
        await peer.send(peer.request(1, "no/such"), b"{", peer.request(2, "no/such"))
        answers = await peer.settled()
        assert [answer.get("id") for answer in answers] == [1, None, 2]


# --- progress ---------------------------------------------------------------------------


@pytest.mark.parametrize("version", ERAS)
async def test_reports_logs_and_the_answer_leave_in_the_order_of_their_posting(
    version: str, autojump_clock: MockClock
) -> None:
    server, _ = counting(progress_burst=1000)
    level = {"io.modelcontextprotocol/logLevel": "debug"} if version == MODERN else {}
    async with served(server, version) as peer:
        if version != MODERN:
            await peer.ask(peer.request("level", "logging/setLevel", {"level": "debug"}))
        await peer.send(peer.call(1, "report", progressToken="p", **level))
        messages = await peer.settled()
        expected: list[Any] = []
        for n in range(1, 41):
            expected.append(n)
            if n % 10 == 0:
                expected.append(("log", n))
        assert messages.pop()["result"]["content"][0]["text"] == "done"
        found = [
            m["params"]["progress"] if "progress" in m["params"] else ("log", m["params"]["data"]) for m in messages
        ]
        assert found == expected


async def test_reports_that_follow_each_other_are_one_message_to_the_tracker(autojump_clock: MockClock) -> None:
    server, _ = counting(progress_burst=1000)
    async with served(server) as peer:
        await peer.send(peer.call(1, "report", {"number": 100}, progressToken="p"))
        assert len(await peer.settled()) == 101
        assert peer.session is not None
        assert peer.session.progress.mailbox.told == 4 + 1  # 32, 32, 32 and 4 reports, and the answer


@pytest.mark.parametrize("version", ERAS)
async def test_no_report_follows_a_cancel_though_many_wait_for_the_tracker(
    version: str, autojump_clock: MockClock
) -> None:
    server = trimcp.Server("chatty")
    go = trio.Event()

    @server.tool
    async def chat(ctx: trimcp.Context) -> None:
        await go.wait()
        for n in range(10):
            await ctx.progress(n + 1)
        await trio.sleep_forever()

    async with served(server, version) as peer:
        await peer.send(peer.call(1, "chat", progressToken="p"))
        await wait_all_tasks_blocked()
        await peer.send(cancel_of(1))
        await wait_all_tasks_blocked()
        go.set()
        assert await peer.settled() == []


# --- what gives something back ------------------------------------------------------------


@pytest.mark.parametrize("version", ERAS)
@pytest.mark.parametrize("how", ["closed", "cancelled", "cut"])
async def test_every_place_is_given_back_however_the_session_ends(
    version: str, how: str, autojump_clock: MockClock
) -> None:
    server, seen = counting(session_requests=5, session_waiting=50)
    async with server.running() as running, trio.open_nursery() as nursery:
        ours, theirs = memory_pair()
        scope = trio.CancelScope()

        async def serve(task_status: trio.TaskStatus[Any]) -> None:
            with scope:
                await server.serve(theirs, task_status=task_status)

        session = await nursery.start(serve)
        peer = Peer(ours, version)
        await peer.open()
        await peer.send(*(peer.call(n, "wait", {"text": f"{n}"}) for n in range(20)))
        await wait_all_tasks_blocked()
        assert running.admission.free == running.admission.most - 5
        # And some that lie in the mailbox of the Router when the end comes.
        await peer.send(*(peer.call(n, "wait", {"text": f"{n}"}) for n in range(100, 110)))
        if how == "closed":
            session.close()
        elif how == "cancelled":
            scope.cancel()
        else:
            await ours.aclose()
        with trio.fail_after(100):
            await session.wait_over()
        assert running.admission.free == running.admission.most
        assert len(session.requests.in_flight) == 0
        # Trio's own cancel comes before any reason of ours.
        reason = {"closed": "session_lost", "cancelled": None, "cut": "shutdown"}[how]
        assert sorted(text for text in seen if ":" in text) == sorted(f"{text}: {reason}" for text in seen[:5])


# --- bounds -------------------------------------------------------------------------------


async def test_the_reader_waits_while_the_router_is_over_its_bytes(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    """A Router that is slow, which it never is, holds the Reader up, and memory stays bounded."""
    server, _ = counting(message_bytes=40_000)
    stop = trio.Event()
    run = Router.run

    async def slow(self: Router) -> None:
        await stop.wait()
        await run(self)

    monkeypatch.setattr(Router, "run", slow)
    monkeypatch.setattr(Router, "tell_now", lambda self, message, size=0: self.tell(message, size))
    async with served(server, MODERN, opened=False, capacity=1_000_000) as peer:
        calls = [peer.call(n, "note", {"text": "x" * 5000}) for n in range(100)]
        peer.duplex.try_send(b"".join(json.dumps(call).encode() + b"\n" for call in calls))
        await wait_all_tasks_blocked()
        assert peer.session is not None
        mailbox = peer.session.router.mailbox
        assert mailbox.is_over
        assert mailbox.waiting_bytes <= 40_000 + 65536 + 10_000  # its bound, one read, one message
        stop.set()
        assert len(await peer.settled()) == 100


# --- failures of our own ------------------------------------------------------------------


@pytest.mark.parametrize("version", ERAS)
async def test_an_actor_that_fails_ends_its_session_visibly_and_no_other(
    version: str, logged: Logged, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    server, seen = counting()
    async with server.running() as running, served(server, version) as other, served(server, version) as peer:
        await peer.send(peer.call(1, "wait", {"text": "held"}))
        await wait_all_tasks_blocked()
        assert peer.session is not None
        _break(peer.session.router, monkeypatch)
        await peer.send(peer.call(2, "note", {"text": "breaks it"}))
        with trio.fail_after(100):
            await peer.session.wait_over()
        assert len(logged.of("session.failed")) == 1
        assert seen[0] == "held"
        assert seen[1] in ("held: None", "held: session_lost")
        assert (await other.ask(other.call(1, "note", {"text": "fine"})))["id"] == 1
        await wait_all_tasks_blocked()
        assert running.admission.free == running.admission.most


def _break(broken: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let that Router fail at its next request."""
    arrived, accept = next(iter(Router.handlers.items()))

    def fail(of: Router, message: object) -> None:
        if of is broken:
            raise RuntimeError("a bug of ours")
        accept(of, message)

    monkeypatch.setitem(Router.handlers, arrived, fail)  # type: ignore[arg-type]  # a dict


async def test_the_tree_names_every_actor_its_mailbox_and_its_task(autojump_clock: MockClock) -> None:
    server, _ = counting()
    async with served(server, "2025-11-25") as peer:
        await peer.send(peer.call(1, "wait", {"text": "x"}), peer.call(2, "report", progressToken="p"))
        await peer.settled()
        (session,) = server.tree()[0].sessions
        assert session.supervisor is not None
        actors = {actor.name: actor for actor in session.supervisor.actors}
        assert set(actors) == {"router", "writer", "progress tracker", "cancellation manager"}
        assert actors["router"].state == actors["writer"].state == actors["progress tracker"].state == "running"
        assert actors["cancellation manager"].state == "idle"
        assert actors["router"].mailbox.told >= 4
        (tools,) = session.supervisor.pools
        assert tools.name.endswith(": tools")
        assert tools.workers - tools.idle == 1
        names = session.supervisor.tasks
        for name in ("router", "writer", "progress tracker", "tools"):
            assert any(task.endswith(name) for task in names), names
