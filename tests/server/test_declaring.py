"""What a program declares is declared, or refused at once with what to write."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

import trimcp
from tests.server.reading import client_of, every_revision
from trimcp.types import PromptMessage, TextContent


def plus(a: int, b: int) -> int:
    return a + b


def no_hint(ctx, a: int) -> int:  # type: ignore[no-untyped-def]
    return a


def generator() -> Iterator[int]:
    yield 1


Declare = Callable[[trimcp.Server], Any]
REFUSED: list[tuple[Declare, str]] = [
    (lambda server: server.tool("plus"), "write name='plus'"),
    (lambda server: server.prompt("plus"), "write name='plus'"),
    (lambda server: server.resource(plus), r'plus is no text: write @server.resource\("scheme://name"\)'),
    (lambda server: server.route(plus), r'plus is no text: write @server.route\("/path"\)'),
    (lambda server: server.completion("a", plus), "plus is no text: write @server.completion"),
    (lambda server: server.add_resource(plus, "text"), "plus is no text: write server.add_resource"),
    (lambda server: server.add_resource("a:b", plus), "is a function: declare it by @server.resource"),
    (lambda server: server.tool(no_hint), "write `ctx: trimcp.Context`"),
    (lambda server: server.prompt(no_hint), "write `ctx: trimcp.Context`"),
    (lambda server: server.resource("a:{a}")(no_hint), "write `ctx: trimcp.Context`"),
    (lambda server: server.tool(requires=["elicit"])(plus), "Unknown requirement 'elicit' of the tool plus: use eli"),
    (lambda server: server.tool(requires="sampling")(plus), "Invalid requires='sampling': give a list"),
    (lambda server: server.tool(annotations={"readOnlyHint": True})(plus), "give a trimcp.types.ToolAnnotations"),
    (lambda server: server.tool(icons="a.png")(plus), "give a list of trimcp.types.Icon"),
    (lambda server: server.tool(icons=["a.png"])(plus), "give a list of trimcp.types.Icon"),
    (lambda server: server.tool(meta=["a"])(plus), "Invalid meta"),
    (lambda server: server.tool(title=3)(plus), "Invalid title=3: give a string"),
    (lambda server: server.tool(name=3)(plus), "Invalid name=3: give a string"),
    (lambda server: server.tool(timeout="3")(plus), "Invalid timeout='3': give a number of seconds"),
    (lambda server: server.tool(limit=1.5)(plus), "Invalid limit=1.5"),
    (lambda server: server.tool(limit=True)(plus), "Invalid limit=True"),
    (lambda server: server.tool(input_schema="x")(plus), "give a JSON Schema, as a dict"),
    (lambda server: server.tool(output_schema="x")(plus), "give a JSON Schema, as a dict"),
    (lambda server: server.resource("a:b", mime_type=1)(plus), "Invalid mime_type=1"),
    (lambda server: server.resource("a:b", size="1")(plus), "Invalid size='1'"),
    (lambda server: server.resource("a:b", annotations={})(plus), "give a trimcp.types.Annotations"),
    (lambda server: server.middleware("x"), "write @server.middleware above a function"),
    (lambda server: server.may_subscribe("x"), "write @server.may_subscribe above a function"),
    (lambda server: server.on_roots_changed("x"), "write @server.on_roots_changed above a function"),
    (lambda server: server.dependency(generator), "is a plain generator: declare it with async def"),
    (lambda server: server.use(3), "give a trimcp.ServerExtension"),
    (lambda server: trimcp.Server(server), "give the name of the server"),
    (lambda server: trimcp.Server("a", icons="x"), "give a list of trimcp.types.Icon"),
    (lambda server: trimcp.Server("a", revisions="2025-11-25"), "give a list of 2024"),
    (lambda server: trimcp.Server("a", limits={}), "give a trimcp.Limits"),
    (lambda server: trimcp.Server("a", caching=3), "give a trimcp.Caching"),
    (lambda server: trimcp.Server("a", lifespan=3), "give a function that returns an async context manager"),
]  # type: ignore[list-item]  # each is what a type checker would refuse too


@pytest.mark.parametrize(("declare", "says"), REFUSED)
def test_a_declaration_with_something_else_is_refused_with_what_to_write(declare: Declare, says: str) -> None:
    server = trimcp.Server("a")
    with pytest.raises(trimcp.UsageError, match=says):
        declare(server)


@every_revision
async def test_messages_of_a_prompt_can_be_written_as_dicts(version: str) -> None:
    server = trimcp.Server("a")

    @server.prompt
    async def talk() -> list[Any]:
        return [
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": {"type": "text", "text": "Yes?"}},
            {"role": "user", "content": TextContent("Go on")},
            PromptMessage("assistant", TextContent("I do")),
            "The end",
        ]

    @server.prompt
    async def one() -> dict[str, Any]:
        return {"role": "assistant", "content": "Alone"}

    async with client_of(server, version) as client:
        got = (await client.get_prompt("talk")).messages
        assert [(message.role, message.content) for message in got] == [
            ("user", TextContent("Hello")),
            ("assistant", TextContent("Yes?")),
            ("user", TextContent("Go on")),
            ("assistant", TextContent("I do")),
            ("user", TextContent("The end")),
        ]
        (alone,) = (await client.get_prompt("one")).messages
        assert alone == PromptMessage("assistant", TextContent("Alone"))


@pytest.mark.parametrize(
    "message",
    [
        {"role": "system", "content": "x"},
        {"role": "user"},
        {"role": "user", "content": None},
        {"role": "user", "content": ["x", "y"]},
        {"role": "user", "content": {"type": "nonsense"}},
    ],
)
async def test_a_message_that_is_written_wrongly_is_not_sent_as_text(message: dict[str, Any]) -> None:
    server = trimcp.Server("a")

    @server.prompt
    async def talk() -> list[Any]:
        return [message]

    async with client_of(server) as client:
        with pytest.raises(trimcp.RequestFailed) as caught:
            await client.get_prompt("talk")
        assert caught.value.code == -32603


@every_revision
async def test_a_tool_has_the_output_schema_that_it_is_declared_with(version: str) -> None:
    server = trimcp.Server("a")
    pair = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}

    @server.tool(output_schema=pair)
    async def right() -> Any:
        return {"n": 1, "more": "x"}

    @server.tool(output_schema=pair)
    async def wrong() -> Any:
        return {"n": "1"}

    @server.tool(output_schema={"type": "array", "items": {"type": "integer"}})
    def wrapped():  # type: ignore[no-untyped-def]
        return [1, 2]

    async with client_of(server, version) as client:
        result = await client.call_tool("right")
        assert not result.is_error
        assert result.text == '{"n":1,"more":"x"}'
        failed = await client.call_tool("wrong")
        assert failed.is_error
        listed = {tool.name: tool.output_schema for tool in await client.list_tools()}
        if version < "2025-06-18":
            return
        assert listed["right"] == pair
        assert result.structured == {"n": 1, "more": "x"}
        assert (await client.call_tool("wrapped")).structured == {"result": [1, 2]}


def test_an_output_schema_that_is_none_is_refused() -> None:
    with pytest.raises(trimcp.UsageError):
        trimcp.Server("a").tool(output_schema={"type": "nonsense"})(plus)


async def test_a_dependency_of_any_form_is_made() -> None:
    import contextlib
    import functools

    server = trimcp.Server("a")
    closed: list[str] = []

    class One(str):
        __slots__ = ()

    class Two(str):
        __slots__ = ()

    class Three(str):
        __slots__ = ()

    async def one() -> One:
        return One("1")

    @server.dependency
    @functools.wraps(one)
    def wraps_one() -> Any:
        return one()

    @server.dependency
    @contextlib.asynccontextmanager
    async def two() -> AsyncIterator[Two]:
        yield Two("2")
        closed.append("two")

    @server.dependency
    async def three() -> AsyncIterator[Three]:
        yield Three("3")
        closed.append("three")

    @server.tool
    async def join(a: One, b: Two, c: Three) -> str:
        return a + b + c

    async with client_of(server) as client:
        assert (await client.call_tool("join")).text == "123"
    assert sorted(closed) == ["three", "two"]
