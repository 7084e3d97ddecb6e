"""The listener for the redirect of a browser: over sockets, with browsers and with all else that finds its port."""

from __future__ import annotations

import socket
from contextlib import AsyncExitStack
from typing import Any

import pytest
import trio

from tests.auth.client.world import World
from trimcp.auth import AuthorizationFailed, MemoryStore
from trimcp.auth.client.authorization_code import SignIn
from trimcp.auth.client.callback import _CONNECTIONS, CallbackListener, open_callback_listener
from trimcp.errors import ExchangeFailed

REDIRECT = "http://127.0.0.1:0/callback"
STATE = "right"


async def ask(listener: CallbackListener, request: bytes, host: str = "127.0.0.1") -> bytes:
    """Send bytes to the listener; return what it answers."""
    port = int(listener.redirect_uri.rpartition(":")[2].partition("/")[0])
    with trio.fail_after(60):
        async with await trio.open_tcp_stream(host, port) as stream:
            await stream.send_all(request)
            answer = b""
            while piece := await stream.receive_some(65536):
                answer += piece
            return answer


def get(target: str, verb: str = "GET") -> bytes:
    return f"{verb} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()


def status(answer: bytes) -> int:
    return int(answer.split(b" ")[1])


async def test_the_redirect_is_handed_over_and_shows_nothing() -> None:
    async with open_callback_listener(REDIRECT, STATE) as listener:
        answer = await ask(listener, get(f"/callback?code=canary&state={STATE}&error=%3Cscript%3E"))
        assert status(answer) == 200
        for shown in (b"canary", b"script", STATE.encode()):
            assert shown not in answer
        assert b"Cache-Control: no-store" in answer
        assert b"Referrer-Policy: no-referrer" in answer
        callback = await listener.wait()
        assert callback.parameters == {"code": "canary", "state": STATE, "error": "<script>"}
        assert status(await ask(listener, get(f"/callback?code=second&state={STATE}"))) == 400


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (get("/callback?code=x&state=stale"), 400),
        (get("/callback?code=x"), 400),
        (get("/callback?code=x&state=right&state=right"), 400),
        (get("/callback?state=right&code=a&code=b"), 400),
        (get("/callback?" + "a=1&" * 60), 400),
        (get("/favicon.ico"), 404),
        (get("/callback/?code=x&state=right"), 404),
        (get("//["), 404),
        (get("http://[/callback?state=right"), 404),
        (get("/%00?\xff"), 404),
        (get("/callback?code=x&state=right", "POST"), 405),
        (get("/callback?code=x&state=right", "HEAD"), 405),
        (get("/callback?code=x&state=right", "OPTIONS"), 405),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
        (b"GET /callback\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 20000, 431),
    ],
)
async def test_all_else_is_refused_and_the_wait_goes_on(request_: bytes, expected: int) -> None:
    async with open_callback_listener(REDIRECT, STATE) as listener:
        assert status(await ask(listener, request_)) == expected
        assert status(await ask(listener, get(f"/callback?code=x&state={STATE}"))) == 200
        assert (await listener.wait()).parameters["code"] == "x"


async def test_connections_that_say_nothing_are_no_hindrance() -> None:
    async with open_callback_listener(REDIRECT, STATE) as listener:
        port = int(listener.redirect_uri.rpartition(":")[2].partition("/")[0])
        async with (
            await trio.open_tcp_stream("127.0.0.1", port),
            await trio.open_tcp_stream("127.0.0.1", port) as second,
        ):
            await second.send_all(b"GET ")
            assert status(await ask(listener, get(f"/callback?code=x&state={STATE}"))) == 200


async def test_a_flood_of_connections_keeps_no_browser_out() -> None:
    async with open_callback_listener(REDIRECT, STATE) as listener, AsyncExitStack() as stack:
        port = int(listener.redirect_uri.rpartition(":")[2].partition("/")[0])
        silent = [
            await stack.enter_async_context(await trio.open_tcp_stream("127.0.0.1", port))
            for _ in range(_CONNECTIONS + 4)
        ]
        assert status(await ask(listener, get(f"/callback?code=x&state={STATE}"))) == 200
        for stream in silent[:5]:  # the oldest were closed
            with trio.fail_after(20):
                assert await stream.receive_some(1) == b""


