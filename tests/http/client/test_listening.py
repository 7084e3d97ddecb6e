"""Streams by which a server tells of changes: what becomes of them when they break, and of those who listen."""

from __future__ import annotations

import pytest
import trio
import trio.testing

import trimcp
from tests.http.client.eras import SUBSCRIPTION, Legacy, agree, listened, modern
from tests.http.client.scripted import Answer, Ask, scripted
from trimcp.errors import ConnectionLost, ExchangeFailed, RequestFailed

VERSION = "2025-11-25"
Clock = trio.testing.MockClock


# --- the standing stream --------------------------------------------------------------


async def test_a_standing_stream_is_resumed_behind_its_last_event(autojump_clock: Clock) -> None:
    async def standing(ask: Ask, answer: Answer) -> None:
        await answer.stream()
        last = ask.fields.get("last-event-id")
        if last is None:
            await listening.wait()
            await answer.notice("notifications/tools/list_changed", id="s-1")
            await answer.break_off()
        else:
            assert last == "s-1"
            await answer.notice("notifications/prompts/list_changed", id="s-2")
            await ask.gone.wait()

    listening = trio.Event()
    async with (
        scripted(Legacy(standing=standing)) as server,
        trimcp.connect(server.url, revision=VERSION) as client,
        client.notices() as notices,
    ):
        listening.set()
        assert await anext(notices) == trimcp.ToolsChanged()
        assert await anext(notices) == trimcp.PromptsChanged()
    assert len(server.asked("GET")) == 2


async def test_a_standing_stream_without_event_ids_that_breaks_is_an_interruption(autojump_clock: Clock) -> None:
    cut = trio.Event()

    async def standing(ask: Ask, answer: Answer) -> None:
        await answer.stream()
        if len(server.asked("GET")) == 1:
            await cut.wait()
            await answer.break_off()
        else:
            await ask.gone.wait()

    async with (
        scripted(Legacy(standing=standing)) as server,
        trimcp.connect(server.url, revision=VERSION) as client,
        client.notices() as notices,
        client.listen(tools=True) as listening,
    ):
        cut.set()
        assert await anext(notices) == trimcp.Interrupted()
        assert await anext(listening) == trimcp.Interrupted()


async def test_a_standing_stream_that_cannot_be_resumed_is_begun_anew_and_that_is_said(autojump_clock: Clock) -> None:
    cut = trio.Event()

    async def standing(ask: Ask, answer: Answer) -> None:
        if "last-event-id" in ask.fields:
            await answer.whole(400)
            return
        await answer.stream()
        await answer.event(id=f"s-{len(server.asked('GET'))}")
        await (cut if len(server.asked("GET")) == 1 else ask.gone).wait()

    async with (
        scripted(Legacy(standing=standing)) as server,
        trimcp.connect(server.url, revision=VERSION) as client,
        client.notices() as notices,
    ):
        cut.set()
        assert await anext(notices) == trimcp.Interrupted()
    assert ["last-event-id" in ask.fields for ask in server.asked("GET")] == [False, True, False]


async def test_a_standing_stream_closed_over_and_over_ends_for_its_readers_with_a_reason(autojump_clock: Clock) -> None:
    async def standing(ask: Ask, answer: Answer) -> None:
        await answer.stream()
        await answer.event(id="s-1")

    async with (
        scripted(Legacy(standing=standing)) as server,
        trimcp.connect(server.url, revision=VERSION) as client,
        client.notices() as notices,
    ):
        with pytest.raises(ConnectionLost, match="the GET stream ended 11 times in a row: the server ended"):
            async for _ in notices:
                pass
        assert len(server.asked("GET")) == 11
        assert await client.list_tools() == []
        async with client.notices():  # whoever asks anew may hope anew
            pass


async def test_a_standing_stream_that_never_was_is_nothing_that_readers_miss(autojump_clock: Clock) -> None:
    async with (
        scripted(Legacy(standing=503)) as server,
        trimcp.connect(server.url, revision=VERSION) as client,
        client.notices() as notices,
    ):
        await trio.sleep(1000)
        assert len(server.asked("GET")) == 11
        assert notices.end is None
        assert await client.list_tools() == []


