"""One function that asks, unchanged in every revision that has the questions."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

import trimcp
from tests.server.context.people import Household, Person
from tests.session.peer import ALL, MODERN, PATIENCE

WITH_FORMS = ("2025-06-18", "2025-11-25", MODERN)
WITH_URLS = ("2025-11-25", MODERN)


def asking_server() -> tuple[trimcp.Server, list[str]]:
    """A server with a tool of three dependent questions, and what its steps have done."""
    server = trimcp.Server("asker")
    done: list[str] = []

    @server.tool
    async def greet(ctx: trimcp.Context) -> str:
        async def reserve() -> int:
            done.append("reserved")
            return 7

        number = await ctx.once("reservation", reserve)
        person = await ctx.elicit("Who are you?", Person)
        assert person.data is not None
        said = await ctx.sample(f"greet {person.data.name}")
        roots = await ctx.roots()
        return f"{number} {person.data.name} {person.data.manner} {said.text} {roots[0].uri}"

    @server.tool
    async def dependent(ctx: trimcp.Context) -> str:
        first = await ctx.sample("one")
        second = await ctx.sample(f"two after {first.text}")
        roots = await ctx.roots()
        return f"{second.text} {roots[0].uri}"

    @server.tool
    async def visit(ctx: trimcp.Context) -> str:
        return (await ctx.elicit_url("Pay, please", "https://bank.example/pay", id="visit-1")).action

    @server.tool
    async def several(ctx: trimcp.Context) -> str:
        answers = await ctx.ask(who=trimcp.Elicit("Who?", Person), where=trimcp.Roots(), what=trimcp.Sample("what"))
        return f"{answers['who'].data.name} {answers['where'][0].uri} {answers['what'].text}"

    @server.tool(requires=["elicitation.url"])
    async def strict() -> str:
        done.append("ran")
        return "ran"

    return server, done


async def text_of(server: trimcp.Server, tool: str, revision: str, **options: Any) -> str:
    """What the tool says to a client with these options."""
    with trio.fail_after(PATIENCE):
        async with trimcp.connect(server, revision=revision, **options) as client:
            return (await client.call_tool(tool)).text


@pytest.mark.parametrize("revision", WITH_FORMS)
async def test_three_dependent_questions_are_answered_and_a_step_runs_once(revision: str, autojump_clock: Any) -> None:
    server, done = asking_server()
    home = Household()
    text = await text_of(server, "greet", revision, **home.options())
    assert text == "7 Ada plain heard greet Ada file:///home/ada"
    assert done == ["reserved"]
    assert home.asked == ["Who are you?", "sampling"]


@pytest.mark.parametrize("revision", ALL)
async def test_sampling_and_roots_are_asked_for_in_all_five_revisions(revision: str, autojump_clock: Any) -> None:
    server, _ = asking_server()
    text = await text_of(server, "dependent", revision, **Household().options())
    assert text == "heard two after heard one file:///home/ada"


@pytest.mark.parametrize("revision", WITH_URLS)
async def test_a_url_is_visited(revision: str, autojump_clock: Any) -> None:
    server, _ = asking_server()
    home = Household()
    assert await text_of(server, "visit", revision, **home.options()) == "accept"
    assert home.asked == ["https://bank.example/pay"]


@pytest.mark.parametrize("revision", WITH_FORMS)
async def test_several_questions_go_out_together(revision: str, autojump_clock: Any) -> None:
    server, _ = asking_server()
    text = await text_of(server, "several", revision, **Household().options())
    assert text == "Ada file:///home/ada heard what"


@pytest.mark.parametrize(("revision", "code"), [("2024-11-05", -32600), ("2025-11-25", -32600), (MODERN, -32021)])
async def test_what_the_client_did_not_declare_is_refused_with_the_code_of_the_revision(
    revision: str, code: int, autojump_clock: Any
) -> None:
    server, done = asking_server()
    for tool, missing in (("dependent", {"sampling": {}}), ("strict", {"elicitation": {"url": {}}})):
        with pytest.raises(trimcp.RequestFailed) as caught:
            await text_of(server, tool, revision)
        assert caught.value.code == code
        assert caught.value.data == {"requiredCapabilities": missing}
    assert done == []


@pytest.mark.parametrize("revision", WITH_FORMS)
async def test_consent_is_asked_before_each_answer_and_a_refusal_arrives(revision: str, autojump_clock: Any) -> None:
    server = trimcp.Server("asker")

    @server.tool
    async def who(ctx: trimcp.Context) -> str:
        return (await ctx.elicit("Who?", Person)).action

    asked: list[str] = []

    async def never(method: str, params: object) -> bool:
        asked.append(method)
        return False

    assert await text_of(server, "who", revision, consent=never, **Household().options()) == "decline"
    assert asked == ["elicitation/create"]


@pytest.mark.parametrize("revision", ["2025-11-25", MODERN])
async def test_a_refusal_to_sample_reaches_whom_it_concerns(revision: str, autojump_clock: Any) -> None:
    server = trimcp.Server("asker")

    @server.tool
    async def think(ctx: trimcp.Context) -> str:
        try:
            return (await ctx.sample("think")).text
        except trimcp.RequestFailed as exc:
            return f"refused {exc.code}"

    async def never(method: str, params: object) -> bool:
        return False

    if revision == MODERN:  # a modern server cannot be told: the client's caller is
        with pytest.raises(trimcp.RequestFailed, match="rejected"):
            await text_of(server, "think", revision, consent=never, **Household().options())
    else:
        assert await text_of(server, "think", revision, consent=never, **Household().options()) == "refused -1"


async def test_a_legacy_answer_of_the_wrong_shape_raises_in_the_handler(autojump_clock: Any) -> None:
    server = trimcp.Server("asker")

    @server.tool
    async def who(ctx: trimcp.Context) -> str:
        try:
            await ctx.elicit("Who?", Person)
        except trimcp.InvalidResult as exc:
            return str(exc)
        return "unchecked"

    async def wrong(params: object) -> dict[str, Any]:
        return {"name": "Ada", "manner": "loud"}

    text = await text_of(server, "who", "2025-11-25", elicitation=wrong)
    assert "$.manner" in text


async def test_a_cancelled_call_cancels_the_question_on_the_wire(autojump_clock: Any) -> None:
    server, _ = asking_server()
    given_up = trio.Event()

    async def slow(params: object) -> str:
        try:
            await trio.sleep_forever()
        finally:
            given_up.set()
        return ""

    async with trimcp.connect(server, revision="2025-11-25", sampling=slow, roots=[]) as client:
        with trio.move_on_after(5) as scope:
            await client.call_tool("dependent")
        assert scope.cancelled_caught
        with trio.fail_after(PATIENCE):
            await given_up.wait()


@pytest.mark.parametrize(("revision", "told"), [("2025-11-25", True), (MODERN, False)])
async def test_the_client_that_was_asked_is_told_once_when_a_visit_is_over(
    revision: str, told: bool, autojump_clock: Any
) -> None:
    server, _ = asking_server()
    async with (
        trimcp.connect(server, revision=revision, **Household().options()) as client,
        trimcp.connect(server, revision=revision) as other,
    ):
        await client.call_tool("visit")
        before = client.session.snapshot().read, other.session.snapshot().read
        assert server.notify_elicitation_complete("visit-1") is told
        assert server.notify_elicitation_complete("visit-1") is False
        await trio.testing.wait_all_tasks_blocked()
        after = client.session.snapshot().read, other.session.snapshot().read
        assert after == (before[0] + told, before[1])
