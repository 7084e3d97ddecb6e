"""Answers of a legacy client that come late, twice, for nobody, of the wrong kind, or not at all (JSON-RPC 2.0, 5)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

import trimcp
from tests.server.context.people import EVERYTHING, HEARD, HOME, Person
from tests.session.peer import LEGACY, MODERN, Logged, Peer, error, notification, result, served

WITH_FORMS = LEGACY[2:]
SECRET = "a secret of the user's"


def said(text: str) -> dict[str, Any]:
    """What a model says."""
    return {**HEARD, "content": {"type": "text", "text": text}}


def asking_server() -> trimcp.Server:
    """Tools that ask, and tell what came of it."""
    server = trimcp.Server("asker")

    @server.tool
    async def think(ctx: trimcp.Context, about: str = "it") -> str:
        try:
            return (await ctx.sample(about)).text
        except trimcp.TrimcpError as exc:
            return f"{type(exc).__name__}: {exc}"

    @server.tool
    async def where(ctx: trimcp.Context) -> str:
        try:
            return (await ctx.roots())[0].uri
        except trimcp.TrimcpError as exc:
            return f"{type(exc).__name__}: {exc}"

    @server.tool
    async def who(ctx: trimcp.Context) -> str:
        try:
            answer = await ctx.elicit("Who?", Person)
        except trimcp.TrimcpError as exc:
            return f"{type(exc).__name__}: {exc}"
        return answer.action if answer.data is None else answer.data.name

    @server.tool
    async def careless(ctx: trimcp.Context) -> str:
        return (await ctx.sample("it")).text

    @server.tool
    async def impatient(ctx: trimcp.Context) -> str:
        with trio.move_on_after(5):
            return (await ctx.sample("it")).text
        return "gave up"

    @server.tool
    async def both(ctx: trimcp.Context) -> str:
        answers = await ctx.ask(one=trimcp.Sample("one"), other=trimcp.Sample("other"))
        return f"{answers['one'].text} {answers['other'].text}"

    @server.tool
    async def plain() -> str:
        return "still here"

    return server


@asynccontextmanager
async def asked_client(version: str) -> AsyncIterator[Peer]:
    """A raw client in a session in which it declared everything; at the end the session must still be good."""
    async with served(asking_server(), version, opened=False) as peer:
        opening = peer.initialize()
        opening["params"]["capabilities"] = EVERYTHING
        await peer.ask(opening)
        await peer.send(notification("notifications/initialized"))
        yield peer
        await peer.send(peer.call("last", "plain"))
        # The error for a frame that cannot be read may follow the answer to a request that was read before it.
        assert text([message async for message in until_answered(peer, "last")][-1]) == "still here"
        assert peer.session is not None
        assert peer.session.end is None


def text(answer: dict[str, Any]) -> str:
    """The text of a tool's result."""
    found: str = answer["result"]["content"][0]["text"]
    return found


@pytest.mark.parametrize("version", LEGACY)
async def test_of_two_answers_to_one_question_the_first_counts(
    version: str, logged: Logged, autojump_clock: trio.testing.MockClock
) -> None:
    async with asked_client(version) as peer:
        question = await peer.ask(peer.call(1, "think"))
        await peer.send(result(question["id"], said("first")), result(question["id"], said("second")))
        assert text(await peer.receive()) == "first"
        await peer.send(error(question["id"], -32603))
    assert len(logged.of("response.ignored")) == 2


@pytest.mark.parametrize("version", LEGACY)
async def test_an_answer_that_comes_late_is_no_answer_to_the_next_question(
    version: str, logged: Logged, autojump_clock: trio.testing.MockClock
) -> None:
    async with asked_client(version) as peer:
        question = await peer.ask(peer.call(1, "impatient"))
        cancel = await peer.receive()
        assert (cancel["method"], cancel["params"]["requestId"]) == ("notifications/cancelled", question["id"])
        assert text(await peer.receive()) == "gave up"
        next_question = await peer.ask(peer.call(2, "think"))
        assert next_question["id"] != question["id"]
        await peer.send(result(question["id"], said("late")), result(next_question["id"], said("in time")))
        assert text(await peer.receive()) == "in time"


