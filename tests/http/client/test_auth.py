"""A client's auth hook: what it is asked, which requests it authorizes, and when a request is repeated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import trio
import trio.testing

import trimcp
from tests.http.client.eras import Legacy, Older, modern, text
from tests.http.client.guarded import Guarded, Hook, call_all
from tests.http.client.scripted import Answer, Ask, Script, scripted
from trimcp import AuthChallenge, AuthRequest, ClientAuth, ExchangeFailed, UsageError

Clock = trio.testing.MockClock

SCRIPTS: dict[str, tuple[Any, dict[str, Any]]] = {
    "modern": (modern, {}),
    "legacy": (Legacy, {}),
    "http+sse": (Older, {"transport": "sse"}),
}
EACH = pytest.mark.parametrize("era", SCRIPTS)


def guarded(era: str, **given: Any) -> tuple[Guarded, dict[str, Any]]:
    """A guarded server of that era, and the options of a client for it."""
    make, options = SCRIPTS[era]
    return Guarded(make(), **given), options


# --- a token, and a function ----------------------------------------------------------


@EACH
async def test_a_token_goes_with_every_request(era: str, carrier: str) -> None:
    server, options = guarded(era)
    async with scripted(server, carrier) as at, trimcp.connect(at.url, auth="good", **options) as client:
        assert (await client.call_tool("x")).text == "done"
    assert not server.refused
    assert {ask.fields["authorization"] for ask in at.asks} == {"Bearer good"}
    if era == "legacy":
        assert {"POST", "GET", "DELETE"} == {ask.verb for ask in at.asks}


async def test_a_token_that_is_refused_is_an_error_that_says_so(carrier: str) -> None:
    server, _ = guarded("modern")
    async with scripted(server, carrier) as at:
        with pytest.raises(ExchangeFailed, match="wants authentication") as caught:
            async with trimcp.connect(at.url, auth="s3cret"):
                raise AssertionError
    assert (caught.value.status, caught.value.challenge) == (401, 'Bearer realm="x"')
    assert "s3cret" not in str(caught.value)
    assert server.refused == ["server/discover"]


@EACH
async def test_a_function_is_asked_for_the_token_of_each_request(era: str, carrier: str) -> None:
    server, options = guarded(era, tokens={"t1", "t2", "t3", "t4", "t5", "t6", "t7", "t8", "t9"})
    count = 0

    async def token() -> str:
        nonlocal count
        count += 1
        return f"t{count}"

    async with scripted(server, carrier) as at, trimcp.connect(at.url, auth=token, **options) as client:
        assert (await client.call_tool("x")).text == "done"
    assert len({ask.fields["authorization"] for ask in at.asks}) == len(at.asks) == count


@pytest.mark.parametrize("later", ["good", "old"])
async def test_a_function_is_asked_again_where_its_token_is_refused(later: str, carrier: str) -> None:
    server, _ = guarded("modern")
    tokens: list[str] = []

    async def token() -> str:
        return tokens.pop(0) if tokens else "good"

    async with scripted(server, carrier) as at, trimcp.connect(at.url, auth=token) as client:
        tokens += ["old", later]
        assert await call_all(client, 1) == (["done"] if later == "good" else ["401"])
    assert server.refused == ["tools/call"]  # the same token again is not worth another try


# --- a hook ---------------------------------------------------------------------------


@EACH
async def test_a_hook_sees_the_challenge_and_has_the_request_repeated(era: str, carrier: str) -> None:
    server, options = guarded(era)
    hook = Hook("old")
    async with scripted(server, carrier) as at, trimcp.connect(at.url, auth=hook, **options) as client:
        assert (await client.call_tool("x")).text == "done"
        url = at.url
    (challenge,) = hook.challenges
    assert (challenge.status, challenge.www_authenticate) == (401, 'Bearer realm="x"')
    assert challenge.request.method == ("GET" if era == "http+sse" else "POST")
    assert challenge.request.url == url
    assert dict(challenge.sent) == {"authorization": "Bearer old"}
    assert challenge.headers.get("Content-Type") == "text/plain"
    assert len(server.refused) == 1
    assert server.let_in[0] == server.refused[0]
    assert len(hook.asked) == len(at.asks)


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("challenge", ["Bearer", None])
async def test_a_hook_may_leave_it_at_the_error(status: int, challenge: str | None, carrier: str) -> None:
    def refuses(ask: Ask) -> tuple[int, str | None] | None:
        return (status, challenge) if ask.method == "tools/call" else None

    server, _ = guarded("modern", refuses=refuses)
    hook = Hook("good", is_met=False)
    async with scripted(server, carrier) as at, trimcp.connect(at.url, auth=hook) as client:
        with pytest.raises(ExchangeFailed, match="go away") as caught:
            await client.call_tool("x")
        assert (caught.value.status, caught.value.challenge) == (status, challenge)
        assert (await client.list_tools()) == []
    assert [each.www_authenticate for each in hook.challenges] == [challenge]
    assert server.refused == ["tools/call"]


@pytest.mark.parametrize("status", [401, 403])
async def test_a_request_is_repeated_once(status: int, carrier: str) -> None:
    def refuses(ask: Ask) -> tuple[int, str | None] | None:
        return (status, f"Bearer error={len(server.refused)}") if ask.method == "tools/call" else None

    server, _ = guarded("modern", refuses=refuses)
    hook = Hook("good")
    async with scripted(server, carrier) as at, trimcp.connect(at.url, auth=hook) as client:
        with pytest.raises(ExchangeFailed) as caught:
            await client.call_tool("x")
        assert (caught.value.status, caught.value.challenge) == (status, "Bearer error=1")
    assert server.refused == ["tools/call", "tools/call"]
    assert len(hook.challenges) == 1


async def test_a_401_and_then_a_403_are_two_challenges(carrier: str) -> None:
    wanted = {"Bearer good": (401, "Bearer"), "Bearer next": (403, 'Bearer scope="write"')}

    def refuses(ask: Ask) -> tuple[int, str | None] | None:
        return wanted.get(ask.fields["authorization"]) if ask.method == "tools/call" else None

    async def act(challenge: AuthChallenge) -> None:
        hook.next_token = "next" if challenge.status == 401 else "write"

    server, _ = guarded("modern", tokens={"good", "write"}, refuses=refuses)
    hook = Hook("good", act=act)
    async with scripted(server, carrier) as at, trimcp.connect(at.url, auth=hook) as client:
        assert (await client.call_tool("x")).text == "done"
    assert [each.status for each in hook.challenges] == [401, 403]
    assert server.refused == ["tools/call", "tools/call"]


async def test_every_request_of_a_session_passes_it(carrier: str, no_pauses: None) -> None:
    """Notifications, answers, the GET stream, what is resumed, and DELETE."""

    async def call(ask: Ask, answer: Answer) -> None:
        await answer.stream()
        await answer.event(id="e1")
        await answer.break_off()

    async def standing(ask: Ask, answer: Answer) -> None:
        await answer.stream()
        if "last-event-id" in ask.fields:
            (asked,) = [each for each in at.asked("tools/call") if "mcp-session-id" in each.fields][-1:]
            await answer.result_event(text("resumed"), to=asked.id, id="e2")
        await ask.gone.wait()

    used: set[str] = set()

    def refuses(ask: Ask) -> tuple[int, str | None] | None:
        """Each token is good for one request."""
        token = ask.fields.get("authorization", "")
        if token in used or not token:
            return 401, "Bearer"
        used.add(token)
        return None

    class Counting(ClientAuth):
        def __init__(self) -> None:
            self.count = 0

        async def headers(self, request: AuthRequest) -> Mapping[str, str]:
            return {"Authorization": f"Bearer {self.count}"}

        async def challenged(self, challenge: AuthChallenge) -> bool:
            self.count += 1
            return True

    server = Guarded(Legacy({"tools/call": call}, standing=standing), {str(n) for n in range(100)}, refuses=refuses)
    async with scripted(server, carrier) as at, trimcp.connect(at.url, auth=Counting()) as client:
        assert (await client.call_tool("x")).text == "resumed"
    for method in ("initialize", "notifications/initialized", "GET", "tools/call", "DELETE"):
        assert method in server.let_in, server.let_in


# --- many at once ---------------------------------------------------------------------


async def test_requests_that_are_challenged_at_once_ask_once(autojump_clock: Clock) -> None:
    async def act(challenge: AuthChallenge) -> None:
        await trio.sleep(5)

    server, _ = guarded("modern")
    hook = Hook("good", next_token="newer", act=act)
    async with scripted(server) as at, trimcp.connect(at.url, auth=hook) as client:
        server.tokens = {"newer"}
        assert await call_all(client, 20) == ["done"] * 20
    assert len(hook.challenges) == 1
    assert server.refused == ["tools/call"] * 20


async def test_a_request_that_is_sent_meanwhile_waits_for_the_verdict(autojump_clock: Clock) -> None:
    async def act(challenge: AuthChallenge) -> None:
        await trio.sleep(5)

    server, _ = guarded("modern")
    hook = Hook("good", next_token="newer", act=act)
    async with scripted(server) as at, trimcp.connect(at.url, auth=hook) as client, trio.open_nursery() as nursery:
        server.tokens = {"newer"}
        nursery.start_soon(client.call_tool, "x")
        await trio.sleep(1)
        assert (await client.call_tool("x")).text == "done"
    assert server.refused == ["tools/call"]


async def test_a_challenge_that_comes_late_asks_nobody(autojump_clock: Clock) -> None:
    """One that was sent with what is not good any more, before there was something better."""
    slow = True

    async def late(ask: Ask, answer: Answer) -> None:
        nonlocal slow
        if ask.method == "tools/call" and ask.params["name"] == "slow" and slow:
            slow = False
            await trio.sleep(10)
        await server(ask, answer)

    server, _ = guarded("modern")
    hook = Hook("good", next_token="newer")
    async with scripted(late) as at, trimcp.connect(at.url, auth=hook) as client, trio.open_nursery() as nursery:
        server.tokens = {"newer"}
        nursery.start_soon(client.call_tool, "slow")
        await trio.sleep(1)
        assert (await client.call_tool("x")).text == "done"
    assert server.refused == ["tools/call"] * 2
    assert len(hook.challenges) == 1


async def test_challenges_that_differ_are_asked_about_one_after_the_other(autojump_clock: Clock) -> None:
    scopes: set[str] = set()
    at_once = most = 0

    def refuses(ask: Ask) -> tuple[int, str | None] | None:
        if ask.method != "tools/call" or ask.params["name"] in scopes:
            return None
        return 403, f'Bearer error="insufficient_scope", scope="{ask.params["name"]}"'

    async def act(challenge: AuthChallenge) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await trio.sleep(1)
        assert challenge.www_authenticate is not None
        scopes.add(challenge.www_authenticate.split('"')[-2])
        at_once -= 1

    server, _ = guarded("modern", refuses=refuses)
    hook = Hook("good", act=act)
    async with scripted(server) as at, trimcp.connect(at.url, auth=hook) as client, trio.open_nursery() as nursery:
        for name in ("a", "b", "a", "c", "b"):
            nursery.start_soon(client.call_tool, name)
    assert sorted(str(each.www_authenticate)[-2] for each in hook.challenges) == ["a", "b", "c"]
    assert most == 1


async def test_a_no_is_the_answer_to_all_that_wait_for_it(autojump_clock: Clock) -> None:
    async def act(challenge: AuthChallenge) -> None:
        await trio.sleep(1)

    server, _ = guarded("modern")
    hook = Hook("good", next_token="good", is_met=False, act=act)
    async with scripted(server) as at, trimcp.connect(at.url, auth=hook) as client:
        server.tokens = set()
        assert await call_all(client, 5) == ["401"] * 5
        assert len(hook.challenges) == 1
        assert await call_all(client, 1) == ["401"]
        assert len(hook.challenges) == 2  # what comes later may be asked about again


# --- time -----------------------------------------------------------------------------


@EACH
async def test_what_the_hook_takes_is_not_counted_while_a_server_is_found_out(era: str, autojump_clock: Clock) -> None:
    async def act(challenge: AuthChallenge) -> None:
        await trio.sleep(500)  # a person logs in

    server, options = guarded(era)
    async with scripted(server) as at, trimcp.connect(at.url, auth=Hook(act=act), **options) as client:
        assert client.protocol_version == {"modern": "2026-07-28", "legacy": "2025-11-25"}.get(era, "2024-11-05")
        assert len(server.refused) == 1


async def test_nor_in_a_call(autojump_clock: Clock) -> None:
    async def act(challenge: AuthChallenge) -> None:
        await trio.sleep(500)

    async def slow(ask: Ask, answer: Answer) -> None:
        await trio.sleep(4)
        await answer.result(text("done"))

    server = Guarded(modern({"tools/call": slow}))
    hook = Hook("good", next_token="newer", act=act)
    async with scripted(server) as at, trimcp.connect(at.url, auth=hook) as client:
        server.tokens = {"newer"}
        assert (await client.call_tool("x", timeout=5)).text == "done"
        with pytest.raises(trimcp.RequestTimedOut):  # its own time still counts
            await client.call_tool("x", timeout=3)


async def test_a_hook_has_no_more_than_its_own_time(autojump_clock: Clock) -> None:
    async def act(challenge: AuthChallenge) -> None:
        await trio.sleep_forever()

    server, _ = guarded("modern")
    hook = Hook("good", act=act)
    async with scripted(server) as at, trimcp.connect(at.url, auth=hook) as client:
        server.tokens = set()
        began = trio.current_time()
        with pytest.raises(ExchangeFailed, match="within 600 s") as caught:
            await client.call_tool("x")
        assert caught.value.status == 401
        assert trio.current_time() - began == pytest.approx(600)

    async def never() -> str:
        await trio.sleep_forever()
        raise AssertionError

    async with scripted(server) as at:
        with pytest.raises(ExchangeFailed, match="within 60 s"):
            async with trimcp.connect(at.url, auth=never):
                raise AssertionError


async def test_a_call_that_is_cancelled_does_not_cancel_the_hook(autojump_clock: Clock) -> None:
    async def act(challenge: AuthChallenge) -> None:
        await trio.sleep(5)

    server, _ = guarded("modern")
    hook = Hook("good", next_token="newer", act=act)
    async with scripted(server) as at, trimcp.connect(at.url, auth=hook) as client:
        server.tokens = {"newer"}
        with trio.move_on_after(1) as scope:
            await client.call_tool("x")
        assert scope.cancelled_caught
        assert (await client.call_tool("x")).text == "done"
    assert len(hook.challenges) == 1


async def test_leaving_the_client_cancels_it(autojump_clock: Clock) -> None:
    became: list[str] = []

    async def act(challenge: AuthChallenge) -> None:
        try:
            await trio.sleep_forever()
        finally:
            became.append("cancelled")

    server, _ = guarded("modern")
    hook = Hook("good", act=act)
    async with scripted(server) as at, trimcp.connect(at.url, auth=hook) as client:
        server.tokens = set()
        with trio.move_on_after(1):
            await client.call_tool("x")
    assert became == ["cancelled"]


# --- what goes wrong, and what is secret ----------------------------------------------


@pytest.mark.parametrize("place", ["headers", "challenged"])
@pytest.mark.parametrize("failure", [RuntimeError("s3cret"), UsageError("log in anew"), ExchangeFailed("no network")])
async def test_a_hook_that_fails_fails_its_call_alone(place: str, failure: Exception, carrier: str) -> None:
    class Failing(Hook):
        async def headers(self, request: AuthRequest) -> Mapping[str, str]:
            if place == "headers" and fails:
                raise failure
            return await super().headers(request)

        async def challenged(self, challenge: AuthChallenge) -> bool:
            raise failure

    fails = False
    server, _ = guarded("modern")
    async with scripted(server, carrier) as at, trimcp.connect(at.url, auth=Failing("good")) as client:
        fails = True
        server.tokens = set()
        with pytest.raises(ExchangeFailed) as caught:
            await client.call_tool("x")
        said = str(caught.value)
        assert "s3cret" not in said
        assert ("RuntimeError" if isinstance(failure, RuntimeError) else str(failure)) in said
        fails = False
        server.tokens = {"good"}
        assert (await client.call_tool("x")).text == "done"


@pytest.mark.parametrize(
    "fields", [{"Authorization": "Bearer s3cret\r\nX-A: b"}, {"a b": "s3cret"}, {"content-length": "7"}, {"x": 7}]
)
async def test_header_fields_that_cannot_be_sent_are_refused(fields: Any, carrier: str) -> None:
    class Wrong(ClientAuth):
        async def headers(self, request: AuthRequest) -> Mapping[str, str]:
            return dict(fields)

    async with scripted(modern(), carrier) as at:
        with pytest.raises(ExchangeFailed, match="header") as caught:
            async with trimcp.connect(at.url, auth=Wrong()):
                raise AssertionError
    assert "s3cret" not in str(caught.value)
    assert not at.asks


async def test_fields_of_a_hook_take_the_place_of_others(carrier: str) -> None:
    class Renaming(ClientAuth):
        async def headers(self, request: AuthRequest) -> Mapping[str, str]:
            return {"ACCEPT": "application/json, text/event-stream, */*;q=0.1", "X-Key": "1"}

    async with scripted(modern(), carrier) as at, trimcp.connect(at.url, auth=Renaming(), headers={"x-key": "0"}):
        pass
    assert {(ask.fields["accept"], ask.fields["x-key"]) for ask in at.asks} == {
        ("application/json, text/event-stream, */*;q=0.1", "1")
    }


@EACH
async def test_a_token_is_in_no_log_and_no_repr(era: str, logged: Any, carrier: str) -> None:
    server, options = guarded(era, tokens={"s3cret"})
    hook = Hook("s3cret-too", next_token="s3cret")
    async with scripted(server, carrier) as at, trimcp.connect(f"{at.url}?key=s3cret", auth=hook, **options) as client:
        await client.call_tool("x")
        server.tokens = set()
        with pytest.raises(ExchangeFailed) as caught:
            await client.call_tool("x")
        assert "s3cret" not in str(caught.value)
        assert "s3cret" not in repr(client)
    assert logged.of("request.challenged")
    assert "s3cret" not in str(logged)
    assert "s3cret" not in repr(hook.challenges)
    assert "s3cret" not in repr(hook.asked)


@pytest.mark.parametrize("token", ["", "Bearer x", "a b", "a\nb", "naïve"])
async def test_what_is_no_token_is_refused_without_being_shown(token: str) -> None:
    with pytest.raises(UsageError, match="bearer token") as caught:
        async with trimcp.connect("http://h.test/mcp", auth=token):
            raise AssertionError
    assert not token or token not in str(caught.value)


@pytest.mark.parametrize(
    ("target", "options", "words"),
    [
        (["server"], {}, "auth is for servers at a URL"),
        (trimcp.Server("s"), {}, "auth is for servers at a URL"),
        ("tcp://127.0.0.1:1", {}, "auth is for servers at a URL"),
        ("http://h.test/mcp", {"headers": {"AUTHORIZATION": "Basic x"}}, "leave it out of headers"),
        ("http://ann:pw@h.test/mcp", {}, "leave user and password out"),
    ],
)
@pytest.mark.parametrize("auth", ["token", Hook()])
async def test_what_does_not_go_together_is_refused(target: Any, options: Any, words: str, auth: Any) -> None:
    with pytest.raises(UsageError, match=words):
        async with trimcp.connect(target, auth=auth, **options):
            raise AssertionError


@pytest.mark.parametrize("auth", [7, Hook, {"Authorization": "x"}])
async def test_what_is_no_hook_is_refused(auth: Any) -> None:
    with pytest.raises(UsageError, match="Invalid auth"):
        async with trimcp.connect("http://h.test/mcp", auth=auth):
            raise AssertionError


async def test_what_is_raised_inside_leaves_as_itself(carrier: str) -> None:
    script: Script = modern()
    async with scripted(script, carrier) as at:
        with pytest.raises(ValueError, match="mine"):
            async with trimcp.connect(at.url, auth=Hook("good")):
                raise ValueError("mine")
