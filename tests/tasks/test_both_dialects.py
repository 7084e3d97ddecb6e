"""What holds for tasks of 2025-11-25 and of the extension alike: one engine, one set of rules."""

from __future__ import annotations

import base64
import gc
import weakref

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.session.peer import MODERN, Logged, cancelled, served
from tests.tasks.workshop import CORE, FINAL, Client, Workshop, accepted, opened
from trimcp.protocol.cancel_reason import CancelReason
from trimcp.stores import MemoryStore
from trimcp.stores.task_store import FINAL as STORED


async def test_a_call_becomes_a_task_and_its_result_is_kept(
    client: Client, workshop: Workshop, autojump_clock: MockClock
) -> None:
    id = await client.begin("work")
    assert (await client.get(id))["status"] == "working"
    workshop.release.set()
    assert (await client.outcome(id))["content"] == [{"type": "text", "text": "work done"}]
    assert (await client.wait(id))["status"] == "completed"
    assert workshop.runs == ["work"]


async def test_the_id_of_a_task_cannot_be_guessed(client: Client, workshop: Workshop) -> None:
    ids = {await client.begin("work") for _ in range(5)}
    assert len(ids) == 5
    assert all(len(base64.urlsafe_b64decode(id)) * 8 >= 128 for id in ids)


async def test_a_task_is_stored_before_it_is_answered(client: Client) -> None:
    for _ in range(3):
        assert (await client.get(await client.begin("work")))["status"] == "working"


async def test_cancelling_a_task_cancels_its_work_with_a_reason(client: Client, workshop: Workshop) -> None:
    id = await client.begin("work")
    assert "result" in await client.cancel(id)
    await wait_all_tasks_blocked()
    assert (await client.get(id))["status"] == "cancelled"
    assert workshop.reasons == [CancelReason.CANCELLED]
    workshop.release.set()
    await wait_all_tasks_blocked()
    assert (await client.get(id))["status"] == "cancelled"  # final


async def test_unknown_expired_and_foreign_tasks_are_the_same_error(
    client: Client, workshop: Workshop, autojump_clock: MockClock
) -> None:
    workshop.release.set()
    expired = await client.begin("work", ttl=60_000)
    await client.wait(expired)
    await trio.sleep(workshop.server.limits.task_ttl + 1)
    unknown = (await client.ask("tasks/get", {"taskId": "unknown"}))["error"]
    assert unknown["code"] == -32602
    for method in ("tasks/get", "tasks/cancel"):
        assert (await client.ask(method, {"taskId": expired}))["error"] == unknown
        assert (await client.ask(method, {"taskId": "unknown"}))["error"] == unknown


async def test_the_request_of_a_task_cannot_be_cancelled_any_more(client: Client, workshop: Workshop) -> None:
    id = await client.begin("work")
    for number in range(3):
        await client.peer.send(cancelled(number))
    await wait_all_tasks_blocked()
    assert (await client.get(id))["status"] == "working"
    assert workshop.reasons == []


async def test_questions_of_a_task_are_answered_one_after_the_other(
    client: Client, workshop: Workshop, autojump_clock: MockClock
) -> None:
    id = await client.begin("ask")
    if client.is_core:
        answer = await client.result_with_answers(id, "Ada", "Bob")
    else:
        for name in ("Ada", "Bob"):
            state = await client.wait(id, "input_required")
            (key,) = state["inputRequests"]
            await client.ask("tasks/update", {"taskId": id, "inputResponses": {key: accepted(name)}})
        answer = await client.outcome(id)
    assert answer["content"][0]["text"] == "Ada, Bob"


async def test_a_question_that_the_work_takes_back_is_not_asked_any_more(
    client: Client, workshop: Workshop, autojump_clock: MockClock
) -> None:
    id = await client.begin("impatient")
    await trio.sleep(0.5)
    assert (await client.get(id))["status"] == "input_required"
    await trio.sleep(1)
    assert (await client.get(id))["status"] == "working"
    workshop.release.set()
    assert (await client.outcome(id))["content"][0]["text"] == "gave up asking"


async def test_the_deadline_of_the_tool_is_that_of_the_task(client: Client, autojump_clock: MockClock) -> None:
    id = await client.begin("too_slow")
    state = await client.wait(id)
    assert state["status"] == "failed"
    error = await client.outcome(id)
    assert error["code"] == -31003
    assert error["data"] == {"reason": "deadline"}


async def test_errors_of_the_protocol_make_a_task_fail(client: Client, autojump_clock: MockClock) -> None:
    id = await client.begin("fail", {"how": "protocol"})
    state = await client.wait(id)
    assert (state["status"], state["statusMessage"]) == ("failed", "no")
    assert await client.outcome(id) == {"code": -32603, "message": "no", "data": {"why": "so"}}


async def test_a_result_over_the_limit_makes_a_task_fail(
    client: Client, autojump_clock: MockClock, logged: Logged
) -> None:
    id = await client.begin("fail", {"how": "big"})
    assert (await client.wait(id))["status"] == "failed"
    assert "at most 1048576" in (await client.outcome(id))["message"]


async def test_the_progress_of_a_task_describes_it(
    client: Client, workshop: Workshop, autojump_clock: MockClock
) -> None:
    id = await client.begin("report")
    before = await client.get(id)
    await trio.sleep(3)
    after = await client.get(id)
    assert "statusMessage" not in before
    assert after["statusMessage"] == "half way"
    assert after["lastUpdatedAt"] == before["lastUpdatedAt"]  # that is of the status alone


