"""Definitions are immutable snapshots: a change makes another one, and requests keep the one they began with."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trimcp
from tests.server.news import newsy
from tests.session.peer import ERAS, served


def catalogs(server: trimcp.Server) -> list[Any]:
    """The newest snapshot of each feature."""
    return [
        server._declarations.tools.catalog,
        server._declarations.resources.catalog,
        server._declarations.prompts.catalog,
        server._declarations.completions.catalog,
    ]


def content(n: str = "") -> str:
    return n


def choices(value: str) -> list[str]:
    return []


def test_each_change_makes_another_snapshot_and_leaves_the_others_as_they_are() -> None:
    server = newsy()
    server.resource("mem://{n}")(content)
    first = catalogs(server)
    server.tool(name="more")(lambda: 1)
    server.add_resource("mem://more", "")
    server.resource("more://{n}")(content)
    server.prompt(name="more")(lambda: "")
    server.completion("greet", "name")(choices)
    second = catalogs(server)
    assert all(one is not two for one, two in zip(first, second, strict=True))
    server.remove_tool("more")
    server.remove_resource("mem://more")
    server.remove_resource("more://{n}")
    server.remove_prompt("greet")
    tools, resources, prompts, completions = first
    assert list(tools) == ["add"]
    assert (list(resources.resources), list(resources.templates)) == (["mem://motd"], ["mem://{n}"])
    assert (list(prompts), dict(completions)) == (["greet"], {})
    tools, resources, prompts, completions = second
    assert list(tools) == ["add", "more"]
    assert (list(resources.resources), list(resources.templates)) == (
        ["mem://motd", "mem://more"],
        ["mem://{n}", "more://{n}"],
    )
    assert resources.find("more://1") is not None
    assert (list(prompts), len(completions)) == (["greet", "more"], 1)
    tools, resources, prompts, completions = catalogs(server)
    assert (list(tools), list(prompts), len(completions)) == (["add"], ["more"], 0)
    assert resources.find("more://1") is None
    assert resources.find("mem://more") is not None  # by the template


def test_a_snapshot_cannot_be_changed() -> None:
    server = newsy()
    tools, resources, prompts, completions = catalogs(server)
    for snapshot in (tools, resources.resources, prompts, completions):
        with pytest.raises(TypeError):
            snapshot["x"] = None
    with pytest.raises(AttributeError):
        resources.templates = {}


@pytest.mark.parametrize("version", ERAS)
async def test_what_began_goes_on_with_the_snapshot_it_began_with(version: str) -> None:
    server = newsy()
    go = trio.Event()
    began: list[str] = []

    @server.middleware
    async def slowly(ctx: trimcp.Context, params: Any, proceed: Any) -> Any:
        result = await proceed(params)
        began.append(ctx.method)
        await go.wait()
        return result

    @server.tool
    async def wait() -> str:
        await go.wait()
        return "done"

    async with served(server, version) as peer:
        await peer.settled()
        await peer.send(peer.call(1, "wait"), peer.request(2, "tools/list"), peer.request(3, "prompts/list"))
        await wait_all_tasks_blocked()
        assert sorted(began) == ["prompts/list", "tools/list"]
        server.remove_tool("wait")
        server.remove_prompt("greet")
        go.set()
        answers = {message["id"]: message["result"] for message in await peer.settled() if "id" in message}
        assert answers[1]["content"][0]["text"] == "done"
        assert [tool["name"] for tool in answers[2]["tools"]] == ["add", "wait"]
        assert [prompt["name"] for prompt in answers[3]["prompts"]] == ["greet"]
        assert (await peer.ask(peer.call(4, "wait")))["error"]["code"] == -32602


async def test_every_run_of_a_server_is_told_of_a_new_snapshot() -> None:
    server = newsy()
    async with served(server, "2025-11-25") as one, served(server, "2025-11-25") as other:
        await one.settled()
        await other.settled()
        assert len(server.tree()) == 2
        server.tool(name="more")(lambda: 1)
        for peer in (one, other):
            assert [message["method"] for message in await peer.settled()] == ["notifications/tools/list_changed"]
            assert len((await peer.ask(peer.request(1, "tools/list")))["result"]["tools"]) == 2
