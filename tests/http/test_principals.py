"""Principals over HTTP: each request brings its own, and sessions, states and streams belong to subject and client."""

from __future__ import annotations

import functools
from typing import Any

import httpx2
import pytest
import trio
from trio.testing import MockClock

import trimcp
from tests.hostile.functions import stray_cancelled
from tests.http.clients import STREAMABLE, TOO_MANY_SESSIONS, Legacy, Modern, initialize, notification, request
from tests.http.raw import serving
from tests.http.test_http_sse import Old
from tests.http.wires import settled
from tests.http.workshop import Person
from tests.session.peer import Logged
from trimcp.http.binding import HttpRequest

ELICITS = {"elicitation": {"form": {}}}


async def by_token(request: HttpRequest) -> trimcp.Principal | None:
    """Reads tokens of the form `SUBJECT CLIENT SCOPE…`."""
    token = request.field("authorization")
    if token is None:
        return None
    subject, client, *scopes = token.split()
    return trimcp.Principal(subject, client=client, scopes=frozenset(scopes), claims={"token": token})


def make_server(**options: Any) -> trimcp.Server:
    server = trimcp.Server("town hall", **options)

    @server.tool
    async def whoami(ctx: trimcp.Context) -> dict[str, Any]:
        principal = ctx.principal
        return {
            "subject": None if principal is None else str(principal),
            "scopes": [] if principal is None else sorted(principal.scopes),
            "colour": ctx.request_headers.get("X-Colour"),
        }

    @server.tool
    async def name(ctx: trimcp.Context) -> str:
        answer = await ctx.elicit("Who are you?", Person)
        assert answer.data is not None
        return f"{answer.data.name} as {ctx.principal}"

    return server


async def who(answer: Any) -> Any:
    return (await answer.result())["structuredContent"]


# --- each request its own -------------------------------------------------------------


async def test_each_modern_request_brings_its_own_principal(door: str) -> None:
    async with serving(door, make_server(), authenticate=by_token) as http:
        wire = http.connect()
        for token, scopes in (("ada app read", ["read"]), ("ada app read write", ["read", "write"]), ("eve app", [])):
            fields = {"x-colour": scopes[-1] if scopes else None}
            answer = await Modern(http, principal=token).call("whoami", fields=fields, on=wire)
            assert await who(answer) == {"subject": token[:3], "scopes": scopes, "colour": fields["x-colour"]}
        assert await who(await Modern(http).call("whoami")) == {"subject": None, "scopes": [], "colour": None}


async def test_requests_of_one_sender_at_the_same_time_keep_their_scopes(door: str) -> None:
    server = make_server()
    gate = trio.Event()

    @server.tool
    async def late(ctx: trimcp.Context) -> list[str]:
        await gate.wait()
        assert ctx.principal is not None
        return sorted(ctx.principal.scopes)

    async with serving(door, server, authenticate=by_token) as http:
        answers = [await Modern(http, principal=f"ada app s{n}").call("late") for n in range(5)]
        await settled()
        gate.set()
        assert [(await who(answer))["result"] for answer in answers] == [[f"s{n}"] for n in range(5)]


@pytest.mark.parametrize("version", STREAMABLE)
@pytest.mark.parametrize("accept", ["application/json, text/event-stream", "application/json"])
async def test_each_post_of_a_session_brings_its_own_principal(door: str, version: str, accept: str) -> None:
    async with serving(door, make_server(), authenticate=by_token) as http:
        client = await Legacy.open(http, version, principal="ada app")
        for token, scopes in (("ada app read", ["read"]), ("ada app", [])):
            client.principal = token
            answer = await client.call("whoami", fields={"accept": accept, "x-colour": "red"})
            assert (
                await answer.text()
                == f'{{"subject":"ada","scopes":{str(scopes).replace(chr(39), chr(34))},"colour":"red"}}'
            )


async def test_the_members_of_a_batch_have_the_principal_of_their_post(door: str) -> None:
    async with serving(door, make_server(), authenticate=by_token) as http:
        client = await Legacy.open(http, "2025-03-26", principal="ada app")
        client.principal = "ada app read"
        calls = [request(n, "tools/call", {"name": "whoami", "arguments": {}}) for n in (1, 2)]
        messages = await (await client.post(calls)).messages()
        texts = [message["result"]["content"][0]["text"] for message in messages]
        assert len(texts) == 2
        assert all('"scopes":["read"]' in text for text in texts)


async def test_what_is_told_of_a_session_has_the_principal_that_opened_it(door: str) -> None:
    server = make_server()
    told: list[Any] = []

    @server.on_roots_changed
    async def look(ctx: trimcp.SessionContext) -> None:
        told.append((str(ctx.principal), dict(ctx.request_headers)))

    async with serving(door, server, authenticate=by_token) as http:
        client = await Legacy.open(http, capabilities={"roots": {"listChanged": True}}, principal="ada app")
        await client.notify("notifications/roots/list_changed")
        await settled()
    assert told == [("ada", {})]


