"""Tasks over HTTP: streams, header fields, and sessions that end before their tasks."""

from __future__ import annotations

from typing import Any

import pytest
from trio.testing import wait_all_tasks_blocked

import trimcp
from tests.requirements.wires import over_http
from tests.session.peer import MODERN
from tests.tasks.workshop import CORE, RELATED, Workshop
from trimcp.types import ElicitRequestFormParams
from trimcp.types.task_extension import GET, IDENTIFIER
from trimcp.types.tasks import TaskRequestParams


async def test_a_task_is_asked_for_and_answered_by_http(workshop: Workshop) -> None:
    async with over_http(workshop.server, CORE) as line:
        call = {"name": "work", "arguments": {}, "task": {"ttl": 60_000}}
        id = (await line.client.request("tools/call", call))["task"]["taskId"]
        state = await line.client.request("tasks/get", {"taskId": id})
        assert state["status"] == "working"
        (got,) = line.of("tasks/get")
        assert got.status == 200
        workshop.release.set()
        result = await line.client.request("tasks/result", {"taskId": id})
        assert result["content"][0]["text"] == "work done"
        assert result["_meta"][RELATED] == {"taskId": id}


async def test_questions_of_a_task_are_asked_on_the_stream_of_its_result(workshop: Workshop) -> None:
    names = iter(["Ada", "Bob"])

    async def fill_in(params: ElicitRequestFormParams) -> dict[str, Any]:
        return {"name": next(names)}

    async with over_http(workshop.server, CORE, elicitation=fill_in) as line:
        call = {"name": "ask", "arguments": {}, "task": {}}
        id = (await line.client.request("tools/call", call))["task"]["taskId"]
        await wait_all_tasks_blocked()
        result = await line.client.request("tasks/result", {"taskId": id})
        assert result["content"][0]["text"] == "Ada, Bob"
        (stream,) = line.of("tasks/result")
        assert stream.kind == "text/event-stream"
        asked = [message for message in stream.messages if message.get("method") == "elicitation/create"]
        assert [each["params"]["_meta"][RELATED] for each in asked] == [{"taskId": id}] * 2


async def test_the_name_in_the_header_is_the_id_of_the_task(workshop: Workshop) -> None:
    extension = trimcp.ClientExtension(IDENTIFIER, revisions=[MODERN], sends=[GET])
    async with over_http(workshop.server, extensions=[extension]) as line:
        with pytest.raises(trimcp.RequestFailed) as caught:
            await line.client.call(GET, TaskRequestParams("unknown"))
        assert caught.value.code == -32602
        (exchange,) = line.of("tasks/get")
        assert exchange.fields["mcp-name"] == "unknown"
