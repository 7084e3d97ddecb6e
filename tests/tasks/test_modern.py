"""Tasks of 2026-07-28, where the server decides (the extension `io.modelcontextprotocol/tasks`)."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.session.peer import MODERN, Logged, cancelled, served
from tests.tasks.principals import served_to
from tests.tasks.workshop import DECLARED, Client, Named, Workshop, accepted
from trimcp.types.task_extension import IDENTIFIER

UNDECLARED: dict[str, Any] = {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {}}}


async def test_the_answer_is_flat_and_of_its_own_type(modern: Client) -> None:
    answer = (await modern.call("work"))["result"]
    assert answer.pop("_meta")
    assert answer.pop("taskId")
    assert answer.pop("createdAt") == answer.pop("lastUpdatedAt")
    assert answer == {"resultType": "task", "status": "working", "ttlMs": 3_600_000, "pollIntervalMs": 1000}


async def test_the_wish_of_a_client_for_a_task_is_ignored(modern: Client) -> None:
    answer = await modern.ask("tools/call", {"name": "never", "arguments": {}, "task": {"ttl": 1}})
    assert answer["result"]["resultType"] == "complete"


async def test_a_call_that_takes_long_becomes_a_task_by_itself(modern: Client, autojump_clock: MockClock) -> None:
    quick = await modern.call("sleep", {"seconds": 0.1})
    assert quick["result"]["content"][0]["text"] == "slept"
    slow = await modern.call("sleep", {"seconds": 2})
    assert slow["result"]["resultType"] == "task"
    assert (await modern.outcome(slow["result"]["taskId"]))["content"][0]["text"] == "slept"


async def test_a_tool_that_requires_a_task_is_one_however_quick(modern: Client, autojump_clock: MockClock) -> None:
    id = await modern.begin("must")
    assert (await modern.outcome(id))["content"][0]["text"] == "must"


async def test_a_client_that_did_not_declare_the_extension(modern: Client, workshop: Workshop) -> None:
    workshop.release.set()
    answer = await modern.ask("tools/call", {"name": "work", "arguments": {}}, **UNDECLARED)
    assert answer["result"]["content"][0]["text"] == "work done"
    required = {"requiredCapabilities": {"extensions": {IDENTIFIER: {}}}}
    for method, params in (
        ("tools/call", {"name": "must", "arguments": {}}),
        ("tasks/get", {"taskId": "x"}),
        ("tasks/update", {"taskId": "x", "inputResponses": {}}),
        ("tasks/cancel", {"taskId": "x"}),
        ("subscriptions/listen", {"notifications": {"taskIds": ["x"]}}),
    ):
        error = (await modern.ask(method, params, **UNDECLARED))["error"]
        assert (error["code"], error["data"]) == (-32021, required)


async def test_requests_of_the_other_dialect_do_not_exist(modern: Client) -> None:
    for method in ("tasks/result", "tasks/list"):
        assert (await modern.ask(method, {"taskId": "x"}))["error"]["code"] == -32601


async def test_a_tool_error_completes_the_task(modern: Client, autojump_clock: MockClock) -> None:
    id = await modern.begin("fail", {"how": "tool"})
    state = await modern.wait(id)
    assert state["status"] == "completed"
    assert state["result"]["isError"] is True
    assert "error" not in state


async def test_a_bug_of_the_tool_is_its_result(modern: Client, autojump_clock: MockClock, logged: Logged) -> None:
    id = await modern.begin("fail", {"how": "bug"})
    state = await modern.wait(id)
    assert state["result"]["isError"] is True


async def test_answers_are_taken_one_by_one_and_unknown_ones_ignored(modern: Client, autojump_clock: MockClock) -> None:
    id = await modern.begin("ask_both")
    state = await modern.wait(id, "input_required")
    assert set(state["inputRequests"]) == {"a", "b"}
    assert state["inputRequests"]["a"]["method"] == "elicitation/create"

    async def update(**responses: Any) -> Any:
        answer = await modern.ask("tasks/update", {"taskId": id, "inputResponses": responses})
        assert set(answer["result"]) == {"resultType", "_meta"}
        return await modern.get(id)

    assert set((await update(c=accepted("Eve")))["inputRequests"]) == {"a", "b"}
    half = await update(a=accepted("Ada"), c=accepted("Eve"))
    assert half["status"] == "input_required"
    assert set(half["inputRequests"]) == {"b"}
    await update(a=accepted("Eve"))  # it was answered before
    await update(b=accepted("Bob"))
    assert (await modern.outcome(id))["content"][0]["text"] == "Ada, Bob"
    assert (await update(b=accepted("Eve")))["status"] == "completed"


async def test_the_same_question_asked_again_has_another_key(autojump_clock: MockClock) -> None:
    workshop = Workshop()

    @workshop.server.tool(task="optional")
    async def twice(*, ctx: trimcp.Context) -> str:
        await ctx.become_task()
        first = await ctx.elicit("Who?", Named)
        second = await ctx.elicit("Who?", Named)
        return f"{first.data and first.data.name} {second.data and second.data.name}"

    async with served(workshop.server) as peer:
        client = Client(peer)
        id = await client.begin("twice")
        keys: list[str] = []
        for name in ("Ada", "Bob"):
            (key,) = (await client.wait(id, "input_required"))["inputRequests"]
            keys.append(key)
            await client.ask("tasks/update", {"taskId": id, "inputResponses": {key: accepted(name)}})
            await wait_all_tasks_blocked()
        assert len(set(keys)) == 2
        assert (await client.outcome(id))["content"][0]["text"] == "Ada Bob"


async def test_questions_before_the_task_are_rounds(autojump_clock: MockClock) -> None:
    workshop = Workshop()
    runs: list[bool] = []

    @workshop.server.tool(task="required")
    async def ask_first(*, ctx: trimcp.Context) -> str:
        answer = await ctx.elicit("Who?", Named, key="who")
        runs.append(await ctx.become_task())
        return f"Hello {answer.data and answer.data.name}"

    async with served(workshop.server) as peer:
        client = Client(peer)
        first = (await client.call("ask_first"))["result"]
        assert first["resultType"] == "input_required"
        assert "taskId" not in first
        again = {"name": "ask_first", "arguments": {}, "requestState": first["requestState"]}
        second = await client.ask("tools/call", {**again, "inputResponses": {"who": accepted("Ada")}})
        assert second["result"]["resultType"] == "task"
        await wait_all_tasks_blocked()
        assert runs == [True]
        assert (await client.outcome(second["result"]["taskId"]))["content"][0]["text"] == "Hello Ada"


async def test_a_task_is_listened_to(modern: Client, workshop: Workshop, autojump_clock: MockClock) -> None:
    id = await modern.begin("work")
    peer = modern.peer
    listen = peer.request("L", "subscriptions/listen", {"notifications": {"taskIds": [id, "unknown"]}}, **DECLARED)
    await peer.send(listen)
    acknowledged = await peer.receive()
    assert acknowledged["params"]["notifications"] == {"taskIds": [id]}
    first = await peer.receive()  # what it may have missed
    assert (first["method"], first["params"]["status"]) == ("notifications/tasks", "working")
    workshop.release.set()
    last = await peer.receive()
    last["params"].pop("_meta")
    state = await modern.get(id)
    state.pop("_meta")
    assert state.pop("resultType") == "complete"
    assert last["params"] == state
    assert state["status"] == "completed"


@pytest.mark.parametrize("ids", [1025, 500])
async def test_listens_for_many_tasks_do_not_flood_the_store(
    ids: int, modern: Client, workshop: Workshop, autojump_clock: MockClock
) -> None:
    id = await modern.begin("work")
    (run,) = workshop.server._runs._runs
    found: list[str] = []
    find = run.tasks.manager.table.find  # type: ignore[union-attr]

    async def counted(id: str) -> Any:
        found.append(id)
        return await find(id)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run.tasks.manager.table, "find", counted)  # type: ignore[union-attr]
        asked = {"notifications": {"taskIds": [id, *map(str, range(ids - 1))]}}
        await modern.peer.send(modern.peer.request("L", "subscriptions/listen", asked, **DECLARED))
        first = await modern.peer.receive()
        if ids > workshop.server.limits.subscriptions:  # refused before any task is looked for
            assert first["error"]["code"] == -32602
            assert found == []
            return
        assert first["params"]["notifications"] == {"taskIds": [id]}
        assert (await modern.ask("tasks/get", {"taskId": id}))["error"]["code"] == -31001  # until that is paid for
        await trio.sleep(11)
        assert (await modern.get(id))["status"] == "working"


async def test_there_is_neither_progress_nor_log_of_a_task(modern: Client, workshop: Workshop) -> None:
    meta = {"progressToken": "token", "io.modelcontextprotocol/logLevel": "debug"}
    answer = await modern.ask("tools/call", {"name": "report", "arguments": {}}, **meta)
    assert answer["result"]["resultType"] == "task"
    await wait_all_tasks_blocked()
    workshop.release.set()
    assert await modern.peer.settled() == []


async def test_cancelling_twice_is_acknowledged_twice(modern: Client) -> None:
    id = await modern.begin("work")
    for _ in range(2):
        answer = (await modern.cancel(id))["result"]
        assert set(answer) == {"resultType", "_meta"}
    assert (await modern.get(id))["status"] == "cancelled"


async def test_a_call_that_is_cancelled_before_it_is_a_task_leaves_none(
    workshop: Workshop, autojump_clock: MockClock
) -> None:
    ended = trio.Event()

    @workshop.server.tool(task="optional")
    async def clean(*, ctx: trimcp.Context) -> None:
        try:
            await trio.sleep_forever()
        finally:
            with ctx.cleaning_up():
                await trio.sleep(0.2)
            ended.set()

    async with served(workshop.server) as peer:
        await peer.send(peer.call("c", "clean", {}, **DECLARED))
        await trio.sleep(0.1)
        await peer.send(cancelled("c"))
        with trio.fail_after(5):
            await ended.wait()
        await wait_all_tasks_blocked()
        assert await peer.settled() == []


async def test_a_foreign_principal_neither_sees_nor_hears_of_a_task() -> None:
    workshop = Workshop()
    async with (
        workshop.server.running(),
        served_to(workshop.server, MODERN, "ada") as ada,
        served_to(workshop.server, MODERN, "bob") as bob,
    ):
        id = await ada.begin("work")
        unknown = (await bob.ask("tasks/get", {"taskId": "unknown"}))["error"]
        for method, more in (("tasks/get", {}), ("tasks/cancel", {}), ("tasks/update", {"inputResponses": {}})):
            assert (await bob.ask(method, {"taskId": id, **more}))["error"] == unknown
        listen = bob.peer.request("L", "subscriptions/listen", {"notifications": {"taskIds": [id]}}, **DECLARED)
        await bob.peer.send(listen)
        assert (await bob.peer.receive())["params"]["notifications"] == {"taskIds": []}
        assert (await ada.get(id))["status"] == "working"


def test_a_server_without_such_tools_does_not_load_this_code() -> None:
    program = (
        "import sys, trimcp\n"
        "server = trimcp.Server('plain')\n"
        "@server.tool\n"
        "async def plain() -> str: return ''\n"
        "assert not [name for name in sys.modules if name.startswith('trimcp.extensions')]\n"
        "@server.tool(task='optional')\n"
        "async def task() -> str: return ''\n"
        "assert 'trimcp.extensions.tasks.manager' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("options", [{"task": "perhaps"}, {"on_lost": "again"}])
def test_the_options_are_checked(options: Any) -> None:
    server = trimcp.Server("wrong")
    with pytest.raises(trimcp.UsageError, match="use "):
        server.tool(**options)
