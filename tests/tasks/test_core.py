"""Tasks of 2025-11-25, where the client asks for them (basic/utilities/tasks)."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.session.peer import LEGACY, error, result, served
from tests.tasks.principals import served_to
from tests.tasks.workshop import CORE, RELATED, Client, Workshop, accepted, opened


async def test_the_capability_is_declared_and_the_support_of_each_tool(workshop: Workshop) -> None:
    async with served(workshop.server, CORE, opened=False) as peer:
        answer = (await peer.ask(peer.initialize()))["result"]["capabilities"]
        # Without a principal there is no list ("Task Isolation and Access Control").
        assert answer["tasks"] == {"cancel": {}, "requests": {"tools": {"call": {}}}}
        client = Client(peer)
        tools = (await client.ask("tools/list", {}))["result"]["tools"]
        support = {tool["name"]: tool.get("execution") for tool in tools}
        assert support["work"] == {"taskSupport": "optional"}
        assert support["must"] == {"taskSupport": "required"}
        assert support["never"] is None
        assert (await client.ask("tasks/list", {}))["error"]["code"] == -32601


async def test_the_answer_has_the_whole_task(core: Client) -> None:
    answer = (await core.call("work", ttl=60_000))["result"]
    task = answer.pop("task")
    assert answer == {}
    assert task.pop("taskId")
    assert task.pop("createdAt") == task.pop("lastUpdatedAt")
    assert task == {"status": "working", "ttl": 60_000, "pollInterval": 1000}


async def test_the_time_to_live_is_the_client_s_within_bounds(core: Client, workshop: Workshop) -> None:
    limits = workshop.server.limits
    for wanted, granted in ((None, limits.task_ttl), (10**12, limits.task_ttl_most), (-5, 1.0), (1, 1.0)):
        task = (await core.call("work", ttl=wanted))["result"]["task"]
        assert task["ttl"] == granted * 1000


async def test_a_tool_that_requires_a_task_is_not_called_without(core: Client) -> None:
    answer = await core.ask("tools/call", {"name": "must", "arguments": {}})
    assert answer["error"]["code"] == -32601
    id = await core.begin("must")
    assert (await core.outcome(id))["content"][0]["text"] == "must"


async def test_a_tool_that_forbids_tasks_is_not_called_as_one(core: Client) -> None:
    assert (await core.call("never"))["error"]["code"] == -32601
    answer = await core.ask("tools/call", {"name": "never", "arguments": {}})
    assert answer["result"]["content"][0]["text"] == "False"
    assert (await core.call("unknown"))["error"]["code"] == -32602


async def test_a_tool_that_may_be_a_task_is_called_without(core: Client, workshop: Workshop) -> None:
    workshop.release.set()
    answer = await core.ask("tools/call", {"name": "work", "arguments": {}})
    assert answer["result"]["content"][0]["text"] == "work done"
    assert "_meta" not in answer["result"]


@pytest.mark.parametrize("version", LEGACY[:-1])
async def test_older_revisions_have_no_tasks(version: str, workshop: Workshop) -> None:
    workshop.release.set()
    async with served(workshop.server, version) as peer:
        client = Client(peer)
        answer = await client.call("work")
        assert answer["result"]["content"][0]["text"] == "work done"
        assert (await client.call("must"))["error"]["code"] == -32601
        assert (await client.ask("tasks/get", {"taskId": "x"}))["error"]["code"] == -32601


async def test_a_server_without_such_tools_ignores_the_wish_for_a_task() -> None:
    server = trimcp.Server("plain")

    @server.tool
    async def plain() -> str:
        return "plain"

    async with served(server, CORE) as peer:
        client = Client(peer)
        assert (await client.call("plain"))["result"]["content"][0]["text"] == "plain"


async def test_the_result_is_exactly_that_of_the_request(core: Client, workshop: Workshop) -> None:
    workshop.release.set()
    direct = (await core.ask("tools/call", {"name": "work", "arguments": {"label": "a"}}))["result"]
    id = await core.begin("work", {"label": "a"})
    for _ in range(2):  # it is not lost with the first answer
        outcome = await core.outcome(id)
        assert outcome.pop("_meta") == {RELATED: {"taskId": id}}
        assert outcome == direct


async def test_the_result_is_waited_for(core: Client, workshop: Workshop) -> None:
    id = await core.begin("work")
    await core.peer.send(core.peer.request("waits", "tasks/result", {"taskId": id}))
    await wait_all_tasks_blocked()
    assert (await core.get(id))["status"] == "working"
    workshop.release.set()
    assert (await core.answer("waits"))["result"]["content"][0]["text"] == "work done"
    assert (await core.ask("tasks/result", {"taskId": "unknown"}))["error"]["code"] == -32602


async def test_a_tool_error_makes_the_task_fail_and_is_its_result(core: Client) -> None:
    id = await core.begin("fail", {"how": "tool"})
    outcome = await core.outcome(id)
    assert (outcome["isError"], outcome["content"][0]["text"]) == (True, "broken")
    state = await core.get(id)
    assert state["status"] == "failed"
    assert state["statusMessage"]


async def test_a_cancelled_task_is_answered_as_cancelled_and_has_no_result(core: Client) -> None:
    id = await core.begin("work")
    await core.peer.send(core.peer.request("waits", "tasks/result", {"taskId": id}))
    answer = (await core.cancel(id))["result"]
    assert (answer["taskId"], answer["status"]) == (id, "cancelled")
    assert "_meta" not in answer
    for waiting in (await core.answer("waits"), await core.ask("tasks/result", {"taskId": id})):
        assert waiting["error"]["code"] == -31008
        assert waiting["error"]["data"] == {"reason": "cancelled"}
    again = (await core.cancel(id))["error"]
    assert again["code"] == -32602
    assert "cancelled" in again["message"]


async def test_the_session_is_notified_of_each_status(core: Client) -> None:
    id = await core.begin("ask")
    outcome = await core.result_with_answers(id, "Ada", "Bob")
    assert outcome["content"][0]["text"] == "Ada, Bob"
    told = [each["params"] for each in core.told if each["method"] == "notifications/tasks/status"]
    assert told[0]["status"] == "input_required"
    assert told[-1]["status"] == "completed"
    assert all(each["taskId"] == id and "_meta" not in each and "ttl" in each for each in told)


async def test_the_progress_token_lives_as_long_as_the_task(core: Client, workshop: Workshop) -> None:
    params = {"name": "report", "arguments": {}, "task": {}}
    answer = await core.ask("tools/call", params, progressToken="token")
    id = answer["result"]["task"]["taskId"]
    await wait_all_tasks_blocked()
    workshop.release.set()
    await core.outcome(id)
    told = {each["method"]: each["params"] for each in core.told}
    assert told["notifications/progress"]["progressToken"] == "token"
    assert told["notifications/progress"]["_meta"] == {RELATED: {"taskId": id}}
    assert told["notifications/message"]["_meta"] == {RELATED: {"taskId": id}}


async def test_a_refused_question_is_an_error_of_the_handler(core: Client) -> None:
    id = await core.begin("ask")
    await core.peer.send(core.peer.request("result", "tasks/result", {"taskId": id}))
    while True:
        message = await core.peer.receive()
        if message.get("method") == "elicitation/create":
            await core.peer.send(error(message["id"], -1, "no thanks"))
            break
    answer = await core.answer("result")
    assert answer["error"]["message"] == "no thanks"
    assert (await core.get(id))["status"] == "failed"


async def test_questions_at_once_wait_until_the_result_is_asked_for(core: Client) -> None:
    id = await core.begin("ask_both")
    await wait_all_tasks_blocked()
    assert (await core.get(id))["status"] == "input_required"
    await core.peer.send(core.peer.request("first", "tasks/result", {"taskId": id}))
    asked: list[Any] = []
    while len(asked) < 2:
        message = await core.peer.receive()
        asked += [message] if message.get("method") == "elicitation/create" else []
    # The request is given up, and its questions with it; the next one asks again.
    await core.peer.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "first"}})
    await wait_all_tasks_blocked()
    outcome = await core.result_with_answers(id, "Ada", "Bob")
    assert sorted(outcome["content"][0]["text"].split(", ")) == ["Ada", "Bob"]


async def test_an_answer_by_one_request_ends_the_question_of_another(core: Client) -> None:
    id = await core.begin("ask")
    for name in ("one", "two"):
        await core.peer.send(core.peer.request(name, "tasks/result", {"taskId": id}))
    asked: list[Any] = []
    while len(asked) < 2:
        message = await core.peer.receive()
        asked += [message] if message.get("method") == "elicitation/create" else []
    await core.peer.send(result(asked[0]["id"], accepted("Ada")))
    withdrawn = None
    second: list[Any] = []
    while withdrawn is None or len(second) < 2:
        message = await core.peer.receive()
        if message.get("method") == "notifications/cancelled":
            withdrawn = message["params"]["requestId"]
        second += [message] if message.get("method") == "elicitation/create" else []
    assert withdrawn == asked[1]["id"]
    await core.peer.send(result(second[0]["id"], accepted("Bob")))
    for name in ("one", "two"):
        assert (await core.answer(name))["result"]["content"][0]["text"] == "Ada, Bob"


# --- principals -----------------------------------------------------------------------------


def served_as(server: trimcp.Server, principal: str) -> Any:
    """A client that is authenticated."""
    return served_to(server, CORE, principal)


async def test_a_principal_lists_its_own_tasks_page_by_page(autojump_clock: MockClock) -> None:
    workshop = Workshop(limits=trimcp.Limits(page=2))
    async with (
        workshop.server.running(),
        served_as(workshop.server, "ada") as ada,
        served_as(workshop.server, "bob") as bob,
    ):
        ids = [await ada.begin("work") for _ in range(5)]
        foreign = await bob.begin("work")
        listed: list[Any] = []
        cursor: dict[str, Any] = {}
        while True:
            page = (await ada.ask("tasks/list", cursor))["result"]
            assert len(page["tasks"]) <= 2
            listed += page["tasks"]
            if "nextCursor" not in page:
                break
            cursor = {"cursor": page["nextCursor"]}
        assert [task["taskId"] for task in listed] == ids
        assert listed[0] == await ada.get(ids[0])
        assert [t["taskId"] for t in (await bob.ask("tasks/list", {}))["result"]["tasks"]] == [foreign]
        for method in ("tasks/get", "tasks/result", "tasks/cancel"):
            unknown = (await ada.ask(method, {"taskId": "unknown"}))["error"]
            assert (await ada.ask(method, {"taskId": foreign}))["error"] == unknown
        for wrong in ("nonsense", cursor["cursor"]):
            assert (await bob.ask("tasks/list", {"cursor": wrong}))["error"]["code"] == -32602


async def test_a_task_belongs_to_the_principal_and_not_to_the_session(autojump_clock: MockClock) -> None:
    workshop = Workshop()
    async with workshop.server.running():
        async with served_as(workshop.server, "ada") as client:
            id = await client.begin("work")
        await trio.sleep(1)
        async with served_as(workshop.server, "ada") as again:
            assert (await again.get(id))["status"] == "working"
        async with served(workshop.server, CORE, opened=False) as peer:
            anonymous = await opened(peer)
            assert (await anonymous.ask("tasks/get", {"taskId": id}))["error"]["code"] == -32602


async def test_the_metadata_of_requests_about_tasks_is_ignored(core: Client, workshop: Workshop) -> None:
    one, other = await core.begin("work"), await core.begin("work")
    for method in ("tasks/get", "tasks/cancel"):
        answer = await core.ask(method, {"taskId": one}, **{RELATED: {"taskId": other}})
        assert answer["result"]["taskId"] == one
    assert (await core.get(other))["status"] == "working"


async def test_progress_of_a_task_ends_with_it(workshop: Workshop, autojump_clock: MockClock) -> None:
    @workshop.server.tool(task="optional")
    async def leaves_work_behind(*, ctx: trimcp.Context) -> str:
        async def late() -> None:
            await trio.sleep(1)
            await ctx.progress(2)

        await ctx.progress(1)
        ctx.start_job(late)
        return "done"

    async with served(workshop.server, CORE, opened=False) as peer:
        client = await opened(peer)
        params = {"name": "leaves_work_behind", "arguments": {}, "task": {}}
        answer = await client.ask("tools/call", params, progressToken="token")
        await client.outcome(answer["result"]["task"]["taskId"])
        await trio.sleep(3)
        client.told += await peer.settled()
        told = [each["params"]["progress"] for each in client.told if each["method"] == "notifications/progress"]
        assert told == [1]