@pytest.mark.parametrize(
    "nobody",
    [
        result(999, said("for nobody")),
        result(-1),
        error(999, -1),
        {"jsonrpc": "2.0", "id": None, "error": {"code": -32601, "message": "what was that?"}},
        {"jsonrpc": "2.0", "error": {"code": -32601, "message": "what was that?"}},
    ],
)
@pytest.mark.parametrize("version", ["2024-11-05", "2025-11-25"])
async def test_an_answer_for_nobody_answers_nothing(
    version: str, nobody: dict[str, Any], autojump_clock: trio.testing.MockClock
) -> None:
    async with asked_client(version) as peer:
        question = await peer.ask(peer.call(1, "think"))
        assert question["id"] == 1
        await peer.send(nobody, result(question["id"], said("well")))
        assert text(await peer.receive()) == "well"


async def test_in_the_modern_era_every_answer_is_for_nobody(
    logged: Logged, autojump_clock: trio.testing.MockClock
) -> None:
    async with served(asking_server(), MODERN) as peer:
        await peer.send(result(1, said("well")), error(2, -1))
        assert text(await peer.ask(peer.call(1, "plain"))) == "still here"
    assert len(logged.of("response.ignored")) == 2


@pytest.mark.parametrize(
    ("odd", "is_an_answer"),
    [
        ({"jsonrpc": "2.0", "id": 1, "result": said("a"), "error": {"code": 1, "message": "b"}}, True),
        ({"id": 1, "result": said("a")}, True),
        ({"jsonrpc": "2.0", "id": 1, "result": [said("a")]}, True),
        ({"jsonrpc": "2.0", "id": 1, "error": {"code": "1", "message": "b"}}, True),
        ({"jsonrpc": "2.0", "id": 1}, False),
        ({"jsonrpc": "2.0", "id": 1.0, "result": said("a")}, True),
        ({"jsonrpc": "2.0", "id": True, "result": said("a")}, True),
        ({"jsonrpc": "2.0", "id": [1], "result": said("a")}, True),
    ],
)
async def test_an_answer_that_breaks_json_rpc_fails_its_question_if_it_says_which(
    odd: dict[str, Any], is_an_answer: bool, autojump_clock: trio.testing.MockClock
) -> None:
    async with asked_client("2025-11-25") as peer:
        question = await peer.ask(peer.call(1, "think"))
        await peer.send(odd, result(question["id"], said("well")))
        answers = [message async for message in until_answered(peer, 1)]
        assert text(answers[-1]).startswith("Invalid" if is_an_answer else "well")


async def until_answered(peer: Peer, id: Any) -> AsyncIterator[dict[str, Any]]:
    """Messages up to the answer to a request."""
    while True:
        message = await peer.receive()
        yield message
        if message.get("id") == id and "result" in message:
            return


WRONG = {
    "think": [
        {},
        {"role": "assistant", "model": "m"},
        {**HEARD, "role": SECRET},
        {**HEARD, "content": SECRET},
        {**HEARD, "content": {"type": "text", "text": 5}},
        {**HEARD, "content": {"type": SECRET}},
        {**HEARD, "model": None},
    ],
    "where": [
        {},
        {"roots": None},
        {"roots": {"uri": SECRET}},
        {"roots": [{"uri": 5}]},
        {"roots": [SECRET]},
    ],
    "who": [
        {},
        {"action": SECRET},
        {"action": "accept"},
        {"action": "accept", "content": {}},
        {"action": "accept", "content": {"name": 5}},
        {"action": "accept", "content": {"name": ["Ada"]}},
        {"action": "accept", "content": {"name": "Ada", "manner": SECRET}},
        {"action": "accept", "content": {"name": "Ada", "age": "7"}},
        {"action": "accept", "content": SECRET},
    ],
}