async def test_a_server_that_is_away_for_long_is_looked_for_until_the_budget_is_spent(autojump_clock: Clock) -> None:
    async with (
        scripted(legacy := Legacy()) as server,
        trimcp.connect(server.url, revision=VERSION) as client,
        client.notices() as notices,
    ):
        server.is_up = False
        legacy.forget()
        with pytest.raises(ConnectionLost, match="11 times in a row: cannot connect"):
            await anext(notices)
        server.is_up = True
        assert (await client.call_tool("x")).text == "done"  # in another session
        async with client.notices() as anew:
            assert anew.end is None


async def test_another_session_that_cannot_be_had_at_once_is_asked_for_until_it_is_there(autojump_clock: Clock) -> None:
    legacy = Legacy()
    async with (
        scripted(legacy) as server,
        trimcp.connect(server.url, revision=VERSION) as client,
        client.notices() as notices,
    ):
        legacy.refuses_to_open = True
        legacy.forget()
        await server.was_asked("initialize", 4)
        legacy.refuses_to_open = False
        assert await anext(notices) == trimcp.Interrupted()


async def test_an_event_that_is_too_long_is_skipped(autojump_clock: Clock) -> None:
    async def standing(ask: Ask, answer: Answer) -> None:
        await answer.stream()
        await listening.wait()
        await answer.event("x" * 70_000)
        await answer.notice("notifications/tools/list_changed")
        await ask.gone.wait()

    listening = trio.Event()
    limits = trimcp.Limits(message_bytes=65536)
    async with (
        scripted(Legacy(standing=standing)) as server,
        trimcp.connect(server.url, revision=VERSION, limits=limits) as client,
        client.notices() as notices,
    ):
        listening.set()
        assert await anext(notices) == trimcp.ToolsChanged()


async def test_a_standing_stream_that_is_closed_now_and_then_is_opened_for_ever(autojump_clock: Clock) -> None:
    async def standing(ask: Ask, answer: Answer) -> None:
        await answer.stream()
        await answer.event(id="s-1")
        await trio.sleep(60)

    async with (
        scripted(Legacy(standing=standing)) as server,
        trimcp.connect(server.url, revision=VERSION) as client,
        client.notices() as notices,
    ):
        await trio.sleep(3600)
        assert notices.end is None
    assert 50 < len(server.asked("GET")) <= 61


# --- listens --------------------------------------------------------------------------


async def test_a_modern_listen_that_is_cut_is_asked_again_and_says_so(autojump_clock: Clock) -> None:
    cut = trio.Event()

    async def listen(ask: Ask, answer: Answer) -> None:
        await agree(ask, answer)
        if len(server.asked("subscriptions/listen")) <= 2:
            await cut.wait()
            await answer.break_off()
        else:
            await changed.wait()
            await answer.notice("notifications/tools/list_changed", {"_meta": {SUBSCRIPTION: ask.id}})
            await ask.gone.wait()

    changed = trio.Event()
    async with (
        scripted(modern({"subscriptions/listen": listen})) as server,
        trimcp.connect(server.url) as client,
        client.notices() as notices,
    ):
        await client.subscribe("mem://a")
        async with client.listen(tools=True) as listening:
            cut.set()
            assert await anext(listening) == trimcp.Interrupted()
            changed.set()
            assert await anext(listening) == trimcp.ToolsChanged()
            assert trimcp.Interrupted() in [await anext(notices), await anext(notices)]
    asked = [ask.params["notifications"] for ask in server.asked("subscriptions/listen")]
    assert asked[:2] == [{"resourceSubscriptions": ["mem://a"]}, {"toolsListChanged": True}]
    assert sorted(map(str, asked[2:])) == sorted(map(str, asked[:2]))
    ids = [ask.id for ask in server.asked("subscriptions/listen")]
    assert len(set(ids)) == len(ids)


async def test_a_listen_that_the_server_ends_in_good_order_is_not_asked_again(autojump_clock: Clock) -> None:
    async def listen(ask: Ask, answer: Answer) -> None:
        await agree(ask, answer)
        await answer.result_event({"resultType": "complete", "_meta": {SUBSCRIPTION: ask.id}})

    async with (
        scripted(modern({"subscriptions/listen": listen})) as server,
        trimcp.connect(server.url) as client,
        client.listen(tools=True) as listening,
    ):
        assert [notice async for notice in listening] == []
        assert listening.end is trimcp.ListenEnd.FINISHED
        await trio.sleep(100)
    assert len(server.asked("subscriptions/listen")) == 1