async def test_in_http_sse_it_is_that_of_the_stream(door: str) -> None:
    async with serving(door, make_server(), sse=True, authenticate=by_token) as http:
        client = await Old.open(http, principal="ada app read")
        await client.call(1, "whoami")
        text = (await client.stream.message())["result"]["content"][0]["text"]
        assert '"subject":"ada","scopes":["read"]' in text
        client.principal = "ada other"
        await client.post(request(2, "ping"), status=404)


async def test_without_authenticate_and_in_memory_there_is_none(door: str) -> None:
    async with serving(door, make_server()) as http:
        answer = await Modern(http, principal="ada app").call("whoami", fields={"x-colour": "red"})
        assert await who(answer) == {"subject": None, "scopes": [], "colour": "red"}
    async with trimcp.connect(make_server()) as client:
        result = await client.call_tool("whoami")
        assert result.structured == {"subject": None, "scopes": [], "colour": None}


async def test_a_name_alone_is_a_principal_with_that_subject(door: str) -> None:
    async def by_name(request: HttpRequest) -> str:
        return request.headers["Authorization"]

    async with serving(door, make_server(), authenticate=by_name) as http:
        answer = await Modern(http, principal="ada").call("whoami")
        assert await who(answer) == {"subject": "ada", "scopes": [], "colour": None}


# --- whose sessions and states --------------------------------------------------------


@pytest.mark.parametrize("other", ["eve app", "ada other", None])
async def test_a_session_is_there_for_the_subject_and_client_that_opened_it(door: str, other: str | None) -> None:
    async with serving(door, make_server(), authenticate=by_token) as http:
        ada = await Legacy.open(http, principal="ada app read")
        stranger = Legacy(http, ada.version, ada.id, other)
        assert (await (await stranger.call("whoami")).begun()).status == 404
        assert (await stranger.notify("notifications/roots/list_changed")).status == 404
        assert (await stranger.get()).status == 404
        assert (await stranger.delete()).status == 404
        assert http.sessions == 1
        with_more_scopes = Legacy(http, ada.version, ada.id, "ada app read write")
        assert (await with_more_scopes.get()).status == 200
        assert (await with_more_scopes.delete()).status == 204


@pytest.mark.parametrize("other", ["eve app", "ada other", None])
async def test_a_state_is_good_for_its_subject_and_client(door: str, other: str | None) -> None:
    answers = {"action": "accept", "content": {"name": "Ada"}}
    async with serving(door, make_server(), authenticate=by_token) as http:
        asked = await (await Modern(http, ELICITS, "ada app").call("name")).result()
        round_ = {
            "requestState": asked["requestState"],
            "inputResponses": dict.fromkeys(asked["inputRequests"], answers),
        }
        refused = await (await Modern(http, ELICITS, other).call("name", **round_)).error()
        assert refused["code"] == -32602
        again = await Modern(http, ELICITS, "ada app write").call("name", **round_)
        assert await again.text() == "Ada as ada"


# --- challenges -----------------------------------------------------------------------


@pytest.mark.parametrize("returned", [True, False])
@pytest.mark.parametrize("status", [401, 403])
async def test_a_challenge_is_raised_or_returned(door: str, returned: bool, status: int) -> None:
    refusal = trimcp.Unauthenticated("Go away", challenge='Bearer scope="write"', status=status)

    async def refuse(request: HttpRequest) -> trimcp.Unauthenticated:
        if not returned:
            raise refusal
        return refusal

    async with serving(door, make_server(), sse=True, authenticate=refuse) as http:
        client = Legacy(http, "2025-11-25", "none")
        sent = [
            await Modern(http).call("whoami"),
            await client.call("whoami"),
            await client.get(),
            await client.delete(),
            await http.ask("GET", "/sse", fields={"accept": "text/event-stream"}),
        ]
        for answer in sent:
            await (await answer.begun()).ended()
            assert answer.status == status
            assert answer.fields["www-authenticate"] == 'Bearer scope="write"'
            assert answer.fields["cache-control"] == "no-store"
            assert answer.body == b"Go away\n"


@pytest.mark.parametrize("found", [b"ada", 7, {"sub": "ada"}])
async def test_what_is_no_principal_is_an_error_that_the_log_explains(door: str, logged: Logged, found: Any) -> None:
    async def wrong(request: HttpRequest) -> Any:
        return found

    async with serving(door, make_server(), authenticate=wrong) as http:
        answer = await (await Modern(http).call("whoami")).begun()
        assert answer.status == 500
    (entry,) = logged.of("request.failed")
    assert "return a Principal" in str(entry["exc_info"])


# --- an `authenticate` that waits -----------------------------------------------------


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_it_is_cancelled_when_the_client_leaves(door: str, era: str, autojump_clock: MockClock) -> None:
    server = make_server()
    became: list[str] = []

    async def slowly(request: HttpRequest) -> str:
        became.append("begun")
        try:
            await trio.sleep(20)
        except trio.Cancelled:
            became.append("cancelled")
            raise
        return "ada"

    async with serving(door, server, authenticate=slowly) as http:
        if era == "modern":
            answer = await Modern(http).call("whoami")
        else:
            body = request(0, "initialize", {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {}})
            answer = await http.send("POST", body=body)
        await settled()
        began = trio.current_time()
        await answer.drop()
        await settled()
        assert became == ["begun", "cancelled"]
        assert trio.current_time() - began < 1
        assert http.sessions == 0
        assert door == "asgi" or not server.tree()[0].callers
        answer = await (await Modern(http).call("whoami")).begun()  # others are served meanwhile
        assert answer.status == 200


