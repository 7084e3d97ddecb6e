"""Completion of the arguments of prompts and of the variables of resource templates."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from trio.testing import MockClock

import trimcp
from tests.server.reading import client_of, every_revision, refusal
from tests.session.peer import Logged
from trimcp.types.completion import CompleteResult, Completion

WITH_CONTEXT = ("2025-06-18", "2025-11-25", "2026-07-28")
FRAMEWORKS = {"python": ["flask", "fastapi", "django"], "rust": ["axum"]}


class Size(enum.Enum):
    SMALL = "small"
    LARGE = "large"


def make_server() -> trimcp.Server:
    server = trimcp.Server("a")

    @server.prompt
    async def review(
        language: Literal["python", "pascal", "rust"],
        framework: str = "",
        strict: bool = False,
        size: Size = Size.SMALL,
    ) -> str:
        return language

    @server.completion("review", "framework")
    async def framework(value: str, language: str, ctx: trimcp.Context) -> list[str]:
        assert ctx.method == "completion/complete"
        return [name for name in FRAMEWORKS.get(language, []) if name.startswith(value)]

    @server.resource("weather://{city}/{unit}")
    async def weather(city: str, unit: Literal["celsius", "kelvin"]) -> str:
        return city

    @server.completion("weather://{city}/{unit}", "city")
    def city(value: str) -> list[str]:
        return [name for name in ("Basel", "Bern", "Zürich") if name.lower().startswith(value.lower())]

    return server


def asking(ref: dict[str, str], argument: str, value: str = "", **given: str) -> dict[str, Any]:
    """The params of a request."""
    params: dict[str, Any] = {"ref": ref, "argument": {"name": argument, "value": value}}
    return {**params, "context": {"arguments": given}} if given else params


PROMPT = {"type": "ref/prompt", "name": "review"}
TEMPLATE = {"type": "ref/resource", "uri": "weather://{city}/{unit}"}


@every_revision
async def test_a_completer_completes_the_variable_of_a_template(version: str, mock_clock: MockClock) -> None:
    async with client_of(make_server(), version) as client:
        for uri in ("weather://{city}/{unit}", "weather://Bern/kelvin"):
            params = asking({"type": "ref/resource", "uri": uri}, "city", "b")
            result = await client.request("completion/complete", params)
            assert result["completion"] == {"values": ["Basel", "Bern"], "total": 2, "hasMore": False}


@every_revision
async def test_what_is_given_already_reaches_the_completer_where_the_revision_has_it(
    version: str, mock_clock: MockClock
) -> None:
    async with client_of(make_server(), version) as client:
        result = await client.request("completion/complete", asking(PROMPT, "framework", "f", language="python"))
        values = ["flask", "fastapi"] if version in WITH_CONTEXT else []
        assert result["completion"] == {"values": values, "total": len(values), "hasMore": False}
        result = await client.request("completion/complete", asking(PROMPT, "framework", "f"))
        assert result["completion"]["values"] == []


@pytest.mark.parametrize(
    ("argument", "value", "values"),
    [
        ("language", "", ["python", "pascal", "rust"]),
        ("language", "P", ["python", "pascal"]),
        ("language", "s", ["pascal", "rust"]),
        ("language", "x", []),
        ("strict", "", ["true", "false"]),
        ("strict", "f", ["false"]),
        ("size", "l", ["large", "small"]),
    ],
)
@every_revision
async def test_what_a_type_lists_is_completed_by_itself(
    version: str, argument: str, value: str, values: list[str], mock_clock: MockClock
) -> None:
    async with client_of(make_server(), version) as client:
        result = await client.request("completion/complete", asking(PROMPT, argument, value))
        assert result["completion"] == {"values": values, "total": len(values), "hasMore": False}


async def test_the_variable_of_a_template_is_completed_by_its_type_too(mock_clock: MockClock) -> None:
    async with client_of(make_server()) as client:
        result = await client.request("completion/complete", asking(TEMPLATE, "unit", "k"))
        assert result["completion"]["values"] == ["kelvin"]


@pytest.mark.parametrize(
    ("params", "says"),
    [
        (asking({"type": "ref/prompt", "name": "nothing"}, "a"), "Unknown prompt"),
        (asking({"type": "ref/resource", "uri": "nothing:{a}"}, "a"), "Unknown resource template"),
        (asking({"type": "ref/resource", "uri": "no uri"}, "a"), "Unknown resource template"),
        (asking(PROMPT, "nothing"), "Unknown argument"),
        (asking(TEMPLATE, "nothing"), "Unknown argument"),
        (asking({"type": "ref/other"}, "a"), "Invalid params"),
        ({"ref": PROMPT}, "Invalid params"),
        ({"ref": PROMPT, "argument": {"name": "language"}}, "Invalid params"),
        ({"ref": PROMPT, "argument": {"name": "language", "value": 3}}, "Invalid params"),
    ],
)
@every_revision
async def test_what_cannot_be_completed_is_refused(
    version: str, params: dict[str, Any], says: str, mock_clock: MockClock
) -> None:
    async with client_of(make_server(), version) as client:
        error = await refusal(client, "completion/complete", params)
        assert error.code == -32602
        assert error.message.startswith(says)


@every_revision
async def test_the_capability_is_declared_from_the_revision_on_that_has_it(version: str, mock_clock: MockClock) -> None:
    async with client_of(make_server(), version) as client:
        declared = client.server_capabilities
        assert declared.completions == (None if version == "2024-11-05" else {})
        assert "completions" not in declared.extra
    bare = trimcp.Server("a")
    bare.prompt(name="p")(lambda a="": a)
    async with client_of(bare, version) as client:
        assert client.server_capabilities.completions is None
        assert (await refusal(client, "completion/complete", asking(PROMPT, "a"))).code == -32601


async def test_the_choices_of_one_argument_are_enough_for_the_capability(mock_clock: MockClock) -> None:
    server = trimcp.Server("a")

    @server.prompt
    async def only(yes: bool, more: str = "") -> str:
        return more

    async with client_of(server) as client:
        assert client.server_capabilities.completions == {}
        assert (await client.complete("more", prompt="only")).values == []


NUMBERS = [str(n) for n in range(250)]


def numbers() -> Iterator[str]:
    """More than one answer holds, and nobody knows how many."""
    return iter(NUMBERS)


@pytest.mark.parametrize(
    ("value", "count", "total", "has_more"),
    [
        ([], 0, 0, False),
        (None, 0, 0, False),
        (NUMBERS[:100], 100, 100, False),
        (NUMBERS[:101], 100, 101, True),
        (tuple(NUMBERS), 100, 250, True),
        (numbers(), 100, None, True),
        (iter(NUMBERS[:3]), 3, 3, False),
        (Completion(NUMBERS[:3]), 3, None, None),
        (Completion(NUMBERS, total=1000), 100, 1000, True),
        (Completion(NUMBERS), 100, 250, True),
        (CompleteResult(Completion(NUMBERS[:3], 10, has_more=True)), 3, 10, True),
    ],
    ids=str,
)
async def test_an_answer_holds_a_hundred_values_and_says_of_how_many(
    value: Any, count: int, total: int | None, has_more: bool | None, mock_clock: MockClock
) -> None:
    server = trimcp.Server("a")
    server.prompt(name="p")(lambda a="": a)

    @server.completion("p", "a")
    async def complete(text: str) -> Any:
        return value

    async with client_of(server) as client:
        completion = await client.complete("a", prompt="p")
    assert completion.values == NUMBERS[:count]
    assert (completion.total, completion.has_more) == (total, has_more)


@pytest.mark.parametrize("value", ["text", b"text", 3, [1], ["a", None]])
async def test_a_completer_that_returns_no_texts_is_an_error_of_the_server(
    value: Any, mock_clock: MockClock, logged: Logged
) -> None:
    server = trimcp.Server("a")
    server.prompt(name="p")(lambda a="": a)

    @server.completion("p", "a")
    async def complete(text: str) -> Any:
        return value

    async with client_of(server) as client:
        error = await refusal(client, "completion/complete", asking({"type": "ref/prompt", "name": "p"}, "a"))
        assert (error.code, error.message) == (-32603, "Internal error")


async def test_given_arguments_are_converted_and_those_that_do_not_fit_count_as_not_given(
    mock_clock: MockClock,
) -> None:
    server = trimcp.Server("a")
    server.prompt(name="p")(lambda a, b, c="": a)
    seen: list[Any] = []

    @server.completion("p", "a")
    async def complete(value: str, b: int, c: int = 7) -> list[str]:
        seen.append((value, b, c))
        return ["found"]

    async with client_of(server) as client:
        for given in ({"b": "1"}, {"b": "1", "c": "2", "d": "?"}, {"b": "1", "c": "x"}):
            assert (await client.complete("a", "v", prompt="p", given=given)).values == ["found"]
        for given in ({}, {"b": "x"}, {"c": "2"}):
            assert (await client.complete("a", "v", prompt="p", given=given)).values == []
    assert seen == [("v", 1, 7), ("v", 1, 2), ("v", 1, 7)]


async def test_completers_go_with_what_they_complete(mock_clock: MockClock) -> None:
    server = make_server()
    async with client_of(server) as client:
        server.remove_resource("weather://{city}/{unit}")
        assert (await refusal(client, "completion/complete", asking(TEMPLATE, "city"))).code == -32602

        @server.resource("weather://{city}/{unit}")
        async def weather(city: str, unit: str) -> str:
            return city

        assert (await client.complete("city", "B", template="weather://{city}/{unit}")).values == []


def test_a_mistake_in_a_declaration_is_told_at_once() -> None:
    server = make_server()

    async def completer(value: str) -> list[str]:
        return []

    async def empty() -> list[str]:
        return []

    async def curious(value: str, colour: str) -> list[str]:
        return []

    with pytest.raises(trimcp.UsageError, match="Unknown prompt or resource template 'nothing'"):
        server.completion("nothing", "a")(completer)
    with pytest.raises(trimcp.UsageError, match=r"Unknown argument 'nothing' of .*: use language, framework"):
        server.completion("review", "nothing")(completer)
    with pytest.raises(trimcp.UsageError, match="Duplicate completion of 'framework'"):
        server.completion("review", "framework")(completer)
    with pytest.raises(trimcp.UsageError, match="has no parameter"):
        server.completion("review", "language")(empty)
    with pytest.raises(trimcp.UsageError, match="Unknown argument 'colour'"):
        server.completion("review", "language")(curious)
    assert server.completion("review", "language")(completer) is completer


async def test_the_first_completion_must_be_there_before_the_server_runs(mock_clock: MockClock) -> None:
    server = trimcp.Server("a")
    server.prompt(name="p")(lambda a="": a)
    async with client_of(server):
        with pytest.raises(trimcp.UsageError, match="first completion before"):
            server.completion("p", "a")(lambda value: [])
