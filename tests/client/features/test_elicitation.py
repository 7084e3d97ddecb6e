"""The Elicitation actor: one dialog after the other, in both eras, and none that can deadlock."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from trimcp.actors.supervisor import open_supervisor
from trimcp.client.features.elicitation import QUESTIONS, Elicitation, wait_for_call

ERAS = ["2025-11-25", "2026-07-28"]


@attrs.define
class Person:
    """Answers dialogs when told to, and counts how many are open."""

    open: int = 0
    most: int = 0
    seen: list[str] = attrs.field(factory=list)
    closed: list[str] = attrs.field(factory=list)
    pause: float = 1.0

    async def elicitation(self, params: Any) -> dict[str, Any]:
        self.open += 1
        self.most = max(self.most, self.open)
        self.seen.append(params.message)
        try:
            await trio.sleep(self.pause)
        except trio.Cancelled:
            self.closed.append(params.message)
            raise
        finally:
            self.open -= 1
        return {"name": params.message}


FORM = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


def asking() -> trimcp.Server:
    server = trimcp.Server("asking")

    @server.tool
    async def five(ctx: trimcp.Context) -> list[str]:
        answers = await ctx.ask(**{f"q{n}": trimcp.Elicit(f"question {n}", FORM) for n in range(5)})
        return [answers[f"q{n}"].data["name"] for n in range(5)]

    @server.tool
    async def one(text: str, ctx: trimcp.Context) -> str:
        answer = await ctx.elicit(text, FORM)
        assert answer.data is not None
        return str(answer.data["name"])

    return server


@pytest.mark.parametrize("version", ERAS)
async def test_five_forms_at_once_open_one_dialog_after_the_other(version: str, autojump_clock: MockClock) -> None:
    person = Person()
    async with trimcp.connect(asking(), revision=version, elicitation=person.elicitation) as client:
        result = await client.call_tool("five")
    assert result.structured == {"result": [f"question {n}" for n in range(5)]}
    assert sorted(person.seen) == [f"question {n}" for n in range(5)]
    assert person.most == 1


@pytest.mark.parametrize("version", ERAS)
async def test_calls_of_many_tasks_ask_one_after_the_other(version: str, autojump_clock: MockClock) -> None:
    person = Person()
    connection = trimcp.connect(asking(), revision=version, elicitation=person.elicitation)
    async with connection as client, trio.open_nursery() as nursery:
        for n in range(10):
            nursery.start_soon(client.call_tool, "one", {"text": f"q{n}"})
    assert len(person.seen) == 10
    assert person.most == 1


@pytest.mark.parametrize("version", ERAS)
async def test_a_dialog_that_calls_the_client_lets_the_next_one_in(version: str, autojump_clock: MockClock) -> None:
    """The call that a dialog makes asks a question itself: it would wait for the dialog, and the dialog for it."""
    seen: list[str] = []

    async def elicitation(params: Any) -> dict[str, Any]:
        seen.append(params.message)
        if params.message == "outer":
            return {"name": (await client.call_tool("one", {"text": "inner"})).text}
        return {"name": "answered"}

    async with trimcp.connect(asking(), revision=version, elicitation=elicitation) as client:
        with trio.fail_after(20):
            assert (await client.call_tool("one", {"text": "outer"})).text == "answered"
    assert seen == ["outer", "inner"]


@pytest.mark.parametrize("version", ERAS)
async def test_cancelling_the_asker_closes_its_dialog_and_opens_the_next(
    version: str, autojump_clock: MockClock
) -> None:
    person = Person(pause=100)
    async with trimcp.connect(asking(), revision=version, elicitation=person.elicitation) as client:
        with trio.move_on_after(5):
            await client.call_tool("one", {"text": "abandoned"})
        person.pause = 1
        assert (await client.call_tool("one", {"text": "next"})).text == "next"
    assert person.closed == ["abandoned"]
    assert person.seen == ["abandoned", "next"]


@pytest.mark.parametrize("version", ERAS)
async def test_a_dialog_that_raises_fails_its_question_alone(version: str, autojump_clock: MockClock) -> None:
    async def elicitation(params: Any) -> dict[str, Any]:
        if params.message == "bad":
            raise SystemExit(3)
        return {"name": params.message}

    async with trimcp.connect(asking(), revision=version, elicitation=elicitation) as client:
        expected = trimcp.RequestFailed if version == "2025-11-25" else RuntimeError
        with pytest.raises(expected, match=r"Internal error|SystemExit"):
            await client.call_tool("one", {"text": "bad"})
        assert (await client.call_tool("one", {"text": "good"})).text == "good"


@pytest.mark.parametrize("version", ERAS)
async def test_the_members_of_a_group_ask_one_after_the_other(version: str, autojump_clock: MockClock) -> None:
    person = Person()
    agreed: list[str] = []

    async def elicitation(member: str, params: Any) -> dict[str, Any]:
        return await person.elicitation(params)

    async def consent(member: str, method: str, params: Any) -> bool:
        agreed.append(member)
        return True

    async with trimcp.open_group(elicitation=elicitation, consent=consent) as group:
        for n in range(4):
            await group.add(f"m{n}", asking(), revision=version)
        async with trio.open_nursery() as nursery:
            for n in range(4):
                client = await group.member(f"m{n}").wait_ready()
                nursery.start_soon(client.call_tool, "one", {"text": f"q{n}"})
    assert len(person.seen) == 4
    assert person.most == 1
    assert sorted(agreed) == ["m0", "m1", "m2", "m3"]


@pytest.mark.parametrize("version", ERAS)
async def test_a_dialog_that_calls_another_member_lets_its_question_in(version: str, autojump_clock: MockClock) -> None:
    seen: list[tuple[str, str]] = []

    async def elicitation(member: str, params: Any) -> dict[str, Any]:
        seen.append((member, params.message))
        if params.message == "outer":
            return {"name": (await group.client("b").call_tool("one", {"text": "inner"})).text}
        return {"name": "answered"}

    async with trimcp.open_group(elicitation=elicitation) as group:
        for name in ("a", "b"):
            await (await group.add(name, asking(), revision=version)).wait_ready()
        with trio.fail_after(20):
            assert (await group.client("a").call_tool("one", {"text": "outer"})).text == "answered"
    assert seen == [("a", "outer"), ("b", "inner")]


async def test_a_question_that_is_given_up_before_its_turn_never_opens(autojump_clock: MockClock) -> None:
    opened: list[int] = []

    async def dialog(number: int) -> int:
        opened.append(number)
        await trio.sleep(10)
        return number

    async with open_supervisor("test") as supervisor, trio.open_nursery() as nursery:
        elicitation = supervisor.add(Elicitation(supervisor))

        async def ask(number: int, patience: float) -> None:
            with trio.move_on_after(patience):
                assert await elicitation.ask(lambda: dialog(number)) == number

        for number, patience in enumerate([100, 5, 100]):
            nursery.start_soon(ask, number, patience)
            await wait_all_tasks_blocked()
    assert opened == [0, 2]


async def test_more_questions_than_may_wait_are_refused_as_busy(autojump_clock: MockClock) -> None:
    async with open_supervisor("test") as supervisor, trio.open_nursery() as nursery:
        elicitation = supervisor.add(Elicitation(supervisor))
        for _ in range(QUESTIONS + 1):  # one of them is open
            nursery.start_soon(elicitation.ask, trio.sleep_forever)
            await wait_all_tasks_blocked()
        with pytest.raises(trimcp.RequestFailed, match="Busy"):
            await elicitation.ask(trio.sleep_forever)
        nursery.cancel_scope.cancel()


async def test_a_call_outside_of_a_dialog_changes_nothing(autojump_clock: MockClock) -> None:
    wait_for_call()
