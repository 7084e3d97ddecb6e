"""What a client makes of sessions that end and of streams that break (basic/transports)."""

from __future__ import annotations

import itertools

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.http.clients import STREAMABLE
from tests.requirements.sites import Asked, Does, Site, at_site
from tests.requirements.traffic import everything
from tests.requirements.wires import over_http
from tests.session.peer import Logged, error, logged, notification, result

__all__ = ["logged"]

legacy_revisions = pytest.mark.parametrize("version", STREAMABLE)
CHANGED = "notifications/tools/list_changed"
ROUNDING = 1e-6


async def pong(asked: Asked) -> None:
    """Answer a ping."""
    await asked.result()


async def forgotten(asked: Asked) -> None:
    """There is no such session."""
    await asked.respond(404, error(asked.id if "id" in asked.message else None, -32600) if asked.body else b"")


def shown(site: Site) -> list[tuple[str, str | None]]:
    """What was asked, and in which session."""
    return [(asked.method, asked.fields.get("mcp-session-id")) for asked in site.asked]


# --- sessions that the server has forgotten -------------------------------------------

OPENED = [("initialize", None), ("notifications/initialized", "session-2"), ("GET", "session-2")]


@legacy_revisions
async def test_after_a_404_a_client_opens_a_new_session_and_asks_there(version: str) -> None:
    site = Site(version, {"ping": [pong, forgotten, pong]})
    async with at_site(site) as client:
        await client.ping()
        before = len(site.asked)
        await client.ping()
        assert shown(site)[before:] == [("ping", "session-1"), *OPENED, ("ping", "session-2")]
        again = site.of("initialize")[1]
        assert again.message["params"]["protocolVersion"] == version
        assert "mcp-protocol-version" not in again.fields
        await client.ping()
        assert site.sessions == 2


@legacy_revisions
async def test_a_404_without_a_body_of_mcp_is_one_as_well(version: str) -> None:
    async def gone(asked: Asked) -> None:
        await asked.respond(404, b"Not Found", **{"content-type": "text/plain"})

    site = Site(version, {"ping": [gone, pong]})
    async with at_site(site) as client:
        await client.ping()
    assert site.sessions == 2


@legacy_revisions
async def test_a_notification_that_gets_a_404_is_followed_by_a_new_session(version: str) -> None:
    site = Site(version, {"notifications/roots/list_changed": [forgotten]})
    async with at_site(site, roots=["/home/ada"]) as client:
        before = len(site.asked)
        client.set_roots(["/home/bob"])
        await wait_all_tasks_blocked()
        assert shown(site)[before:] == [("notifications/roots/list_changed", "session-1"), *OPENED]


@legacy_revisions
async def test_an_open_stream_that_comes_to_a_404_is_followed_by_a_new_session(
    version: str, autojump_clock: MockClock
) -> None:
    async def cut(asked: Asked) -> None:
        await asked.begin()
        await asked.event(notification(CHANGED), id="e1")
        await asked.end()

    async def hold(asked: Asked) -> None:
        await asked.begin()
        await asked.left()

    site = Site(version, {"GET": [cut, forgotten, hold]})
    async with at_site(site):
        await trio.sleep(20)
        assert shown(site)[2:] == [("GET", "session-1"), ("GET", "session-1"), *OPENED]


@legacy_revisions
async def test_calls_that_meet_a_404_together_open_one_session(version: str) -> None:
    async def ping(asked: Asked) -> None:
        await (pong if asked.fields["mcp-session-id"] == "session-2" else forgotten)(asked)

    site = Site(version, {"ping": ping})
    async with at_site(site) as client:
        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(client.ping)
        assert site.sessions == 2


async def test_a_404_to_a_request_without_a_session_is_no_end_of_one() -> None:
    async def initialize(asked: Asked) -> None:
        about = {"name": "site", "version": "1"}
        await asked.result({"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": about})

    site = Site("2025-11-25", {"initialize": initialize, "ping": forgotten})
    async with at_site(site) as client:
        with pytest.raises(trimcp.RequestFailed):
            await client.ping()
    assert len(site.of("initialize")) == 1


