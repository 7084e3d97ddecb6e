"""Prompts of a server: declared, listed, and got, in every revision."""

from __future__ import annotations

import datetime
from typing import Annotated, Any, Literal

import attrs
import pytest
import trio
from trio.testing import MockClock

import trimcp
from tests.server.reading import client_of, every_revision, refusal
from tests.session.peer import ERAS, Logged
from trimcp.types.content import (
    BlobResourceContents,
    EmbeddedResource,
    ResourceLink,
    TextContent,
    TextResourceContents,
)
from trimcp.types.metadata import Icon
from trimcp.types.prompts import GetPromptResult, PromptMessage

PNG = b"\x89PNG\r\n\x1a\n"


@attrs.define
class Note:
    text: str


def make_server() -> trimcp.Server:
    server = trimcp.Server("a")

    @server.prompt(title="Review", icons=[Icon("https://example.org/i.png")], meta={"k": 1})
    async def review(
        code: Annotated[str, "What to look at"], language: str, rounds: int = 1, *, ctx: trimcp.Context
    ) -> str:
        """Ask for a review.

        Args:
            language: what it is written in
        """
        return f"Review this {language}, {rounds!r} times: {code} ({ctx.method})"

    return server


async def messages_of(value: Any, version: str = "2026-07-28") -> list[dict[str, Any]]:
    """The messages, on the wire, of a prompt that returns a value."""
    server = trimcp.Server("a")
    server.prompt(name="p")(lambda: value)
    async with client_of(server, version) as client:
        messages: list[dict[str, Any]] = (await client.request("prompts/get", {"name": "p"}))["messages"]
        return messages


