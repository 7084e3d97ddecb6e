"""A client's calls of prompts and of completion."""

from __future__ import annotations

from typing import Any

import pytest
from trio.testing import MockClock

import trimcp
from tests.client.answering import HINTS, answering
from tests.server.reading import client_of, every_revision
from trimcp.types.content import TextContent


def make_server(**limits: int) -> trimcp.Server:
    server = trimcp.Server("a", limits=trimcp.Limits(**limits))

    @server.prompt
    async def echo(text: str, number: int = 0, flag: bool = False, names: list[str] | None = None) -> str:
        """Say it again."""
        return f"{text!r} {number!r} {flag!r} {names!r}"

    @server.completion("echo", "text")
    async def text(value: str, number: int = 0) -> list[str]:
        return [f"{value}{number}"]

    @server.resource("x:{a}")
    async def template(a: bool) -> str:
        return str(a)

    for n in range(4):
        server.prompt(name=f"p{n}")(lambda: "")
    return server


@every_revision
async def test_lists_are_read_page_after_page(version: str, mock_clock: MockClock) -> None:
    names = ["echo", "p0", "p1", "p2", "p3"]
    async with client_of(make_server(page=2), version) as client:
        assert [prompt.name for prompt in await client.list_prompts()] == names
        assert [prompt.name async for prompt in client.iter_prompts()] == names
        async for prompt in client.iter_prompts():
            assert prompt.description == "Say it again."
            break


@every_revision
async def test_a_prompt_is_got_with_arguments_of_any_kind(version: str, mock_clock: MockClock) -> None:
    async with client_of(make_server(), version) as client:
        for arguments, expected in (
            ({"text": "a"}, "'a' 0 False None"),
            ({"text": "3", "number": "3"}, "'3' 3 False None"),
            ({"text": "a", "number": 3, "flag": True, "names": ["b"]}, "'a' 3 True ['b']"),
        ):
            result = await client.get_prompt("echo", arguments, meta={"com.example/k": 1})
            assert result.description == "Say it again."
            (message,) = result.messages
            assert message.role == "user"
            assert isinstance(message.content, TextContent)
            assert message.content.text == expected


@every_revision
async def test_what_the_server_refuses_raises(version: str, mock_clock: MockClock) -> None:
    async with client_of(make_server(), version) as client:
        for name, arguments in (("nothing", None), ("echo", None), ("echo", {"text": "a", "number": "x"})):
            with pytest.raises(trimcp.RequestFailed) as caught:
                await client.get_prompt(name, arguments)
            assert caught.value.code == -32602


async def test_an_argument_without_a_json_form_does_not_leave(mock_clock: MockClock) -> None:
    async with client_of(make_server()) as client:
        with pytest.raises(trimcp.UsageError, match="the argument 'text' has no JSON form"):
            await client.get_prompt("echo", {"text": object()})


@pytest.mark.parametrize(
    "answer",
    [{}, {"messages": {}}, {"messages": [{"role": "system", "content": {"type": "text", "text": ""}}]}],
)
async def test_an_answer_that_breaks_the_schema_is_refused(answer: dict[str, Any], mock_clock: MockClock) -> None:
    async with trimcp.connect(answering({"prompts/get": {**HINTS, **answer}})) as client:
        with pytest.raises(trimcp.InvalidResult):
            await client.get_prompt("p")


@every_revision
async def test_arguments_are_completed(version: str, mock_clock: MockClock) -> None:
    async with client_of(make_server(), version) as client:
        completion = await client.complete("text", "v", prompt="echo")
        assert (completion.values, completion.total, completion.has_more) == (["v0"], 1, False)
        given = await client.complete("text", "v", prompt="echo", given={"number": "7"})
        assert given.values == (["v7"] if version >= "2025-06-18" else ["v0"])
        assert (await client.complete("flag", prompt="echo")).values == ["true", "false"]
        assert (await client.complete("a", "t", template="x:{a}")).values == ["true"]
        with pytest.raises(trimcp.RequestFailed, match="Unknown argument"):
            await client.complete("nothing", prompt="echo")


async def test_either_a_prompt_or_a_template_is_completed(mock_clock: MockClock) -> None:
    async with client_of(make_server()) as client:
        with pytest.raises(trimcp.UsageError, match="either"):
            await client.complete("a")
        with pytest.raises(trimcp.UsageError, match="either"):
            await client.complete("a", prompt="echo", template="x:{a}")