async def test_a_session_that_cannot_be_opened_anew_is_an_error_and_no_endless_try() -> None:
    site = Site("2025-11-25", {"ping": forgotten})
    async with at_site(site) as client:
        with pytest.raises(trimcp.ExchangeFailed, match="forgotten"):
            await client.ping()
    assert site.sessions == 2


@legacy_revisions
async def test_at_a_server_of_ours_a_client_goes_on_in_a_new_session(version: str) -> None:
    async with over_http(everything(), version) as line:
        await line.client.ping()
        (id,) = {exchange.fields["mcp-session-id"] for exchange in line.exchanges[1:]}
        deleted = await line.http.ask("DELETE", fields={"Mcp-Session-Id": id})
        assert deleted.status == 204
        assert (await line.client.call_tool("add", {"a": 1, "b": 2})).text == "3"
        statuses = [exchange.status for exchange in line.of("tools/call")]
        assert statuses == [404, 200]
        assert len(line.of("initialize")) == 2


async def test_a_session_id_is_told_to_nobody_but_its_server(logged: Logged, autojump_clock: MockClock) -> None:
    async def initialize(asked: Asked) -> None:
        about = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "site", "version": "1"}}
        await asked.result(about, **{"Mcp-Session-Id": "s3cr3t"})

    async def elsewhere(asked: Asked) -> None:
        await asked.respond(307, location="http://elsewhere.example/mcp")

    async def refuse(asked: Asked) -> None:
        await asked.respond(503)

    async def lose(asked: Asked) -> None:
        await asked.begin()
        await asked.drop()

    does: dict[str, Does | list[Does]] = {
        "initialize": initialize,
        "ping": [elsewhere, refuse, forgotten],
        "tools/call": lose,
        "GET": [elsewhere, refuse, forgotten],
        "notification": [pong_202, elsewhere],
    }
    site = Site("2025-11-25", does)
    said: list[str] = []
    async with at_site(site, roots=[]) as client:
        for _ in range(3):
            with pytest.raises(trimcp.TrimcpError) as caught:
                await client.ping()
            said += [str(caught.value), repr(caught.value)]
        with pytest.raises(trimcp.TrimcpError) as caught:
            await client.call_tool("t")
        said += [str(caught.value), repr(caught.value), str(client.session.description), repr(client)]
        client.set_roots(["/home/bob"])
        await wait_all_tasks_blocked()
    assert len(site.of("initialize")) > 1
    assert {asked.origin for asked in site.asked} == {site.url.split("/")[2]}
    assert logged.lines
    assert "s3cr3t" not in str(logged.lines) + str(said)


async def pong_202(asked: Asked) -> None:
    """Take a notification."""
    await asked.respond(202)


# --- streams that break ---------------------------------------------------------------


def ending(*retries: int) -> list[Does]:
    """Streams whose connection is let go each time, so that the client comes back after that many milliseconds."""

    async def let_go(asked: Asked, number: int, retry: int) -> None:
        await asked.begin()
        await asked.event(raw=f"id: e{number}\nretry: {retry}\ndata: \n\n")
        await asked.end()

    def step(number: int, retry: int) -> Does:
        return lambda asked: let_go(asked, number, retry)

    return [step(number, retry) for number, retry in enumerate(retries)]


async def no_stream(asked: Asked) -> None:
    """There is no standing stream."""
    await asked.respond(405)


@pytest.mark.parametrize("retries", [(2500,), (10_000, 100), (0,), (90_000,), (5000, 5000, 5000)])
async def test_a_client_waits_as_long_as_it_is_asked_to_before_it_comes_back(
    retries: tuple[int, ...], autojump_clock: MockClock
) -> None:
    steps = ending(*retries)
    posted: list[Asked] = []

    async def call(asked: Asked) -> None:
        posted.append(asked)
        await steps[0](asked)

    async def answer(asked: Asked) -> None:
        await asked.begin()
        await asked.event(result(posted[0].id, {"content": [{"type": "text", "text": "at last"}]}))
        await asked.end()

    site = Site("2025-11-25", {"tools/call": call, "GET": [no_stream, *steps[1:], answer]})
    async with at_site(site) as client:
        assert (await client.call_tool("t", timeout=1000)).text == "at last"
    came = [posted[0].at, *(asked.at for asked in site.of("GET")[1:])]
    assert len(came) == len(retries) + 1
    for retry, (before, after) in zip(retries, itertools.pairwise(came), strict=True):
        assert retry / 1000 - ROUNDING <= after - before <= retry / 1000 + 31
    assert [asked.fields["last-event-id"] for asked in site.of("GET")[1:]] == [f"e{n}" for n in range(len(retries))]