def said(text: str, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": {"type": "text", "text": text}}


# --- lists ----------------------------------------------------------------------------


@every_revision
async def test_a_prompt_is_listed_with_its_arguments(version: str, mock_clock: MockClock) -> None:
    async with client_of(make_server(), version) as client:
        (prompt,) = (await client.request("prompts/list", {}))["prompts"]
    assert prompt == {
        "name": "review",
        "description": "Ask for a review.",
        "arguments": [
            {"name": "code", "description": "What to look at", "required": True},
            {"name": "language", "description": "what it is written in", "required": True},
            {"name": "rounds", "required": False},
        ],
        **({"title": "Review", "_meta": {"k": 1}} if version >= "2025-06-18" else {}),
        **({"icons": [{"src": "https://example.org/i.png"}]} if version >= "2025-11-25" else {}),
    }


@every_revision
async def test_prompts_come_in_pages_in_the_order_of_declaration(version: str, mock_clock: MockClock) -> None:
    server = trimcp.Server("a", limits=trimcp.Limits(page=2))
    names = ["c", "a", "b", "e", "d"]
    for name in names:
        server.prompt(name=name)(lambda: "")
    async with client_of(server, version) as client:
        assert [prompt.name for prompt in (await client.prompts_page()).prompts] == ["c", "a"]
        assert [prompt.name for prompt in await client.list_prompts()] == names
        assert (await refusal(client, "prompts/list", {"cursor": "x"})).code == -32602


@every_revision
async def test_the_capability_follows_from_what_is_declared(version: str, mock_clock: MockClock) -> None:
    async with client_of(make_server(), version) as client:
        declared = client.server_capabilities.prompts
        assert declared is not None
        assert declared.list_changed is True
        assert client.server_capabilities.resources is None
    async with client_of(trimcp.Server("bare"), version) as client:
        assert client.server_capabilities.prompts is None
        assert (await refusal(client, "prompts/get", {"name": "review"})).code == -32601


# --- getting one ----------------------------------------------------------------------


@every_revision
async def test_a_prompt_is_got_with_its_arguments(version: str, mock_clock: MockClock) -> None:
    async with client_of(make_server(), version) as client:
        arguments = {"code": "x = 1", "language": "Python", "rounds": "3"}
        result = await client.request("prompts/get", {"name": "review", "arguments": arguments})
    assert result["description"] == "Ask for a review."
    assert result["messages"] == [said("Review this Python, 3 times: x = 1 (prompts/get)")]


REFUSED: list[tuple[Any, str, list[str] | None]] = [
    ({"name": "unknown"}, "Unknown prompt: unknown", None),
    (
        {"name": "review"},
        "Invalid arguments",
        ["required property missing @ $.arguments.code", "required property missing @ $.arguments.language"],
    ),
    (
        {"name": "review", "arguments": {"code": "", "language": "", "rounds": "many"}},
        "Invalid arguments",
        ["expected integer, as JSON text @ $.arguments.rounds"],
    ),
    (
        {"name": "review", "arguments": {"code": "", "language": "", "more": ""}},
        "Invalid arguments",
        ["no such argument @ $.arguments.more"],
    ),
    ({"name": "review", "arguments": {"code": 3}}, "Invalid params", ["expected string @ $.arguments.code"]),
    ({"name": "review", "arguments": []}, "Invalid params", None),
    ({}, "Invalid params", None),
]


@pytest.mark.parametrize(("params", "message", "problems"), REFUSED)
@every_revision
async def test_a_request_that_does_not_fit_is_refused(
    version: str, params: dict[str, Any], message: str, problems: list[str] | None, mock_clock: MockClock
) -> None:
    async with client_of(make_server(), version) as client:
        error = await refusal(client, "prompts/get", params)
    assert error.code == -32602
    assert error.message.startswith(message)
    if problems is not None:
        assert error.data == {"problems": problems}


async def test_arguments_that_are_no_strings_are_read_from_their_text(mock_clock: MockClock) -> None:
    server = trimcp.Server("a")
    seen: list[Any] = []

    @server.prompt
    async def plan(day: datetime.date, tags: list[str] | None = None, *, loud: bool = False) -> str:
        seen.append((day, tags, loud))
        return ""

    async with client_of(server) as client:
        await client.get_prompt("plan", {"day": "2026-01-31"})
        await client.get_prompt("plan", {"day": "2026-01-31", "tags": '["a"]', "loud": "true"})
    assert seen == [(datetime.date(2026, 1, 31), None, False), (datetime.date(2026, 1, 31), ["a"], True)]


RETURNED: list[tuple[Any, list[dict[str, Any]]]] = [
    ("text", [said("text")]),
    (["one", "two"], [said("one"), said("two")]),
    (("one",), [said("one")]),
    ([], []),
    (TextContent("text"), [said("text")]),
    (PromptMessage("assistant", TextContent("text")), [said("text", "assistant")]),
    ([PromptMessage("assistant", TextContent("a")), "b"], [said("a", "assistant"), said("b")]),
    (
        trimcp.Image(PNG),
        [{"role": "user", "content": {"type": "image", "data": "iVBORw0KGgo=", "mimeType": "image/png"}}],
    ),
    (
        TextResourceContents("x:y", "a"),
        [{"role": "user", "content": {"type": "resource", "resource": {"uri": "x:y", "text": "a"}}}],
    ),
    (
        [EmbeddedResource(BlobResourceContents("x:y", "YQ=="))],
        [{"role": "user", "content": {"type": "resource", "resource": {"uri": "x:y", "blob": "YQ=="}}}],
    ),
    (Note("a"), [said('{"text":"a"}')]),
    (GetPromptResult([PromptMessage("user", TextContent("a"))]), [said("a")]),
]


@pytest.mark.parametrize(("value", "messages"), RETURNED, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("version", ["2024-11-05", "2026-07-28"])
async def test_what_a_function_returns_becomes_messages(
    version: str, value: Any, messages: list[dict[str, Any]], mock_clock: MockClock
) -> None:
    assert await messages_of(value, version) == messages


@every_revision
async def test_content_that_a_revision_lacks_is_text_that_says_so(version: str, mock_clock: MockClock) -> None:
    server = trimcp.Server("a")
    server.prompt(name="audio")(lambda: trimcp.Audio(b"a", "audio/wav"))
    server.prompt(name="link")(lambda: ResourceLink("x:y", "y"))
    async with client_of(server, version) as client:
        for name, since in (("audio", "2025-03-26"), ("link", "2025-06-18")):
            (message,) = (await client.get_prompt(name)).messages
            if version >= since:
                assert message.content.type in ("audio", "resource_link")
            else:
                assert isinstance(message.content, TextContent)
                assert f"{version} has no content of this kind" in message.content.text


@every_revision
async def test_what_goes_wrong_in_a_function_is_kept_from_the_client(
    version: str, mock_clock: MockClock, logged: Logged
) -> None:
    server = trimcp.Server("a")

    @server.prompt
    async def raises() -> str:
        raise ValueError("the password is 12345")

    @server.prompt
    async def nothing() -> None:
        return None

    @server.prompt
    async def unsendable() -> Any:
        return object()

    @server.prompt
    async def says() -> str:
        raise trimcp.InvalidParams("not today", {"until": "noon"})

    async with client_of(server, version) as client:
        for name in ("raises", "nothing", "unsendable"):
            error = await refusal(client, "prompts/get", {"name": name})
            assert (error.code, error.message, error.data) == (-32603, "Internal error", None)
        error = await refusal(client, "prompts/get", {"name": "says"})
        assert (error.code, error.message, error.data) == (-32602, "not today", {"until": "noon"})
    assert len(logged.of("handler.failed")) == 3


@pytest.mark.parametrize("version", ERAS)
async def test_a_sync_function_runs_in_a_thread(version: str, mock_clock: MockClock) -> None:
    server = trimcp.Server("a")

    @server.prompt
    def sync() -> str:
        return str(trio.lowlevel.in_trio_task())

    async with client_of(server, version) as client:
        (message,) = (await client.get_prompt("sync")).messages
    assert isinstance(message.content, TextContent)
    assert message.content.text == "False"


# --- changes --------------------------------------------------------------------------


@every_revision
async def test_declaring_and_removing_while_it_runs_changes_the_list(version: str, mock_clock: MockClock) -> None:
    server = make_server()
    async with client_of(server, version) as client:
        await client.ping()  # the session is open on the server's side too
        async with client.listen(prompts=True) as notices:
            server.prompt(name="new")(lambda: "")
            await anext(notices)
            assert [prompt.name for prompt in await client.list_prompts()] == ["review", "new"]
            server.remove_prompt("review")
            await anext(notices)
            assert [prompt.name for prompt in await client.list_prompts()] == ["new"]
            assert (await refusal(client, "prompts/get", {"name": "review"})).code == -32602


async def test_the_first_prompt_must_be_there_before_the_server_runs(mock_clock: MockClock) -> None:
    server = trimcp.Server("a")
    async with client_of(server):
        with pytest.raises(trimcp.UsageError, match="first prompt before"):
            server.prompt(name="p")(lambda: "")


# --- what cannot be declared ----------------------------------------------------------


def test_a_mistake_in_a_declaration_is_told_at_once() -> None:
    server = trimcp.Server("a")
    server.prompt(name="p")(lambda: "")
    with pytest.raises(trimcp.UsageError, match="Duplicate prompt name"):
        server.prompt(name="p")(lambda: "")
    for name in ("", "a\nb", "x" * 1000):
        with pytest.raises(trimcp.UsageError, match="Invalid prompt name"):
            server.prompt(name=name)(lambda: "")
    with pytest.raises(trimcp.UsageError, match="Unknown prompt 'q'"):
        server.remove_prompt("q")

    def positional(*words: str) -> str:
        return ""

    with pytest.raises(trimcp.UsageError, match="arguments come by name"):
        server.prompt(positional)


def test_the_decorator_gives_the_function_back() -> None:
    server = trimcp.Server("a")

    def plain(kind: Literal["a", "b"]) -> str:
        return kind

    assert server.prompt(plain) is plain
    assert server.prompt(name="other")(plain) is plain
