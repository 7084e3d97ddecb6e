"""A session that a node has taken up has no task there until one is needed."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

from tests.cluster.nodes import Node, at, cluster
from tests.http.clients import Legacy
from tests.http.wires import settled
from trimcp.session.session import Session


async def taken_up(client: Legacy, node: Node) -> Session:
    """Have a node take up the session of a client, and return it."""
    assert await (await at(client, node).call("add", {"a": 1, "b": 1})).text() == "2"
    (session,) = node.run.sessions
    await settled()
    assert session.snapshot().tasks == 0
    return session


@pytest.mark.parametrize("where", ["at its node", "elsewhere"])
async def test_a_session_without_a_task_ends_by_delete(where: str, autojump_clock: MockClock) -> None:
    async with cluster(2) as those:
        one, two = those.nodes
        client = await Legacy.open(one.http)
        session = await taken_up(client, two)
        assert (await (client if where == "elsewhere" else at(client, two)).delete()).status == 204
        await session.wait_over()
        assert not two.run.sessions


async def test_a_session_without_a_task_ends_with_its_node(autojump_clock: MockClock) -> None:
    async with cluster(2) as those:
        one, two = those.nodes
        client = await Legacy.open(one.http)
        session = await taken_up(client, two)
        await two.kill()
        await session.wait_over()
        assert not two.run.sessions
        assert await (await client.call("add", {"a": 1, "b": 1})).text() == "2"


async def test_a_session_without_a_task_drains_and_goes_on_elsewhere(autojump_clock: MockClock) -> None:
    async with cluster(2) as those:
        one, two = those.nodes
        client = await Legacy.open(one.http)
        session = await taken_up(client, two)
        await two.stop()
        await session.wait_over()
        assert await (await client.call("add", {"a": 1, "b": 1})).text() == "2"


async def test_progress_gives_a_session_its_task(autojump_clock: MockClock) -> None:
    async with cluster(2) as those:
        one, two = those.nodes
        client = await Legacy.open(one.http)
        session = await taken_up(client, two)
        answer = await at(client, two).call("talk", {"name": "it"}, token="t")
        two.shop.open("it")
        found = [message.get("method", "answer") for message in await answer.messages()]
        assert found[0] == "notifications/progress" and found[-1] == "answer"
        assert session.snapshot().tasks > 0
