"""A client that runs sampling and elicitation as tasks, for a server of 2025-11-25."""

from __future__ import annotations

from typing import Any

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.client.test_calls import pair
from tests.session.peer import Peer, RawServer, result
from trimcp.client.tasks import receiver
from trimcp.types import CreateMessageRequestParams
from trimcp.types.jsonrpc import TASK_CANCELLED

CORE = "2025-11-25"
STATUS = "notifications/tasks/status"


class Model:
    """Answers with a text after some seconds, or fails."""

    def __init__(self, seconds: float = 5.0, error: Exception | None = None) -> None:
        self.seconds = seconds
        self.error = error
        self.cancelled = 0

    async def sample(self, params: CreateMessageRequestParams) -> str:
        try:
            await trio.sleep(self.seconds)
        except trio.Cancelled:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        return "thought"


def sampling(id: int, **more: Any) -> dict[str, Any]:
    message = {"role": "user", "content": {"type": "text", "text": "think"}}
    params = {"messages": [message], "maxTokens": 9, **more}
    return {"jsonrpc": "2.0", "id": id, "method": "sampling/createMessage", "params": params}


def about(id: int, method: str, task: str | None = None, **more: Any) -> dict[str, Any]:
    params = {"taskId": task, **more} if task is not None else more
    return {"jsonrpc": "2.0", "id": id, "method": f"tasks/{method}", "params": params}


async def begun(peer: Peer, id: int = 1, **task: Any) -> dict[str, Any]:
    state: dict[str, Any] = (await peer.ask(sampling(id, task=task)))["result"]["task"]
    return state


async def test_the_client_declares_the_tasks_that_it_runs(autojump_clock: MockClock) -> None:
    declared: list[dict[str, Any]] = []

    def model(params: Any) -> str:
        return ""

    every: list[dict[str, Any]] = [{"sampling": model}, {"sampling": model, "tasks": True}, {"tasks": True}]
    for options in every:

        async def serve(peer: Peer) -> None:
            opening = await peer.receive()
            declared.append(opening["params"]["capabilities"])
            info = {"name": "raw", "version": "1"}
            await peer.send(result(opening["id"], {"protocolVersion": CORE, "capabilities": {}, "serverInfo": info}))
            await peer.rest()

        async with trimcp.connect(RawServer(serve), revision=CORE, **options):
            pass
    assert "tasks" not in declared[0]
    assert declared[1]["tasks"] == {"list": {}, "cancel": {}, "requests": {"sampling": {"createMessage": {}}}}
    assert "tasks" not in declared[2]


async def test_sampling_as_a_task_from_its_beginning_to_its_result(autojump_clock: MockClock) -> None:
    async with pair(CORE, sampling=Model().sample, tasks=True) as (_, peer):
        task = await begun(peer, ttl=60_000)
        assert (task["status"], task["ttl"], task["createdAt"]) == ("working", 60_000, task["lastUpdatedAt"])
        id = task["taskId"]
        state = (await peer.ask(about(2, "get", id)))["result"]
        assert (state["taskId"], state["status"], state["pollInterval"]) == (id, "working", 1000)
        await peer.send(about(3, "result", id))
        await trio.sleep(4)
        assert await peer.settled() == []  # it waits for the end
        told, answer = await peer.receive(), await peer.receive()
        if "id" in told:
            told, answer = answer, told
        assert (told["method"], told["params"]["taskId"], told["params"]["status"]) == (STATUS, id, "completed")
        assert answer["result"]["content"] == {"type": "text", "text": "thought"}
        assert answer["result"]["_meta"] == {"io.modelcontextprotocol/related-task": {"taskId": id}}
        again = await peer.ask(about(4, "result", id, _meta={"io.modelcontextprotocol/related-task": {"taskId": "x"}}))
        assert again["result"] == answer["result"]
        assert (await peer.ask(about(5, "get", id)))["result"]["status"] == "completed"
        listed = (await peer.ask(about(6, "list")))["result"]
        assert [one["taskId"] for one in listed["tasks"]] == [id]
        assert (await peer.ask(about(7, "cancel", id)))["error"]["code"] == -32602


