"""Our client and our server with trouble in between: what is cut, delayed, doubled or answered by somebody else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
import trio.testing

import trimcp
from tests.http.client.proxy import Deed, Proxy, Relay, proxied
from tests.http.workshop import Workshop
from trimcp.errors import ExchangeFailed

pytestmark = pytest.mark.usefixtures("no_pauses")

LEGACY, MODERN = "2025-11-25", "2026-07-28"
ERAS = (LEGACY, MODERN)
HTML = b"<html><head><title>Bad Gateway</title></head></html>"
PATIENCE = 60.0
"""Seconds after which a test has hung."""
HEAD_END = b"\r\n\r\n"


@asynccontextmanager
async def behind_proxy(workshop: Workshop) -> AsyncIterator[Proxy]:
    """The server of a workshop, behind a proxy."""
    async with trio.open_nursery() as nursery:
        _, port = await nursery.start(workshop.server.serve_http, 0)
        async with proxied(port) as proxy:
            with trio.fail_after(PATIENCE):
                await trio.lowlevel.checkpoint()
                yield proxy
        nursery.cancel_scope.cancel()


# --- what is done ---------------------------------------------------------------------


async def reset_before_it_is_sent_on(relay: Relay) -> None:
    await relay.reset()


async def reset_before_the_head(relay: Relay) -> None:
    await relay.forward()
    await relay.until(b"HTTP/1.1")
    await relay.reset()


async def close_in_the_head(relay: Relay) -> None:
    await relay.forward()
    await relay.pass_until(b"HTTP/1.1 200")
    await relay.close()


async def reset_in_the_first_event(relay: Relay) -> None:
    await relay.forward()
    await relay.pass_until(HEAD_END)
    await relay.pass_until(b'"progress":1')
    await relay.reset()


async def half_close_behind_the_first_event(relay: Relay) -> None:
    await relay.forward()
    await relay.pass_until(b'"progress":1')
    await relay.pass_until(b"\n\n")
    await relay.half_close()


async def close_before_the_answer(relay: Relay) -> None:
    await relay.forward()
    await relay.pass_until(b'"progress":2')
    await relay.close()


async def reset_in_the_answer(relay: Relay) -> None:
    await relay.forward()
    await relay.pass_until(b"is don")
    await relay.reset()


async def reset_behind_the_answer(relay: Relay) -> None:
    await relay.forward()
    await relay.pass_until(b"is done")
    await relay.pass_until(b"\n\n")
    await relay.reset()


async def answer_502(relay: Relay) -> None:
    await relay.respond(502, "text/html", HTML)


async def answer_503(relay: Relay) -> None:
    await relay.respond(503, "text/html", HTML, "retry-after: 3")


async def answer_with_a_page(relay: Relay) -> None:
    await relay.respond(200, "text/html", b"<html>Please log in.</html>")


async def redirect_elsewhere(relay: Relay) -> None:
    await relay.respond(307, "text/plain", b"", "location: https://elsewhere.test/mcp")


async def an_answer_to_nobody(relay: Relay) -> None:
    await relay.respond(200, "application/json", b'{"jsonrpc":"2.0","id":999999,"result":{}}')


@attrs.frozen
class Trouble:
    """What is done to one call of `talk`, and what it raises in each era; nothing where it is answered."""

    deed: Deed
    legacy: str | None
    modern: str | None
    opens: bool = False
    """Whether the tool has to go on for it to come so far."""


TROUBLES = [
    Trouble(reset_before_it_is_sent_on, "broke|reset", "broke|reset"),
    Trouble(reset_before_the_head, "broke|reset", "broke|reset"),
    Trouble(close_in_the_head, "broke|closed", "broke|closed"),
    Trouble(reset_in_the_first_event, None, "broke off|without an answer"),
    Trouble(half_close_behind_the_first_event, None, "broke off|without an answer"),
    Trouble(close_before_the_answer, None, "broke off|without an answer", opens=True),
    Trouble(reset_in_the_answer, None, "broke off|without an answer", opens=True),
    Trouble(reset_behind_the_answer, None, None, opens=True),
    Trouble(answer_502, "gateway cannot reach the server", "gateway cannot reach the server"),
    Trouble(answer_503, "overloaded", "overloaded"),
    Trouble(answer_with_a_page, "no MCP message", "no MCP message"),
    Trouble(redirect_elsewhere, "elsewhere.test", "elsewhere.test"),
    Trouble(an_answer_to_nobody, "no MCP message", "no MCP message"),
]


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.deed.__name__)
async def test_trouble_concerns_the_call_that_has_it(trouble: Trouble, era: str) -> None:
    workshop = Workshop()
    words = trouble.legacy if era == LEGACY else trouble.modern
    said: list[str] = []
    told: list[float] = []

    async def sibling() -> None:
        said.append((await client.call_tool("hold", {"name": "sibling"})).text)

    def on_progress(progress: float, total: float | None, message: str | None) -> None:
        told.append(progress)
        if trouble.legacy is None and progress == 1 and not trouble.opens:
            workshop.open("faulty")

    async with behind_proxy(workshop) as proxy:
        proxy.harm(b'"name":"faulty"', trouble.deed)
        async with trimcp.connect(proxy.url, revision=era) as client, trio.open_nursery() as nursery:
            nursery.start_soon(sibling)
            await workshop.begun("sibling")
            if trouble.opens:
                workshop.open("faulty")
            if words is None:
                result = await client.call_tool("talk", {"name": "faulty"}, on_progress=on_progress)
                assert result.text == "faulty is done"
                assert told == [1, 2]  # nothing lost, nothing twice
            else:
                with pytest.raises(ExchangeFailed, match=words):
                    await client.call_tool("talk", {"name": "faulty"}, on_progress=on_progress, timeout=10)
            assert proxy.count(b'"name":"faulty"') == 1  # what may have been done is not done again
            assert (await client.call_tool("add", {"a": 1, "b": 2})).structured == {"result": 3}
            workshop.open("sibling")
    assert said == ["sibling"]


@pytest.mark.parametrize("era", ERAS)
async def test_a_response_that_is_delayed_is_waited_for_and_overtaken(era: str) -> None:
    gate = trio.Event()

    async def delay(relay: Relay) -> None:
        await relay.forward()
        await gate.wait()
        await relay.pass_all()

    async with behind_proxy(Workshop()) as proxy:
        proxy.harm(b'"a":1', delay)
        async with trimcp.connect(proxy.url, revision=era) as client, trio.open_nursery() as nursery:
            done: list[Any] = []

            async def add(a: int) -> None:
                done.append((await client.call_tool("add", {"a": a, "b": 0})).structured["result"])
                gate.set()

            nursery.start_soon(add, 1)
            while not proxy.count(b'"a":1'):
                await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(add, 2)
    assert done == [2, 1]


@pytest.mark.parametrize("era", ERAS)
async def test_an_answer_that_comes_twice_counts_once(era: str) -> None:
    async def double(relay: Relay) -> None:
        await relay.forward()
        head = await relay.until(HEAD_END)
        body = await relay.rest()
        messages = [line.removeprefix(b"data: ") for line in body.split(b"\n") if line.startswith((b"data: {", b"{"))]
        assert b"200" in head
        events = b"".join(b"data: " + message.strip() + b"\n\n" for message in messages * 2)
        await relay.respond(200, "text/event-stream", events)

    async with behind_proxy(Workshop()) as proxy:
        proxy.harm(b'"a":1', double)
        async with trimcp.connect(proxy.url, revision=era) as client:
            for a in (1, 2):
                assert (await client.call_tool("add", {"a": a, "b": 0})).structured == {"result": a}


@pytest.mark.parametrize("era", ERAS)
async def test_a_connection_that_was_closed_while_nothing_went_over_it_is_no_trouble(era: str) -> None:
    closed: list[Relay] = []

    async def close_quietly(relay: Relay) -> None:
        """Answer, and close the connection, which nobody was told of."""
        await relay.forward()
        response = (await relay.rest()).replace(b"connection: close\r\n", b"").replace(b"Connection: close\r\n", b"")
        await relay.say(response)
        await relay.close()
        closed.append(relay)

    async with behind_proxy(Workshop()) as proxy:
        proxy.harm(b'"tools/call"', close_quietly, times=5)
        async with trimcp.connect(proxy.url, revision=era) as client:
            for a in range(5):
                assert (await client.call_tool("add", {"a": a, "b": 0})).structured == {"result": a}
                while len(closed) <= a:
                    await trio.testing.wait_all_tasks_blocked()
                await trio.sleep(0.01)  # for the system to tell us
    assert proxy.count(b'"tools/call"') == 5


async def test_a_modern_listen_that_is_reset_is_asked_for_again() -> None:
    workshop = Workshop()

    async def cut(relay: Relay) -> None:
        await relay.forward()
        await relay.pass_until(b"acknowledged")
        await relay.pass_until(b"\n\n")
        await relay.reset()

    async with behind_proxy(workshop) as proxy:
        proxy.harm(b"subscriptions/listen", cut)
        async with trimcp.connect(proxy.url) as client, client.listen(uris=["mem://motd"]) as notices:
            with trio.fail_after(60):
                assert await anext(notices) == trimcp.Interrupted()
            workshop.server.notify_resource_updated("mem://motd")
            with trio.fail_after(60):
                assert await anext(notices) == trimcp.ResourceUpdated("mem://motd")


async def test_a_legacy_standing_stream_that_is_reset_goes_on_where_it_was() -> None:
    workshop = Workshop()
    is_cut = trio.Event()
    cut_now = trio.Event()

    async def cut(relay: Relay) -> None:
        await relay.forward()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(relay.pass_all)
            await cut_now.wait()
            nursery.cancel_scope.cancel()
        await relay.reset()
        is_cut.set()

    async with behind_proxy(workshop) as proxy:
        proxy.harm(b"GET /mcp", cut)
        async with trimcp.connect(proxy.url, revision=LEGACY) as client, client.notices() as notices:
            for uri in ("mem://motd", "mem://grüße"):
                await client.subscribe(uri)
            workshop.server.notify_resource_updated("mem://motd")
            with trio.fail_after(60):
                assert await anext(notices) == trimcp.ResourceUpdated("mem://motd")
            cut_now.set()
            await is_cut.wait()
            workshop.server.notify_resource_updated("mem://grüße")
            with trio.fail_after(60):
                assert await anext(notices) == trimcp.ResourceUpdated("mem://grüße")