async def test_a_listen_that_is_refused_fails_and_interrupts_nobody(autojump_clock: Clock) -> None:
    async def listen(ask: Ask, answer: Answer) -> None:
        if len(server.asked("subscriptions/listen")) == 1:
            await listened(ask, answer)
        else:
            await answer.whole(503, "text/plain", b"busy")

    async with (
        scripted(modern({"subscriptions/listen": listen})) as server,
        trimcp.connect(server.url) as client,
        client.notices() as notices,
        client.listen(tools=True) as listening,
    ):
        with pytest.raises(ExchangeFailed, match="503"):
            async with client.listen(prompts=True):
                raise AssertionError
        await trio.sleep(100)
        for quiet in (listening, notices):
            with trio.move_on_after(1) as scope:
                await anext(quiet)
            assert scope.cancelled_caught
    assert len(server.asked("subscriptions/listen")) == 2


async def test_a_listen_accepted_and_cut_over_and_over_ends_with_a_reason_and_may_be_asked_for_again(
    autojump_clock: Clock,
) -> None:
    is_well = False

    async def listen(ask: Ask, answer: Answer) -> None:
        await agree(ask, answer)
        await (ask.gone.wait() if is_well else answer.break_off())

    async with scripted(modern({"subscriptions/listen": listen})) as server, trimcp.connect(server.url) as client:
        async with client.listen(tools=True) as listening:
            with pytest.raises(ConnectionLost, match="lost 11 times in a row"):
                async for notice in listening:
                    assert notice == trimcp.Interrupted()
        assert len(server.asked("subscriptions/listen")) == 11
        is_well = True
        async with client.listen(tools=True) as listening:
            assert listening.acknowledged.tools
        assert await client.list_tools() == []


async def test_a_listen_outlives_a_server_that_is_down_for_a_while(autojump_clock: Clock) -> None:
    async def listen(ask: Ask, answer: Answer) -> None:
        await agree(ask, answer)
        await down.wait()
        if len(server.asked("subscriptions/listen")) == 1:
            await answer.break_off()
        await ask.gone.wait()

    down = trio.Event()
    async with (
        scripted(modern({"subscriptions/listen": listen})) as server,
        trimcp.connect(server.url) as client,
        client.listen(tools=True) as listening,
    ):
        server.is_up = False
        down.set()
        await trio.sleep(20)
        with pytest.raises(ExchangeFailed):
            await client.list_tools()
        server.is_up = True
        assert await anext(listening) == trimcp.Interrupted()
        assert await client.list_tools() == []


async def test_what_was_kept_is_asked_for_anew_after_an_interruption(autojump_clock: Clock) -> None:
    cut = trio.Event()

    async def listen(ask: Ask, answer: Answer) -> None:
        await agree(ask, answer)
        await (cut if len(server.asked("subscriptions/listen")) == 1 else ask.gone).wait()
        await answer.break_off()

    tools = {"resultType": "complete", "ttlMs": 10**7, "cacheScope": "private", "tools": []}
    async with (
        scripted(modern({"subscriptions/listen": listen, "tools/list": tools})) as server,
        trimcp.connect(server.url) as client,
        client.listen(tools=True) as listening,
    ):
        for _ in range(2):
            await client.list_tools()
        assert len(server.asked("tools/list")) == 1
        cut.set()
        assert await anext(listening) == trimcp.Interrupted()
        await client.list_tools()
        assert len(server.asked("tools/list")) == 2


async def test_a_listen_that_is_refused_when_it_is_asked_again_ends_with_that(autojump_clock: Clock) -> None:
    async def listen(ask: Ask, answer: Answer) -> None:
        if len(server.asked("subscriptions/listen")) == 1:
            await agree(ask, answer)
            await answer.break_off()
        else:
            await answer.error(-32602, "not any more", 400)

    async with (
        scripted(modern({"subscriptions/listen": listen})) as server,
        trimcp.connect(server.url) as client,
        client.listen(tools=True) as listening,
    ):
        with pytest.raises(RequestFailed, match="not any more"):
            await anext(listening)