async def test_two_flows_at_once_get_their_own_redirects() -> None:
    async with open_callback_listener(REDIRECT, "one") as one, open_callback_listener(REDIRECT, "two") as two:
        assert one.redirect_uri != two.redirect_uri
        assert status(await ask(one, get("/callback?code=x&state=two"))) == 400
        assert status(await ask(two, get("/callback?code=b&state=two"))) == 200
        assert status(await ask(one, get("/callback?code=a&state=one"))) == 200
        assert (await one.wait()).parameters["code"] == "a"
        assert (await two.wait()).parameters["code"] == "b"


async def test_a_port_in_use_is_an_error() -> None:
    async with open_callback_listener(REDIRECT, STATE) as first:
        with pytest.raises(AuthorizationFailed, match=r"in use: .*port 0"):
            async with open_callback_listener(first.redirect_uri, STATE):
                raise AssertionError
        # That of an earlier registration is only tried.
        port = int(first.redirect_uri.rpartition(":")[2].partition("/")[0])
        async with open_callback_listener(REDIRECT, STATE, port=port) as second:
            assert second.redirect_uri != first.redirect_uri
    async with open_callback_listener(REDIRECT, STATE, port=port) as third:
        assert third.redirect_uri == first.redirect_uri


async def test_it_listens_on_loopback_alone() -> None:
    async with open_callback_listener(REDIRECT, STATE) as listener:
        port = int(listener.redirect_uri.rpartition(":")[2].partition("/")[0])
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.0.0.2", port))  # which is free, so it is not listened at all addresses


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as one:
            one.bind(("::1", 0))
    except OSError:
        return False
    return True


async def test_localhost_is_both_addresses() -> None:
    async with open_callback_listener("http://localhost:0/callback", STATE) as listener:
        assert listener.redirect_uri.startswith("http://localhost:")
        assert status(await ask(listener, get("/x"))) == 404
        if has_ipv6():
            assert status(await ask(listener, get("/x"), "::1")) == 404


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")
async def test_a_program_at_the_other_address_of_localhost_is_an_error() -> None:
    with socket.socket(socket.AF_INET6) as other:
        other.bind(("::1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(AuthorizationFailed, match="in use"):
            async with open_callback_listener(f"http://localhost:{port}/callback", STATE):
                raise AssertionError


async def test_the_listener_ends_with_its_flow() -> None:
    async with open_callback_listener(REDIRECT, STATE) as listener:
        pass
    with pytest.raises(OSError, match=r"connect"):
        await ask(listener, get("/callback"))


async def open_at(world: World, seen: list[str], url: str) -> None:
    """A browser: goes to the authorization server, and where that sends it."""
    back = await world.agree(url)
    seen.append(back)
    host, _, target = back.removeprefix("http://").partition("/")
    async with await trio.open_tcp_stream("127.0.0.1", int(host.rpartition(":")[2])) as stream:
        await stream.send_all(get(f"/{target}"))
        while await stream.receive_some(65536):
            pass


async def test_a_registration_is_made_anew_where_its_port_is_in_use(world: World) -> None:
    store, seen = MemoryStore(), []  # type: MemoryStore, list[str]

    async def sign_in() -> None:
        async def browse(url: str) -> None:
            await open_at(world, seen, url)

        assert await world.call(world.oauth(store=store, read_callback=None, open_url=browse)) == 200
        world.access.clear()
        world.refresh.clear()

    await sign_in()
    await sign_in()
    assert len(world.clients) == 1
    assert seen[0].partition("?")[0] == seen[1].partition("?")[0]
    async with open_callback_listener(seen[0].partition("?")[0], STATE):
        await sign_in()
    assert len(world.clients) == 2
    assert world.clients["client-1"]["redirect_uris"] == [seen[2].partition("?")[0]]


async def test_a_function_that_is_not_async_may_open_the_url() -> None:
    opened: list[str] = []

    def open_url(url: str) -> None:
        opened.append(url)
        scope.cancel()

    sign_in = SignIn(REDIRECT, open_url, None)

    async def url_for(redirect_uri: str) -> str:
        return redirect_uri

    class Flow:
        state = STATE

    with trio.CancelScope() as scope:
        flow: Any = Flow()
        await sign_in.callback(flow, url_for, port=None)
    assert opened[0].startswith("http://127.0.0.1:")


async def test_a_failure_to_open_the_url_ends_the_sign_in(world: World) -> None:
    def broken(url: str) -> None:
        raise OSError(f"canary {url}")

    with pytest.raises(ExchangeFailed, match="OSError") as raised:
        await world.call(world.oauth(read_callback=None, open_url=broken))
    assert "canary" not in str(raised.value)
