"""Routes of the user's beside the endpoint, behind both doors."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

import trimcp
from tests.http.clients import Modern
from tests.http.raw import Http, serving
from tests.http.test_principals import by_token, stray_cancelled
from tests.http.wires import Answer, settled
from tests.http.workshop import Workshop
from tests.session.peer import Logged
from trimcp.http.binding import HttpRequest


async def whole(http: Http, method: str, path: str, **given: Any) -> Answer:
    """The whole answer to a request."""
    return await (await http.ask(method, path, **given)).ended()


async def test_a_route_answers_beside_the_endpoint(door: str) -> None:
    shop = Workshop()

    @shop.server.route("/hooks", methods=["POST", "PUT"])
    async def hook(request: trimcp.HttpRequest) -> trimcp.HttpReply:
        seen = [
            request.method,
            request.path,
            request.query.decode(),
            request.headers["X-Colour"],
            request.body.decode(),
        ]
        return trimcp.HttpReply(seen, status=202, headers={"X-Seen": "yes"})

    async with serving(door, shop.server) as http:
        wire = http.connect()
        for method in ("POST", "PUT"):
            answer = await http.ask(method, "/hooks?a=b", body=b"body", fields={"x-colour": "red"}, on=wire)
            assert await answer.json() == [method, "/hooks", "a=b", "red", "body"]
            assert (answer.status, answer.fields["x-seen"]) == (202, "yes")
        assert await (await Modern(http).call("add", {"a": 1, "b": 2}, on=wire)).text() == "3"
        refused = await whole(http, "DELETE", "/hooks")
        assert (refused.status, refused.fields["allow"]) == (405, "POST, PUT")
        assert (await whole(http, "POST", "/hooks/7", body=b"x")).status == 404


async def test_head_goes_with_get_and_has_no_body(door: str) -> None:
    shop = Workshop()

    @shop.server.route("/text")
    async def text(request: HttpRequest) -> str:
        return "four"

    async with serving(door, shop.server, health=True) as http:
        got = await whole(http, "GET", "/text")
        assert (got.body, got.fields["content-length"]) == (b"four", "4")
        assert (await whole(http, "POST", "/text")).fields["allow"] == "GET, HEAD"
        if door == "asgi":  # the parser of the other wire does not know what it was asked for
            head = await whole(http, "HEAD", "/text")
            assert (head.status, head.body, head.fields["content-length"]) == (200, b"", "4")
            assert (await whole(http, "HEAD", "/nothing")).body == b""
            assert (await whole(http, "HEAD", "/health/live")).status == 200


async def test_a_prefix_takes_what_is_below_it(door: str) -> None:
    shop = Workshop()

    @shop.server.route("/.well-known/thing", prefix=True)
    async def thing(request: HttpRequest) -> str:
        return request.path

    async with serving(door, shop.server) as http:
        for path in ("/.well-known/thing", "/.well-known/thing/mcp"):
            assert (await whole(http, "GET", path)).body == path.encode()
        assert (await whole(http, "GET", "/.well-known/things")).status == 404


# --- who may --------------------------------------------------------------------------


async def test_a_route_knows_who_sends_the_request_unless_it_does_not_ask(door: str) -> None:
    shop = Workshop()

    async def known(request: HttpRequest) -> trimcp.Principal | None:
        if request.field("authorization") is None:
            raise trimcp.Unauthenticated
        return await by_token(request)

    @shop.server.route("/private")
    async def private(request: HttpRequest) -> str:
        return f"{request.principal}"

    @shop.server.route("/public", authenticate=False)
    async def public(request: HttpRequest) -> str:
        return f"{request.principal}"

    async with serving(door, shop.server, authenticate=known) as http:
        refused = await whole(http, "GET", "/private")
        assert (refused.status, refused.fields["www-authenticate"]) == (401, "Bearer")
        assert (await whole(http, "GET", "/private", fields={"authorization": "ada app"})).body == b"ada"
        assert (await whole(http, "GET", "/public", fields={"authorization": "ada app"})).body == b"None"


async def test_host_and_origin_are_checked_unless_the_route_says_not(door: str) -> None:
    shop = Workshop()

    @shop.server.route("/guarded")
    async def inside(request: HttpRequest) -> str:
        return "in"

    @shop.server.route("/open", guarded=False)
    async def outside(request: HttpRequest) -> str:
        return "in"

    cors = trimcp.Cors(origins=["https://app.example.com"])
    async with serving(door, shop.server, cors=cors) as http:
        for fields in ({"host": "evil.example"}, {"origin": "https://evil.example"}):
            assert (await whole(http, "GET", "/guarded", fields=fields)).status == 403
            assert (await whole(http, "GET", "/open", fields=fields)).body == b"in"
        page = {"origin": "https://app.example.com"}
        assert (await whole(http, "GET", "/guarded", fields=page)).fields["access-control-allow-origin"] == page[
            "origin"
        ]
        asks = {**page, "access-control-request-method": "GET"}
        preflight = await whole(http, "OPTIONS", "/guarded", fields=asks)
        assert (preflight.status, preflight.fields["access-control-allow-methods"]) == (204, "GET, HEAD")
        assert (await whole(http, "OPTIONS", "/mcp", fields=asks)).fields["access-control-allow-methods"] == (
            "POST, GET, DELETE"
        )


@pytest.mark.parametrize(
    ("path", "options", "remedy"),
    [
        ("/mcp", {}, "by `path=`"),
        ("/mcp/", {}, "by `path=`"),
        ("/here", {"path": "/here/"}, "by `path=`"),
        ("/sse", {"sse": True}, "without `sse=True`"),
        ("/messages", {"sse": True}, "without `sse=True`"),
        ("/health/live", {"health": True}, "without `health=True`"),
    ],
)
async def test_a_path_of_the_endpoint_is_refused_with_what_to_do(path: str, options: Any, remedy: str) -> None:
    server = trimcp.Server("s")

    @server.route(path, methods=["PUT"])
    async def mine(request: HttpRequest) -> str:
        raise AssertionError

    for serve in (server.serve_http, server.serve_hypercorn):
        with pytest.raises(trimcp.UsageError, match=f"PUT {path} belongs to") as caught:
            await serve(0, **options)
        assert remedy in str(caught.value)
    with pytest.raises(trimcp.UsageError, match=remedy):
        server.asgi(**options)


async def test_the_paths_of_what_is_not_served_are_free(door: str) -> None:
    shop = Workshop()

    @shop.server.route("/health/live")
    async def mine(request: HttpRequest) -> str:
        return "mine"

    async with serving(door, shop.server) as http:
        assert (await whole(http, "GET", "/health/live")).body == b"mine"


# --- what goes wrong ------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Exception", "SystemExit", "GeneratorExit", "Cancelled", "scope", "reply", "json"])
async def test_a_failure_is_500_for_that_request_alone(door: str, kind: str, logged: Logged) -> None:
    shop = Workshop()
    scopes: list[trio.CancelScope] = []

    @shop.server.route("/bad")
    async def bad(request: HttpRequest) -> Any:
        if kind == "scope":
            scopes.append(trio.CancelScope())
            scopes[-1].__enter__()
            raise RuntimeError("secret 4711")
        if kind == "reply":
            return trimcp.HttpReply("x", headers={"X-A": "secret 4711\n"})
        if kind == "json":
            return {"it": object()}
        failures: dict[str, BaseException] = {
            "Exception": RuntimeError("secret 4711"),
            "SystemExit": SystemExit(3),
            "GeneratorExit": GeneratorExit(),
            "Cancelled": await stray_cancelled(),
        }
        raise failures[kind]

    async with serving(door, shop.server) as http:
        call = await Modern(http).call("hold", {"name": "it"})
        for _ in range(3):
            answer = await whole(http, "GET", "/bad")
            assert (answer.status, answer.body) == (500, b"Internal error\n")
        shop.open("it")
        assert await call.text() == "it"
    assert [entry["path"] for entry in logged.of("request.failed")] == ["/bad"] * 3


async def test_a_route_is_cancelled_when_its_client_leaves(door: str) -> None:
    shop = Workshop()
    became: list[str] = []

    @shop.server.route("/slow")
    async def slow(request: HttpRequest) -> str:
        became.append("begun")
        try:
            await trio.sleep_forever()
        finally:
            became.append("ended")
        raise AssertionError

    async with serving(door, shop.server) as http:
        answer = await http.send("GET", "/slow")
        await settled()
        assert became == ["begun"]
        await answer.drop()
        await settled()
        assert became == ["begun", "ended"]


async def test_a_drain_gives_routes_time_and_then_cancels_them(door: str, autojump_clock: MockClock) -> None:
    shop = Workshop(limits={"grace": 5})

    @shop.server.route("/wait")
    async def wait(request: HttpRequest) -> str:
        await trio.sleep(float(request.query))
        return "done"

    async with serving(door, shop.server) as http:
        brief, long = await http.send("GET", "/wait?3"), await http.send("GET", "/wait?1000")
        await settled()
        began = trio.current_time()
        await shop.server.drain()
        await brief.begun()
        assert (brief.status, trio.current_time() - began) == (200, 3)
        await long.begun()
        assert (long.status, trio.current_time() - began) == (503, 5)
        assert long.fields["retry-after"]
        if door == "asgi":  # which still takes what comes then
            assert (await whole(http, "GET", "/wait?0")).status == 503


async def test_a_flood_of_requests_that_wait_is_refused(door: str) -> None:
    shop = Workshop(limits={"server_requests": 3})
    gate = trio.Event()

    @shop.server.route("/slow", authenticate=False)
    async def slow(request: HttpRequest) -> str:
        await gate.wait()
        return "done"

    async with serving(door, shop.server, authenticate=by_token) as http:
        waiting = [await http.send("GET", "/slow") for _ in range(3)]
        await settled()
        refused = await whole(http, "GET", "/slow")
        assert (refused.status, refused.body) == (503, b"Busy: 3 requests wait to be taken\n")
        assert refused.fields["retry-after"]
        error = await (await Modern(http).call("add", {"a": 1, "b": 2})).error()
        assert (error["code"], error["data"]["reason"]) == (-31001, "busy")
        gate.set()
        for answer in waiting:
            assert (await (await answer.begun()).ended()).body == b"done"
        assert await (await Modern(http).call("add", {"a": 1, "b": 2})).text() == "3"
