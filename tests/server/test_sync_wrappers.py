"""A plain function that returns what an async function does: it is awaited, wherever a program gives functions."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

import trimcp
from tests.server.reading import client_of, every_revision
from trimcp.types import CreateMessageResult, ElicitRequestFormParams, TextContent


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator as many libraries have it: a plain function around an async one."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


@every_revision
async def test_a_sync_wrapper_around_an_async_function_is_awaited(version: str) -> None:
    server = trimcp.Server("a")

    @server.tool
    @wrapped
    async def add(a: int, ctx: trimcp.Context, b: int = 2) -> int:
        await ctx.progress(1)
        return a + b

    @server.prompt
    @wrapped
    async def ask(what: str) -> str:
        return f"What is {what}?"

    @server.resource("note://{name}")
    @wrapped
    async def note(name: str) -> str:
        return name * 2

    @server.completion("ask", "what")
    @wrapped
    async def what(value: str) -> list[str]:
        return [value + "!"]

    async with client_of(server, version) as client:
        reports: list[float] = []
        result = await client.call_tool("add", {"a": 1}, on_progress=lambda done, total, text: reports.append(done))
        assert (result.text, reports) == ("3", [1])
        (message,) = (await client.get_prompt("ask", {"what": "it"})).messages
        assert message.content == TextContent("What is it?")
        assert (await client.read_resource("note://ab")).text == "abab"
        assert (await client.complete("what", "x", prompt="ask")).values == ["x!"]


async def answer_async(params: Any) -> str:
    return "from a model"


@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
@pytest.mark.parametrize(
    "sampling",
    [
        answer_async,
        lambda params: answer_async(params),
        lambda params: "from a model",
        lambda params: CreateMessageResult("assistant", TextContent("from a model"), "m", "endTurn"),
    ],
)
async def test_the_functions_of_a_client_may_be_plain(version: str, sampling: Any) -> None:
    server = trimcp.Server("a")

    @server.tool
    async def use(ctx: trimcp.Context) -> list[Any]:
        answers = await ctx.ask(
            model=trimcp.Sample("Hello"),
            form=trimcp.Elicit("Who?", {"type": "object", "properties": {"name": {"type": "string"}}}),
            page=trimcp.ElicitUrl("Go", "https://example.com", id="an id that cannot be guessed"),
            folders=trimcp.Roots(),
        )
        (folder,) = answers["folders"]
        return [answers["model"].text, answers["form"].data, answers["page"].action, folder.uri]

    def fill_in(params: ElicitRequestFormParams) -> dict[str, Any]:
        return {"name": "Ada"}

    async with trimcp.connect(
        server,
        revision=version,
        sampling=sampling,
        elicitation=fill_in,
        visit=lambda params: True,
        roots=lambda: ["file:///a"],
        consent=lambda method, params: True,
    ) as client:
        result = await client.call_tool("use", returns=list[Any])
        assert result == ["from a model", {"name": "Ada"}, "accept", "file:///a"]


async def test_the_functions_of_a_group_may_be_plain() -> None:
    server = trimcp.Server("a")

    @server.tool
    async def use(ctx: trimcp.Context) -> str:
        return (await ctx.sample("Hello")).text

    async with trimcp.open_group(sampling=lambda name, params: f"{name} asks") as group:
        await group.add("a", server)
        await group.wait_ready("a")
        assert (await group.call_tool("a__use")).text == "a asks"


@every_revision
async def test_a_sync_tool_reports_progress(version: str) -> None:
    server = trimcp.Server("a")

    @server.tool
    def count(ctx: trimcp.Context) -> int:
        for number in range(1, 4):
            ctx.progress(number, 3, f"step {number}")
        return 3

    reports: list[tuple[float, float | None]] = []
    async with client_of(server, version) as client:
        await client.call_tool("count", on_progress=lambda done, total, text: reports.append((done, total)))
    assert reports[-1] == (3, 3)