async def test_a_cancelled_task_stays_cancelled_and_its_work_ends(autojump_clock: MockClock) -> None:
    model = Model(100)
    async with pair(CORE, sampling=model.sample, tasks=True) as (_, peer):
        id = (await begun(peer))["taskId"]
        await wait_all_tasks_blocked()
        told = await peer.ask(about(2, "cancel", id))
        answer = await peer.receive()
        if "id" in told:
            told, answer = answer, told
        assert (told["params"]["status"], answer["result"]["status"]) == ("cancelled", "cancelled")
        await wait_all_tasks_blocked()
        assert model.cancelled == 1
        assert (await peer.ask(about(3, "get", id)))["result"]["status"] == "cancelled"
        assert (await peer.ask(about(4, "result", id)))["error"]["code"] == TASK_CANCELLED
        assert (await peer.ask(about(5, "cancel", id)))["error"]["code"] == -32602


async def test_a_failed_task_has_the_error_that_the_request_would_have_had(autojump_clock: MockClock) -> None:
    for error, code in ((trimcp.RequestFailed(-1, "User rejected sampling request"), -1), (LookupError("x"), -32603)):
        async with pair(CORE, sampling=Model(1, error).sample, tasks=True) as (_, peer):
            id = (await begun(peer))["taskId"]
            assert (await peer.receive())["params"]["status"] == "failed"
            assert (await peer.ask(about(2, "get", id)))["result"]["status"] == "failed"
            assert (await peer.ask(about(3, "result", id)))["error"]["code"] == code


async def test_unknown_and_expired_tasks_are_told_alike(autojump_clock: MockClock) -> None:
    model = Model(100)
    async with pair(CORE, sampling=model.sample, tasks=True) as (_, peer):
        id = (await begun(peer, ttl=10_000))["taskId"]
        await trio.sleep(11)
        await peer.send(about(1, "get", id), *(about(n, m, "x") for n, m in enumerate(("get", "result", "cancel"), 2)))
        answers = [await peer.receive() for _ in range(5)]
        (told,) = [one for one in answers if "method" in one]  # it expired while its work went on
        assert (told["method"], told["params"]["status"]) == (STATUS, "cancelled")
        errors = [one["error"] for one in answers if "error" in one]
        assert {one["code"] for one in errors} == {-32602}
        assert len({one["message"] for one in errors}) == 1
        await wait_all_tasks_blocked()
        assert model.cancelled == 1
        assert (await peer.ask(about(9, "list", cursor="x")))["error"]["code"] == -32602


async def test_the_client_keeps_a_bounded_number_of_tasks(autojump_clock: MockClock) -> None:
    async with pair(CORE, sampling=Model(100).sample, tasks=True) as (_, peer):
        for number in range(receiver.MOST):
            await begun(peer, number, ttl=10**12)
        assert (await peer.ask(about(100, "list")))["result"]["tasks"][0]["ttl"] == receiver.LONGEST_TTL
        assert (await peer.ask(sampling(101, task={})))["error"]["code"] == -31001


async def test_without_tasks_the_request_is_answered_as_any_other(autojump_clock: MockClock) -> None:
    async with pair(CORE, sampling=Model().sample) as (_, peer):
        answer = await peer.ask(sampling(1, task={"ttl": 1}))
        assert answer["result"]["content"]["text"] == "thought"
        assert (await peer.ask(about(2, "get", "7")))["error"]["code"] == -32601


async def test_forms_are_filled_in_as_tasks(autojump_clock: MockClock) -> None:
    async def fill(params: Any) -> dict[str, Any]:
        return {"name": "Ada"}

    async with pair(CORE, elicitation=fill, tasks=True) as (_, peer):
        schema = {"type": "object", "properties": {"name": {"type": "string"}}}
        params = {"message": "who", "requestedSchema": schema, "task": {}}
        created = await peer.ask({"jsonrpc": "2.0", "id": 1, "method": "elicitation/create", "params": params})
        id = created["result"]["task"]["taskId"]
        assert (await peer.receive())["method"] == STATUS
        answer = await peer.ask(about(2, "result", id))
        assert (answer["result"]["action"], answer["result"]["content"]) == ("accept", {"name": "Ada"})
