"""The functions that answer servers: one for a whole group, which knows who asks, or one for a member alone."""

from __future__ import annotations

import inspect
import sys
from typing import Any

import pytest
import trio

import trimcp
from tests.session.peer import ERAS
from trimcp import open_group
from trimcp.client.group.options import ConnectOptions
from trimcp.types.elicitation import ElicitRequestFormParams
from trimcp.types.sampling import CreateMessageRequestParams


def curious() -> trimcp.Server:
    """A server that asks everything."""
    server = trimcp.Server("curious")

    @server.tool
    async def ask_model(ctx: trimcp.Context) -> str:
        return (await ctx.sample("What is it?", max_tokens=10)).text

    @server.tool
    async def ask_user(ctx: trimcp.Context) -> str:
        answer = await ctx.elicit("Who?", {"type": "object", "properties": {"name": {"type": "string"}}})
        return f"{answer.action}: {answer.data}"

    @server.tool
    async def ask_roots(ctx: trimcp.Context) -> str:
        return " ".join(root.uri for root in await ctx.roots())

    return server


@pytest.mark.parametrize("version", ERAS)
async def test_functions_of_the_group_know_which_server_asks(version: str) -> None:
    asked: list[tuple[str, str]] = []

    async def sampling(server: str, params: CreateMessageRequestParams) -> str:
        return f"a model for {server}"

    async def elicitation(server: str, params: ElicitRequestFormParams) -> dict[str, Any]:
        return {"name": server}

    async def roots(server: str) -> list[str]:
        return [f"/srv/{server}"]

    async def consent(server: str, method: str, params: Any) -> bool:
        asked.append((server, method))
        return server != "shady"

    async with open_group(
        revision=version, sampling=sampling, elicitation=elicitation, roots=roots, consent=consent
    ) as group:
        for name in ("one", "two", "shady"):
            await group.add(name, curious())
        await group.wait_attempted()
        assert (await group.call_tool("one__ask_model")).text == "a model for one"
        assert (await group.call_tool("two__ask_model")).text == "a model for two"
        assert "'two'" in (await group.call_tool("two__ask_user")).text
        assert (await group.call_tool("one__ask_roots")).text == "file:///srv/one"
        assert (await group.call_tool("shady__ask_user")).text.startswith("decline")
        assert asked[0] == ("one", "sampling/createMessage")
        assert asked[-1] == ("shady", "elicitation/create")


@pytest.mark.parametrize("version", ERAS)
async def test_a_member_may_have_functions_of_its_own_or_none(version: str) -> None:
    async def sampling(server: str, params: CreateMessageRequestParams) -> str:
        return f"a model for {server}"

    async def own(params: CreateMessageRequestParams) -> str:
        return "a model of its own"

    async with open_group(revision=version, sampling=sampling, roots=["/srv/all"]) as group:
        await group.add("plain", curious())
        await group.add("special", curious(), sampling=own, roots=["/srv/special"])
        await group.add("without", curious(), sampling=None)
        await group.wait_attempted()
        assert (await group.call_tool("plain__ask_model")).text == "a model for plain"
        assert (await group.call_tool("plain__ask_roots")).text == "file:///srv/all"
        assert (await group.call_tool("special__ask_model")).text == "a model of its own"
        assert (await group.call_tool("special__ask_roots")).text == "file:///srv/special"
        with pytest.raises(trimcp.RequestFailed):
            await group.call_tool("without__ask_model")


async def test_what_commands_write_to_stderr_comes_with_the_name_of_the_member() -> None:
    lines: list[tuple[str, str]] = []
    said = trio.Event()

    def on_stderr(server: str, line: str) -> None:
        lines.append((server, line))
        said.set()

    program = "import sys; print('gone', file=sys.stderr)"
    async with open_group(on_stderr=on_stderr, restarts=trimcp.Restarts(most=0)) as group:
        member = await group.add("one", [sys.executable, "-c", program])
        with trio.fail_after(60):
            with pytest.raises(trimcp.SessionFailed):
                await member.wait_ready()
            await said.wait()
        assert isinstance(member.error, trimcp.ServerExited)
    assert ("one", "gone") in lines


def test_the_options_of_members_are_those_of_connect() -> None:
    options = inspect.signature(trimcp.connect).parameters.keys() - {"target"}
    assert ConnectOptions.__annotations__.keys() == options, "add it to trimcp.client.group.options, for type checkers"