@pytest.mark.parametrize("retry", [2500, 45_000])
async def test_a_client_waits_as_long_as_its_standing_stream_asks(retry: int, autojump_clock: MockClock) -> None:
    async def let_go(asked: Asked) -> None:
        await asked.begin()
        await asked.event(raw=f"id: e\nretry: {retry}\ndata: \n\n")
        await asked.end()

    async def hold(asked: Asked) -> None:
        await asked.begin()
        await asked.left()

    site = Site("2025-11-25", {"GET": [let_go, let_go, let_go, hold]})
    async with at_site(site):
        await trio.sleep(300)
    came = [asked.at for asked in site.of("GET")]
    assert len(came) == 4
    assert all(after - before >= retry / 1000 - ROUNDING for before, after in itertools.pairwise(came))


@pytest.mark.parametrize("after", ["0", "1"])
async def test_a_retry_of_the_stream_is_not_cut_short_by_a_server_that_is_busy_meanwhile(
    after: str, autojump_clock: MockClock
) -> None:
    """`Retry-After` of a refusal may ask for more than `retry`, and not for less."""
    steps = ending(20_000)
    posted: list[Asked] = []

    async def call(asked: Asked) -> None:
        posted.append(asked)
        await steps[0](asked)

    async def busy(asked: Asked) -> None:
        await asked.respond(503, **{"retry-after": after})

    async def answer(asked: Asked) -> None:
        await asked.begin()
        await asked.event(result(posted[0].id, {"content": []}))
        await asked.end()

    site = Site("2025-11-25", {"tools/call": call, "GET": [no_stream, busy, answer]})
    async with at_site(site) as client:
        await client.call_tool("t", timeout=1000)
    first, second = [asked.at for asked in site.of("GET")[1:]]
    assert second - first >= 20 - ROUNDING


async def test_nor_is_that_of_a_standing_stream(autojump_clock: MockClock) -> None:
    (let_go,) = ending(20_000)

    async def busy(asked: Asked) -> None:
        await asked.respond(503, **{"retry-after": "1"})

    async def hold(asked: Asked) -> None:
        await asked.begin()
        await asked.left()

    site = Site("2025-11-25", {"GET": [let_go, busy, hold]})
    async with at_site(site):
        await trio.sleep(100)
    came = [asked.at for asked in site.of("GET")]
    assert len(came) == 3
    assert all(after - before >= 20 - ROUNDING for before, after in itertools.pairwise(came))


@legacy_revisions
async def test_a_stream_that_breaks_cancels_nothing_and_is_resumed_from_its_last_event(
    version: str, autojump_clock: MockClock
) -> None:
    posted: list[Asked] = []

    async def call(asked: Asked) -> None:
        posted.append(asked)
        await asked.begin()
        await asked.event(notification("notifications/message", {"level": "info", "data": 1}), id="7")
        await asked.drop()

    async def rest(asked: Asked) -> None:
        assert asked.fields["last-event-id"] == "7"
        await asked.begin()
        await asked.event(result(posted[0].id, {"content": [{"type": "text", "text": "at last"}]}), id="8")
        await asked.end()

    site = Site(version, {"tools/call": call, "GET": [no_stream, rest]})
    async with at_site(site) as client:
        assert (await client.call_tool("t")).text == "at last"
    assert len(posted) == 1
    assert site.of("notifications/cancelled") == []


@legacy_revisions
async def test_a_legacy_client_cancels_by_a_notification(version: str, autojump_clock: MockClock) -> None:
    async def call(asked: Asked) -> None:
        await asked.begin()
        await asked.left()

    site = Site(version, {"tools/call": call})
    async with at_site(site) as client:
        with trio.move_on_after(5):
            await client.call_tool("t")
        await wait_all_tasks_blocked()
    (asked,), (cancelled,) = site.of("tools/call"), site.of("notifications/cancelled")
    assert cancelled.message["params"]["requestId"] == asked.id