async def test_one_that_waits_holds_up_its_own_request_alone(door: str, autojump_clock: MockClock) -> None:
    async def slowly(request: HttpRequest) -> str:
        name = request.headers["authorization"]
        await trio.sleep(10 if name == "slow" else 0)
        return name

    async with serving(door, make_server(), authenticate=slowly) as http:
        slow = await Modern(http, principal="slow").call("whoami")
        began = trio.current_time()
        assert (await who(await Modern(http, principal="ada").call("whoami")))["subject"] == "ada"
        assert trio.current_time() == began
        assert (await who(slow))["subject"] == "slow"
        assert trio.current_time() == began + 10


async def test_a_client_that_left_after_it_was_authenticated_is_treated_as_before(
    door: str, autojump_clock: MockClock
) -> None:
    server = make_server()
    ended: list[str] = []

    @server.tool
    async def hold(ctx: trimcp.Context) -> None:
        try:
            await trio.sleep_forever()
        finally:
            assert ctx.cancel_reason is not None
            ended.append(ctx.cancel_reason.value)

    async with serving(door, server, authenticate=by_token) as http:
        answer = await Modern(http, principal="ada app").call("hold")
        await settled()
        await answer.drop()
        await settled()
        assert ended == ["connection_lost"]
        assert http.callers == 0


@pytest.mark.parametrize("kind", ["Exception", "SystemExit", "GeneratorExit", "Cancelled", "group", "scope"])
async def test_one_that_misbehaves_fails_its_own_request_alone(door: str, kind: str, logged: Logged) -> None:
    scopes: list[trio.CancelScope] = []

    async def hostile(request: HttpRequest) -> str:
        if request.headers["authorization"] != "hostile":
            return "ada"
        if kind == "scope":
            scopes.append(trio.CancelScope())
            scopes[-1].__enter__()
            return "eve"
        stray = await stray_cancelled()
        failures = {
            "Exception": RuntimeError("secret 4711"),
            "SystemExit": SystemExit(3),
            "GeneratorExit": GeneratorExit(),
            "Cancelled": stray,
            "group": BaseExceptionGroup("all", [RuntimeError("secret 4711"), stray, SystemExit(3)]),
        }
        raise failures[kind]

    async with serving(door, make_server(), authenticate=hostile) as http:
        for _ in range(3):
            answer = await Modern(http, principal="hostile").call("whoami")
            await (await answer.begun()).ended()
            assert answer.status == 500
            assert b"4711" not in answer.body
            assert (await who(await Modern(http, principal="good").call("whoami")))["subject"] == "ada"
        assert (await (await initialize(http, fields={"authorization": "good"})).json())["result"]
    assert len(logged.of("request.failed")) == 3


async def test_a_notification_is_taken_once_its_sender_is_known(door: str, autojump_clock: MockClock) -> None:
    async def slowly(request: HttpRequest) -> str:
        await trio.sleep(1)
        return "ada"

    async with serving(door, make_server(), authenticate=slowly) as http:
        client = await Legacy.open(http)
        answer = await client.post(notification("notifications/cancelled", {"requestId": 7}))
        assert (await answer.begun()).status == 202


@pytest.mark.parametrize("kind", ["serve_http", "serve_hypercorn"])
async def test_several_challenges_are_fields_of_their_own(kind: str) -> None:
    challenges = ['Bearer realm="town, hall"', 'Basic realm="town hall"']

    async def refuse(request: HttpRequest) -> str:
        raise trimcp.Unauthenticated(challenge=challenges)

    server = make_server()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            host, port = await nursery.start(functools.partial(getattr(server, kind), 0, authenticate=refuse))
            async with httpx2.AsyncClient() as http:
                answer = await http.post(f"http://{host}:{port}/mcp", json={})
                assert answer.status_code == 401
                assert answer.headers.get_list("www-authenticate") == challenges
            await server.drain(0)


async def test_one_principal_cannot_take_all_sessions(door: str) -> None:
    server = trimcp.Server("a", limits=trimcp.Limits(sender_sessions=2))
    async with serving(door, server, authenticate=by_token, sse=True) as http:
        await Legacy.open(http, principal="ada app")
        stream = await http.ask("GET", "/sse", fields={"accept": "text/event-stream", "authorization": "ada app"})
        assert stream.status == 200
        answer = await initialize(http, fields={"authorization": "ada app"})
        assert (answer.status, (await answer.error())["code"]) == (503, TOO_MANY_SESSIONS)
        stream = await http.ask("GET", "/sse", fields={"accept": "text/event-stream", "authorization": "ada app"})
        assert (stream.status, (await stream.error())["code"]) == (503, TOO_MANY_SESSIONS)
        for other in ("ada other", "bob app"):
            await Legacy.open(http, principal=other)