async def test_a_task_outlives_its_connection_and_does_not_keep_its_session(
    workshop: Workshop, autojump_clock: MockClock
) -> None:
    async with workshop.server.running():
        async with served(workshop.server, CORE, opened=False) as peer:
            id = await (await opened(peer)).begin("work")
            assert peer.session is not None
            session = weakref.ref(peer.session)
        del peer
        await wait_all_tasks_blocked()
        gc.collect()
        assert session() is None
        workshop.release.set()
        async with served(workshop.server, CORE, opened=False) as peer:
            assert (await (await opened(peer)).wait(id))["status"] == "completed"


async def test_each_client_may_have_so_many_tasks(autojump_clock: MockClock) -> None:
    workshop = Workshop(limits=trimcp.Limits(anonymous_tasks=2))
    async with served(workshop.server) as peer:
        client = Client(peer)
        for _ in range(2):
            await client.begin("work")
        error = (await client.call("work"))["error"]
        assert (error["code"], error["data"]["reason"]) == (-31001, "busy")
        await wait_all_tasks_blocked()
        assert workshop.reasons == [CancelReason.SESSION_LOST]  # of the work that could be no task
        await trio.sleep(workshop.server.limits.task_ttl * 2)
        workshop.release.set()


@pytest.mark.parametrize("version", [CORE, MODERN])
async def test_so_many_tasks_run_at_once(version: str) -> None:
    workshop = Workshop(limits=trimcp.Limits(running_tasks=2))
    async with served(workshop.server, version, opened=False) as peer:
        client = await opened(peer)
        for _ in range(2):
            await client.begin("work")
        assert (await client.call("work"))["error"]["code"] == -31001
        workshop.release.set()
        await wait_all_tasks_blocked()
        await client.begin("work")


async def test_requests_about_tasks_have_a_rate(client: Client, autojump_clock: MockClock) -> None:
    id = await client.begin("work")
    answers = [await client.ask("tasks/get", {"taskId": id}) for _ in range(101)]
    assert [answer for answer in answers if "error" in answer] == answers[100:]
    assert answers[100]["error"]["code"] == -31001
    await trio.sleep(1)
    assert "result" in await client.ask("tasks/get", {"taskId": id})


async def test_the_time_to_live_grows_while_a_task_works(
    client: Client, workshop: Workshop, autojump_clock: MockClock
) -> None:
    id = await client.begin("work", ttl=10_000)
    ttl = "ttl" if client.is_core else "ttlMs"
    before = await client.get(id)
    await trio.sleep(before[ttl] / 1000 + 5)
    after = await client.get(id)
    assert after["status"] == "working"
    assert after[ttl] > before[ttl]
    assert after["createdAt"] == before["createdAt"]
    workshop.release.set()
    assert (await client.wait(id))["status"] == "completed"


async def test_a_drain_lets_tasks_finish(workshop: Workshop, autojump_clock: MockClock) -> None:
    store = workshop.server.store = MemoryStore()
    async with workshop.server.running():
        async with served(workshop.server) as peer:
            id = await Client(peer).begin("sleep", {"seconds": 5})
        await workshop.server.drain(20)
        record = await store.tasks.find(id)
        assert record is not None
        assert record.status == "completed"


async def test_a_task_that_does_not_end_in_time_fails_as_the_server_stops(
    workshop: Workshop, autojump_clock: MockClock
) -> None:
    store = workshop.server.store = MemoryStore()
    async with workshop.server.running():
        async with served(workshop.server) as peer:
            id = await Client(peer).begin("once")
        await workshop.server.drain(2)
    record = await store.tasks.find(id)
    assert record is not None
    assert record.status == "failed"
    assert b'"reason":"shutdown"' in (record.outcome or b"")


async def test_a_process_keeps_so_many_tasks(autojump_clock: MockClock) -> None:
    workshop = Workshop(limits=trimcp.Limits(kept_tasks=2))
    plain = trimcp.Server("plain", limits=trimcp.Limits(kept_tasks=2))
    assert workshop.server.memory_bound() - plain.memory_bound() == 2 * 2 * workshop.server.limits.task_bytes
    workshop.release.set()
    async with served(workshop.server) as peer:
        client = Client(peer)
        for _ in range(2):
            await client.wait(await client.begin("work"))
        assert (await client.call("work"))["error"]["code"] == -31001
        await trio.sleep(workshop.server.limits.task_ttl)
        await client.begin("work")


async def test_the_tree_shows_how_many_tasks_run(client: Client, workshop: Workshop) -> None:
    await client.begin("work")
    (run,) = workshop.server.tree()
    assert run.tasks == 1
    assert "tasks  1" in str(run)


@pytest.mark.parametrize("what", ["\ud800", "x" * 10_000])
async def test_no_message_of_a_tool_breaks_its_task(what: str, autojump_clock: MockClock, logged: Logged) -> None:
    workshop = Workshop()

    @workshop.server.tool(task="optional")
    async def odd(*, ctx: trimcp.Context) -> None:
        await ctx.become_task()
        await ctx.progress(1, message=what)
        await trio.sleep(3)
        raise trimcp.RequestFailed(-32603, what, {"not JSON": {1, 2}})

    async with served(workshop.server) as peer:
        client = Client(peer)
        id = await client.begin("odd")
        await trio.sleep(2)
        assert len((await client.get(id))["statusMessage"]) <= 1000
        assert (await client.wait(id))["error"] == {"code": -32603, "message": "Internal error"}


async def test_statuses_are_those_of_the_specification() -> None:
    assert set(FINAL) == STORED
