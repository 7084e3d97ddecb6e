"""Streams that are lost are resumed where they broke, as long as it is worth it; time is the test's own."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

import trimcp
from tests.http.client.eras import MODERN, Legacy, modern, text
from tests.http.client.scripted import Answer, Ask, Script, scripted
from trimcp.errors import ExchangeFailed

VERSION = "2025-11-25"
Clock = trio.testing.MockClock


class Resumable(Legacy):
    """A legacy server whose one call is lost and resumed as the test says."""

    def __init__(self, first: Script, *later: Script | int) -> None:
        super().__init__({"tools/call": first}, standing=self._later)
        self.later = list(later)
        self.times: list[float] = []

    async def _later(self, ask: Ask, answer: Answer) -> None:
        if "last-event-id" not in ask.fields:
            await answer.whole(405)
            return
        self.times.append(trio.current_time())
        script = self.later.pop(0) if len(self.later) > 1 else self.later[0]
        if isinstance(script, int):
            await answer.whole(script, "text/plain", b"no")
        else:
            await script(ask, answer)


def resumes(server: Any) -> list[Ask]:
    return [ask for ask in server.asked("GET") if "last-event-id" in ask.fields]


async def primed(ask: Ask, answer: Answer) -> None:
    """A stream that ends behind its first, empty event."""
    await answer.stream()
    await answer.event(id="e-1", retry=700)


def answering(id: Any, said: str = "done") -> Script:
    async def serve(ask: Ask, answer: Answer) -> None:
        await answer.stream()
        await answer.result_event(text(said), to=id, id="e-9")

    return serve


async def test_a_response_whose_stream_ends_early_is_fetched_behind_its_last_event(autojump_clock: Clock) -> None:
    legacy = Resumable(primed, answering(2))
    async with scripted(legacy) as server, trimcp.connect(server.url, revision=VERSION) as client:
        began = trio.current_time()
        assert (await client.call_tool("x")).text == "done"
        assert trio.current_time() - began >= 0.7  # as the server wanted
        assert [ask.fields["last-event-id"] for ask in resumes(server)] == ["e-1"]
        assert [ask.fields["mcp-session-id"] for ask in resumes(server)] == ["s-1"]
        assert len(server.asked("tools/call")) == 1


async def test_nothing_is_lost_or_told_twice_over_several_connections(autojump_clock: Clock) -> None:
    def progress(value: int) -> dict[str, Any]:
        return {"progressToken": 2, "progress": value}

    async def first(ask: Ask, answer: Answer) -> None:
        await answer.stream()
        for number in (1, 2):
            await answer.notice("notifications/progress", progress(number), id=f"e-{number}")
        await answer.piece(b'id: e-3\ndata: {"half": ')
        await answer.break_off()

    async def second(ask: Ask, answer: Answer) -> None:
        assert ask.fields["last-event-id"] == "e-2"
        await answer.stream()
        await answer.notice("notifications/progress", progress(3), id="e-3")

    async def third(ask: Ask, answer: Answer) -> None:
        assert ask.fields["last-event-id"] == "e-3"
        await answer.stream()
        await answer.notice("notifications/progress", progress(4), id="e-4")
        await answer.result_event(text("done"), to=2, id="e-5")

    seen: list[float] = []

    def on_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)

    async with (
        scripted(Resumable(first, second, third)) as server,
        trimcp.connect(server.url, revision=VERSION) as client,
    ):
        assert (await client.call_tool("x", on_progress=on_progress)).text == "done"
    assert seen == [1, 2, 3, 4]


@pytest.mark.parametrize("refusal", [429, 500, 502, 503])
async def test_a_passing_refusal_is_met_with_patience(refusal: int, autojump_clock: Clock) -> None:
    legacy = Resumable(primed, refusal, refusal, answering(2))
    async with scripted(legacy) as server, trimcp.connect(server.url, revision=VERSION) as client:
        assert (await client.call_tool("x")).text == "done"
    gaps = [b - a for a, b in zip(legacy.times, legacy.times[1:], strict=False)]
    assert gaps[0] >= 0.7
    assert len(gaps) == 2


@pytest.mark.parametrize("refusal", [400, 405, 403])
async def test_a_stream_that_cannot_be_resumed_fails_its_call_with_the_status(
    refusal: int, autojump_clock: Clock
) -> None:
    legacy = Resumable(primed, refusal)
    async with scripted(legacy) as server, trimcp.connect(server.url, revision=VERSION) as client:
        with pytest.raises(ExchangeFailed, match=f"cannot be resumed \\(status {refusal}\\)"):
            await client.call_tool("x")
        assert await client.list_tools() == []


async def test_a_session_that_is_forgotten_takes_the_answer_with_it(autojump_clock: Clock) -> None:
    async def first(ask: Ask, answer: Answer) -> None:
        await primed(ask, answer)
        legacy.forget()

    legacy = Resumable(first, 405)
    async with scripted(legacy) as server, trimcp.connect(server.url, revision=VERSION) as client:
        with pytest.raises(ExchangeFailed, match="forgotten the session, and the answer with it"):
            await client.call_tool("x")
        await server.was_asked("initialize", 2)
        assert await client.list_tools() == []


async def test_a_stream_accepted_and_closed_over_and_over_is_given_up(autojump_clock: Clock) -> None:
    async def again(ask: Ask, answer: Answer) -> None:
        await answer.stream()
        await answer.event(id="e-1")

    legacy = Resumable(primed, again)
    async with scripted(legacy) as server, trimcp.connect(server.url, revision=VERSION) as client:
        with pytest.raises(ExchangeFailed, match="10 tries to resume it failed: the server ended it"):
            await client.call_tool("x", timeout=500)
        assert len(resumes(server)) == 10
        gaps = [b - a for a, b in zip(legacy.times, legacy.times[1:], strict=False)]
        assert all(gap >= 0.7 for gap in gaps)
        assert max(gaps) > 8  # they grow
        assert await client.list_tools() == []


async def test_a_server_that_sends_the_same_again_and_again_is_given_up_as_well(autojump_clock: Clock) -> None:
    async def again(ask: Ask, answer: Answer) -> None:
        await answer.stream()
        await answer.notice("notifications/message", {"level": "info", "data": "again"}, id="e-1")

    async with scripted(Resumable(primed, again)) as server, trimcp.connect(server.url, revision=VERSION) as client:
        with pytest.raises(ExchangeFailed, match="tries to resume it failed"):
            await client.call_tool("x", timeout=500)
        assert len(resumes(server)) == 10


async def test_a_stream_that_gets_on_is_resumed_as_often_as_it_takes(autojump_clock: Clock) -> None:
    count = 0

    async def further(ask: Ask, answer: Answer) -> None:
        nonlocal count
        count += 1
        await answer.stream()
        await answer.event(id=f"f-{count}")
        if count == 40:
            await answer.result_event(text("done"), to=2)

    async with scripted(Resumable(primed, further)) as server, trimcp.connect(server.url, revision=VERSION) as client:
        assert (await client.call_tool("x")).text == "done"


async def test_a_server_that_is_down_for_a_while_is_waited_for(autojump_clock: Clock) -> None:
    legacy = Resumable(primed, answering(2))
    async with (
        scripted(legacy) as server,
        trimcp.connect(server.url, revision=VERSION) as client,
        trio.open_nursery() as nursery,
    ):

        async def outage() -> None:
            await server.was_asked("tools/call")
            server.is_up = False
            await trio.sleep(10)
            server.is_up = True

        nursery.start_soon(outage)
        assert (await client.call_tool("x")).text == "done"


async def test_a_server_that_is_dead_is_given_up_within_seconds(autojump_clock: Clock) -> None:
    async with (
        scripted(Resumable(primed)) as server,
        trimcp.connect(server.url, revision=VERSION) as client,
        trio.open_nursery() as nursery,
    ):

        async def dies() -> None:
            await server.was_asked("tools/call")
            server.is_up = False

        nursery.start_soon(dies)
        with trio.fail_after(20), pytest.raises(trimcp.ConnectionLost):
            await client.call_tool("x")


async def test_a_call_given_up_while_its_stream_is_lost_is_not_resumed(autojump_clock: Clock) -> None:
    async with scripted(Resumable(primed, 503)) as server, trimcp.connect(server.url, revision=VERSION) as client:
        with pytest.raises(trimcp.RequestTimedOut):
            await client.call_tool("x", timeout=5)
        tries = len(resumes(server))
        await trio.sleep(100)
        assert len(resumes(server)) == tries
        assert len(server.asked("notifications/cancelled")) == 1


@pytest.mark.parametrize("era", [VERSION, MODERN])
async def test_a_stream_without_event_ids_that_ends_early_fails_its_call(era: str, autojump_clock: Clock) -> None:
    async def cut(ask: Ask, answer: Answer) -> None:
        await answer.stream()
        await answer.notice("notifications/message", {"level": "info", "data": "half"})

    serve: Script = modern({"tools/call": cut}) if era == MODERN else Legacy({"tools/call": cut}, standing=405)
    async with scripted(serve) as server, trimcp.connect(server.url, revision=era) as client:
        with pytest.raises(ExchangeFailed, match="ended its response without an answer"):
            await client.call_tool("x")
        assert await client.list_tools() == []


async def test_a_modern_stream_is_never_resumed(autojump_clock: Clock) -> None:
    async with scripted(modern({"tools/call": primed})) as server:
        async with trimcp.connect(server.url, revision=MODERN) as client:
            with pytest.raises(ExchangeFailed, match="without an answer"):
                await client.call_tool("x")
        assert "GET" not in server.methods
