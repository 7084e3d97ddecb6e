"""Whose a session is, and for how long: rule 6 of the resource server."""

from __future__ import annotations

import functools
import time

import pytest
import trio
from trio.testing import MockClock

import trimcp
from tests.auth.server.minting import Mint, notes
from tests.http.clients import Legacy, Modern
from tests.http.raw import serving
from tests.http.test_http_sse import Old
from tests.http.wires import settled

ISSUERS = ("https://login.example", "https://other.example")


@pytest.mark.parametrize(
    "other", [{"sub": "eve"}, {"client_id": "another"}, {"iss": ISSUERS[1]}], ids=["subject", "client", "issuer"]
)
async def test_another_principals_session_does_not_exist(door: str, other: dict[str, str]) -> None:
    mint = Mint()
    guard = mint.guard(verifier=mint.verifier(issuer=ISSUERS))
    async with serving(door, notes(), auth=guard) as http:
        client = await Legacy.open(http, principal=mint.bearer()["authorization"])
        thief = Legacy(http, client.version, client.id, mint.bearer(**other)["authorization"])
        assert (await (await thief.call("whoami")).begun()).status == 404
        assert (await thief.get()).status == 404
        assert (await thief.delete()).status == 404
        assert (await (await client.call("whoami")).begun()).status == 200


async def test_a_stream_is_resumed_by_its_principal_alone(door: str) -> None:
    mint = Mint()
    async with serving(door, notes(), auth=mint.guard()) as http:
        client = await Legacy.open(http, principal=mint.bearer()["authorization"])
        stream = await client.get()
        http.server.notify_tools_changed()
        await stream.message()
        await stream.drop()
        thief = Legacy(http, client.version, client.id, mint.bearer(sub="eve")["authorization"])
        assert (await thief.get(last=stream.last_id)).status == 404
        assert (await client.get(last=stream.last_id)).status == 200


async def test_a_new_token_of_the_same_principal_goes_on_with_the_session(door: str) -> None:
    mint = Mint()
    async with serving(door, notes(), auth=mint.guard()) as http:
        client = await Legacy.open(http, principal=mint.bearer(jti="1")["authorization"])
        client.principal = mint.bearer("notes notes:write", jti="2")["authorization"]
        assert await (await client.call("whoami")).text() == "https://login.example ada editor notes notes:write"


async def test_a_principal_knows_its_issuer_and_expiry(door: str) -> None:
    mint = Mint()
    seen: list[trimcp.Principal] = []
    server = trimcp.Server("s")

    @server.tool
    async def look(ctx: trimcp.Context) -> str:
        assert ctx.principal is not None
        seen.append(ctx.principal)
        return ""

    async with serving(door, server, auth=mint.guard()) as http:
        await (await Modern(http).call("look", fields=mint.bearer(tenant="blue"))).text()
    (principal,) = seen
    assert principal.claims["tenant"] == "blue"
    assert principal.expires_at == principal.claims["exp"]
    assert "blue" not in repr(principal)


def test_the_key_of_a_principal_tells_issuers_apart() -> None:
    plain = trimcp.Principal("ada", client="c")
    keys = {plain.key, *(trimcp.Principal("ada", client="c", issuer=issuer).key for issuer in (*ISSUERS, "", "ada"))}
    assert len(keys) == 5
    assert trimcp.Principal("b:c", issuer="a").key != trimcp.Principal("c", issuer="a:b").key


# --- streams end with the token -------------------------------------------------------


async def test_a_get_stream_ends_when_the_token_does_and_is_resumed_with_a_new_one(
    door: str, autojump_clock: MockClock
) -> None:
    mint = Mint()
    mint.clock.now = time.time()  # wall clock: the server reads it too
    async with serving(door, notes(), auth=mint.guard()) as http:
        client = await Legacy.open(http, principal=mint.bearer(exp=int(time.time()) + 3600)["authorization"])
        client.principal = mint.bearer(exp=int(time.time()) - 5)["authorization"]  # within the leeway
        stream = await client.get()
        assert stream.status == 200
        http.server.notify_tools_changed()
        await stream.message()
        await trio.sleep(20)  # the caretaker looks every 5 s
        await stream.ended()
        client.principal = mint.bearer()["authorization"]
        assert (await client.get(last=stream.last_id)).status == 200
        lasting = await client.get()
        await trio.sleep(20)
        await settled()
        assert not lasting.is_over


async def test_a_listen_ends_when_the_token_does(door: str, autojump_clock: MockClock) -> None:
    mint = Mint()
    async with serving(door, notes(), auth=mint.guard()) as http:
        client = Modern(http)
        expired = mint.bearer(exp=int(time.time()) - 5)
        ending = await client.listen(id=1, toolsListChanged=True, fields=expired)
        lasting = await client.listen(id=2, toolsListChanged=True, fields=mint.bearer())
        await trio.sleep(20)
        await ending.ended()
        await settled()
        assert not lasting.is_over
        (run,) = http.server.tree()
        assert run.listens == 1


async def test_a_stream_of_the_old_transport_ends_when_the_token_does(door: str, autojump_clock: MockClock) -> None:
    mint = Mint()
    async with serving(door, notes(), auth=mint.guard(), sse=True) as http:
        client = await Old.open(http, principal=mint.bearer(exp=int(time.time()) + 120)["authorization"])
        await trio.sleep(110)
        await settled()
        assert not client.stream.is_over
        await trio.sleep(20)
        await client.stream.ended()


async def test_a_call_that_runs_is_finished(door: str, autojump_clock: MockClock) -> None:
    mint, server = Mint(), trimcp.Server("s", limits=trimcp.Limits(keep_alive=5))

    @server.tool
    async def slow() -> str:
        await trio.sleep(60)
        return "done"

    async with serving(door, server, auth=mint.guard()) as http:
        answer = await Modern(http).call("slow", fields=mint.bearer(exp=int(time.time()) - 5))
        assert await answer.text() == "done"


async def test_a_session_on_a_connection_ends_when_its_principal_expires(autojump_clock: MockClock) -> None:
    from trimcp.transports.memory import memory_pair

    server = notes()
    principal = trimcp.Principal("ada", expires_at=time.time() + 100)
    ours, theirs = memory_pair()
    async with server.running() as running, trio.open_nursery() as nursery:
        nursery.start_soon(functools.partial(running.serve, theirs, principal=principal))
        with pytest.raises(trimcp.ConnectionEnded):
            async with trimcp.connect(ours) as client:
                assert (await client.call_tool("whoami")).text
                await trio.sleep(99)
                assert (await client.call_tool("whoami")).text
                await trio.sleep(2)
                await client.call_tool("whoami")
        assert 100 <= trio.current_time() < 110