@pytest.mark.parametrize("version", ["2024-11-05", "2025-06-18", "2025-11-25"])
@pytest.mark.parametrize("tool", WRONG)
async def test_an_answer_of_the_wrong_kind_raises_in_the_handler_and_repeats_nothing_of_it(
    tool: str, version: str, autojump_clock: trio.testing.MockClock
) -> None:
    if tool == "who" and version not in WITH_FORMS:
        pytest.skip("there are no forms in this revision")
    async with asked_client(version) as peer:
        for number, wrong in enumerate(WRONG[tool]):
            question = await peer.ask(peer.call(number, tool))
            told = text(await peer.ask(result(question["id"], wrong)))
            assert told.startswith("InvalidResult: "), (wrong, told)
            assert SECRET not in told


@pytest.mark.parametrize("code", [-1, -32601, -32602, -32603, -32000])
@pytest.mark.parametrize("version", LEGACY)
async def test_a_client_that_declares_and_then_refuses_is_an_error_in_the_handler(
    version: str, code: int, autojump_clock: trio.testing.MockClock
) -> None:
    async with asked_client(version) as peer:
        for number, tool in enumerate(("think", "where", *(["who"] if version in WITH_FORMS else []))):
            question = await peer.ask(peer.call(number, tool))
            told = text(await peer.ask(error(question["id"], code, "not today")))
            assert told == f"RequestFailed: not today (code {code})"
        question = await peer.ask(peer.call("uncaught", "careless"))
        answer = await peer.ask(error(question["id"], code, "not today"))
        assert (answer["error"]["code"], answer["error"]["message"]) == (code, "not today")


@pytest.mark.parametrize("version", LEGACY)
async def test_a_client_that_declares_and_never_answers_is_given_up(
    version: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with asked_client(version) as peer:
        question = await peer.ask(peer.call(1, "think"))
        cancel = await peer.receive()
        assert (cancel["method"], cancel["params"]["requestId"]) == ("notifications/cancelled", question["id"])
        assert text(await peer.receive()).startswith("RequestTimedOut: ")


@pytest.mark.parametrize("action", ["decline", "cancel"])
@pytest.mark.parametrize("version", WITH_FORMS)
async def test_a_user_who_declines_is_an_answer_whatever_else_is_in_it(
    version: str, action: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with asked_client(version) as peer:
        for number, more in enumerate(({}, {"content": {}}, {"content": {"name": "Ada"}})):
            question = await peer.ask(peer.call(number, "who"))
            assert text(await peer.ask(result(question["id"], {"action": action, **more}))) == action


@pytest.mark.parametrize("version", LEGACY)
async def test_answers_in_another_order_find_their_questions(
    version: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with asked_client(version) as peer:
        questions = [await peer.ask(peer.call(1, "both")), await peer.receive()]
        for question in reversed(questions):
            asked = question["params"]["messages"][0]["content"]["text"]
            await peer.send(result(question["id"], said(asked.upper())))
        assert text(await peer.receive()) == "ONE OTHER"


@pytest.mark.parametrize("version", LEGACY)
async def test_where_one_of_two_questions_fails_the_other_is_taken_back(
    version: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with asked_client(version) as peer:
        one, other = await peer.ask(peer.call(1, "both")), await peer.receive()
        await peer.send(error(one["id"], -1, "not today"))
        messages = [await peer.receive(), await peer.receive()]
        (cancel,) = [message for message in messages if message.get("method") == "notifications/cancelled"]
        assert cancel["params"]["requestId"] == other["id"]
        (answer,) = [message for message in messages if "error" in message]
        assert answer["error"]["code"] == -1
        await peer.send(result(other["id"], said("late")))


async def test_an_answer_to_a_session_is_none_to_another(autojump_clock: trio.testing.MockClock) -> None:
    async with asked_client("2025-11-25") as one, asked_client("2025-11-25") as other:
        mine, theirs = await one.ask(one.call(1, "think")), await other.ask(other.call(1, "where"))
        assert mine["id"] == theirs["id"]
        assert text(await other.ask(result(theirs["id"], HOME))) == "file:///home/ada"
        assert text(await one.ask(result(mine["id"], said("well")))) == "well"
