"""Sessions of 2025-03-26 to 2025-11-25 over HTTP: how they begin, who is served by them, how they end."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from tests.http.clients import STREAMABLE, TOO_MANY_SESSIONS, Legacy, initialize, notification, open_session, request
from tests.http.raw import serving
from tests.http.wires import settled
from tests.http.workshop import Workshop, by_name
from tests.session.peer import Logged

versions = pytest.mark.parametrize("version", STREAMABLE)


@versions
async def test_initialize_opens_a_session_with_an_id(door: str, version: str) -> None:
    async with serving(door, Workshop().server) as http:
        answer = await initialize(http, version, id="i")
        body = await answer.json()
        id = answer.fields["mcp-session-id"]
        assert (body["id"], body["result"]["protocolVersion"]) == ("i", version)
        assert all(0x21 <= ord(character) <= 0x7E for character in id)
        assert len(id) >= 32


async def test_ids_are_never_alike(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        ids = {(await Legacy.open(http)).id for _ in range(20)}
        assert len(ids) == 20
        # Nor does one tell of another: they share no part.
        assert len({id[:6] for id in ids}) == len({id[-6:] for id in ids}) == 20


@versions
async def test_a_session_serves_requests_on_any_connection(door: str, version: str) -> None:
    async with open_session(door, version) as (_, client):
        for number in range(3):
            answer = await client.call("add", {"a": number, "b": 1}, id=number)
            message = await answer.answer()
            assert (message["id"], message["result"]["content"][0]["text"]) == (number, str(number + 1))
            assert answer.is_stream
            assert answer.is_complete


async def test_a_request_before_the_client_said_that_it_is_ready_is_served(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        answer = await initialize(http)
        await answer.json()
        client = Legacy(http, "2025-11-25", answer.fields["mcp-session-id"])
        assert await (await client.call("add", {"a": 1, "b": 1})).text() == "2"


async def test_ping_is_answered_at_once(door: str) -> None:
    async with open_session(door) as (_, client):
        answer = await client.ask("ping", id="p")
        assert await answer.answer() == {"jsonrpc": "2.0", "id": "p", "result": {}}


async def test_a_session_that_only_pings_does_not_grow(door: str) -> None:
    async with open_session(door) as (_, client):
        for number in range(50):
            await (await client.ask("ping", id=number)).answer()
            await (await client.ask("tools/juggle", id=number)).answer()
        (session,) = client.http.running.sessions  # type: ignore[union-attr]
        assert len(session._streams) == 0  # type: ignore[attr-defined]


async def test_a_request_without_an_id_is_400(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        await Legacy.open(http)
        answer = await http.ask("POST", body=request(4, "tools/list"))
        body = await answer.json()
        assert answer.status == 400
        assert body["id"] == 4
        assert "Mcp-Session-Id" in body["error"]["message"]
        for method in ("GET", "DELETE"):
            assert (await http.ask(method)).status == 400


async def test_an_unknown_id_is_404(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        await Legacy.open(http)
        nobody = Legacy(http, "2025-11-25", "no-such-session")
        answer = await (await nobody.ask("tools/list", id=4)).begun()
        assert answer.status == 404
        assert (await answer.json())["id"] == 4
        assert (await nobody.get()).status == 404
        assert (await nobody.delete()).status == 404
        assert (await nobody.notify("notifications/initialized")).status == 404
        assert (await initialize(http, fields={"Mcp-Session-Id": nobody.id})).status == 404


async def test_the_session_of_another_principal_is_404(door: str) -> None:
    shop = Workshop()
    async with serving(door, shop.server, authenticate=by_name) as http:
        ada = await Legacy.open(http, principal="ada")
        held = await ada.call("hold", {"name": "it"})
        await shop.begun("it")
        bob = Legacy(http, "2025-11-25", ada.id, principal="bob")
        assert (await (await bob.ask("tools/list")).begun()).status == 404
        assert (await bob.get()).status == 404
        assert (await bob.notify("notifications/cancelled", {"requestId": 1})).status == 404
        assert (await bob.delete()).status == 404
        shop.open("it")
        assert await held.text() == "it"


async def test_whoever_does_not_say_who_they_are_is_sent_away(door: str) -> None:
    async with serving(door, Workshop().server, authenticate=by_name) as http:
        answer = await http.ask("POST", body=request(1, "initialize"))
        assert answer.status == 401
        assert answer.fields["www-authenticate"] == "Bearer"
        assert http.sessions == 0


@pytest.mark.parametrize("wrong", ["2099-01-01", "nonsense", "2025-06-18", "2024-11-05"])
async def test_another_version_in_the_head_is_400(door: str, wrong: str) -> None:
    async with open_session(door, "2025-11-25") as (_, client):
        fields = {"MCP-Protocol-Version": wrong}
        answer = await (await client.ask("tools/list", id=2, fields=fields)).begun()
        assert answer.status == 400
        assert (await answer.json())["id"] == 2
        assert (await client.get(fields=fields)).status == 400
        assert (await client.delete(fields=fields)).status == 400
        assert await (await client.call("add", {"a": 1, "b": 1})).text() == "2"


@versions
async def test_a_version_that_is_not_said_is_that_of_the_session(door: str, version: str) -> None:
    async with open_session(door, version) as (_, client):
        answer = await client.call("add", {"a": 1, "b": 1}, fields={"MCP-Protocol-Version": None})
        assert await answer.text() == "2"


async def test_a_second_initialize_on_a_session_is_refused(door: str) -> None:
    async with open_session(door) as (_, client):
        answer = await initialize(client.http, fields={"Mcp-Session-Id": client.id})
        assert (await answer.error())["code"] == -32600
        assert client.http.sessions == 1


async def test_an_initialize_that_is_refused_leaves_no_session(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        answer = await http.ask("POST", body=request(1, "initialize", {"capabilities": 5}))
        assert (await answer.error())["code"] == -32602
        assert "mcp-session-id" not in answer.fields
        await settled()
        assert http.sessions == 0


async def test_initialize_for_a_client_that_takes_only_streams(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        answer = await initialize(http, fields={"accept": "text/event-stream"})
        (message,) = await answer.messages()
        assert message["result"]["protocolVersion"] == "2025-11-25"
        assert "mcp-session-id" in answer.fields


@versions
async def test_notifications_and_answers_are_accepted(door: str, version: str) -> None:
    async with open_session(door, version) as (_, client):
        for answer in (await client.notify("notifications/made_up"), await client.respond(99, {})):
            assert (answer.status, answer.body) == (202, b"")


# --- the end --------------------------------------------------------------------------


@versions
async def test_delete_ends_a_session_and_then_it_is_unknown(door: str, version: str) -> None:
    async with open_session(door, version) as (shop, client):
        standing = await client.get()
        held = await client.call("hold", {"name": "it"})
        await shop.begun("it")
        answer = await client.delete()
        assert (answer.status, answer.body) == (204, b"")
        assert await shop.is_over("it") == "session_lost"
        for stream in (standing, held):
            await stream.ended()
            assert stream.is_complete  # with its last chunk, and not broken off
        for again in (await client.delete(), await (await client.ask("ping")).begun(), await client.get()):
            assert again.status == 404
        await settled()
        assert client.http.sessions == 0


@versions
async def test_initialize_within_a_session_is_refused_and_changes_nothing(door: str, version: str) -> None:
    async with open_session(door, version) as (_, client):
        opening = {"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "other", "version": "1"}}
        answer = await (await client.ask("initialize", opening)).begun()
        assert answer.status == 400
        assert await (await client.call("add", {"a": 1, "b": 1})).text() == "2"
        assert client.http.sessions == 1


@versions
async def test_delete_ends_a_stream_whose_head_has_not_left(door: str, version: str, mock_clock: MockClock) -> None:
    async with open_session(door, version) as (shop, client):
        held = await client.call("hold", {"name": "it"})
        await shop.begun("it")
        assert not held.status  # heads leave a moment later, and time stands still
        assert (await client.delete()).status == 204
        await held.ended()
        assert (held.status, held.kind, held.is_complete) == (200, "text/event-stream", True)
        assert await held.messages() == []


async def test_a_session_that_is_idle_for_long_ends(door: str, autojump_clock: MockClock) -> None:
    async with open_session(door, limits={"session_idle": 100, "keep_alive": 10}) as (_, client):
        for _ in range(3):
            await trio.sleep(90)
            assert await (await client.call("add", {"a": 1, "b": 1})).text() == "2"
        await trio.sleep(111)
        assert (await (await client.ask("ping")).begun()).status == 404
        assert client.http.sessions == 0


async def test_a_session_that_listens_or_works_is_not_idle(door: str, autojump_clock: MockClock) -> None:
    shop = Workshop(limits={"session_idle": 100, "keep_alive": 10, "detached": 5000})
    async with serving(door, shop.server) as http:
        listening, working = await Legacy.open(http), await Legacy.open(http)
        standing = await listening.get()
        held = await working.call("hold", {"name": "it"})
        await shop.begun("it")
        await held.drop()
        await trio.sleep(1000)
        assert (await (await listening.ask("ping")).begun()).status == 200
        assert (await (await working.ask("ping")).begun()).status == 200
        await standing.drop()
        shop.open("it")
        await trio.sleep(120)
        assert (await (await listening.ask("ping")).begun()).status == 404
        assert (await (await working.ask("ping")).begun()).status == 404


async def test_there_are_only_so_many_sessions(door: str) -> None:
    async with serving(door, Workshop(limits={"sessions": 2}).server) as http:
        first = await Legacy.open(http)
        await Legacy.open(http)
        answer = await initialize(http, id="third")
        body = await answer.json()
        assert answer.status == 503
        assert answer.fields["retry-after"] == "1"
        assert (body["id"], body["error"]["code"]) == ("third", TOO_MANY_SESSIONS)
        assert body["error"]["data"]["retryAfterMs"] == 1000
        await first.delete()
        await settled()
        await Legacy.open(http)


async def test_many_that_come_at_once_are_not_more_than_there_may_be(door: str) -> None:
    async with serving(door, Workshop(limits={"sessions": 3}).server) as http:
        answers = []

        async def come() -> None:
            answers.append(await initialize(http))

        async with trio.open_nursery() as nursery:
            for _ in range(12):
                nursery.start_soon(come)
        assert sorted(answer.status for answer in answers) == [200] * 3 + [503] * 9
        assert http.sessions == 3


async def test_no_log_shows_an_id(door: str, logged: Logged) -> None:
    async with open_session(door, limits={"session_requests": 1, "session_waiting": 1}) as (shop, client):
        dropped = await client.call("hold", {"name": "it"}, id=1)
        await shop.begun("it")
        await dropped.drop()
        for number in range(3):
            await client.call("hold", {"name": "more"}, id=number)
        await (await client.call("fail")).begun()
        await client.get("x.1.1")
        await client.delete()
        await settled()
        assert logged.lines
        assert client.id not in str(logged.lines)


async def test_the_tree_shows_sessions_and_what_they_do(door: str) -> None:
    async with open_session(door, principal="ada", authenticate=by_name) as (shop, client):
        await client.call("hold", {"name": "it"}, id="x")
        await shop.begun("it")
        (run,) = shop.server.tree()
        (session,) = run.sessions
        assert (session.principal, session.revision, session.phase) == ("ada", "2025-11-25", "ready")
        assert [(r.id, r.method, r.state) for r in session.requests] == [("x", "tools/call", "running")]
        assert session.read == 3
        assert client.id not in str(run)
        await client.delete()


async def test_notifications_may_come_before_the_session_is_ready(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        answer = await initialize(http)
        await answer.json()
        client = Legacy(http, "2025-11-25", answer.fields["mcp-session-id"])
        posted = await client.post(notification("notifications/cancelled", {"requestId": 0}))
        assert (await posted.begun()).status == 202


async def test_a_session_of_which_nothing_more_is_heard_ends_after_a_minute(
    door: str, autojump_clock: MockClock
) -> None:
    async with serving(door, Workshop().server) as http:
        answer = await initialize(http)
        await answer.ended()
        assert http.sessions == 1
        await trio.sleep(80)
        assert http.sessions == 0
