"""A canary in everything that is secret, searched for in everything that is shown."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Any

import attrs
import httpx2
import pytest

from tests.auth.client.world import World
from tests.session.peer import Logged
from trimcp import auth
from trimcp.auth.client.dpop import DpopKey
from trimcp.auth.client.known_server import Binding, BoundTokens
from trimcp.auth.client.registration import ClientIdentity, Registration
from trimcp.errors import ExchangeFailed

CANARY = "canary-"


def secrets_of(world: World) -> set[str]:
    """All that was secret: what the servers gave, and what the client made up."""
    found = {CANARY}
    for sent in world.sent:
        for name, value in [*sent.body.items(), *sent.headers.items()]:
            if name in (
                "code",
                "code_verifier",
                "refresh_token",
                "client_secret",
                "assertion",
                "authorization",
                "dpop",
            ):
                found.add(str(value)[:12])
    for url in world.shown:
        query = httpx2.URL(url).params
        found |= {query["state"][:12], query["code_challenge"][:12]}
    return found


def shown_by(exc: BaseException) -> str:
    """An exception as programs show it: text, repr, traceback with causes."""
    return f"{exc} {exc!r} {exc.args} {''.join(traceback.format_exception(exc))}"


def tokens_fail(world: World, answer: Any) -> None:
    world.answers["https://as.example/token"] = answer


def repeats_all(request: httpx2.Request) -> httpx2.Response:
    body = request.content.decode()
    return httpx2.Response(400, json={"error": "invalid_grant", "error_description": body.replace("&", " ")})


FAILURES: dict[str, Callable[[World], None]] = {
    "none": lambda world: None,
    "a server that repeats what it gets": lambda world: tokens_fail(world, repeats_all),
    "a server that fails": lambda world: tokens_fail(world, lambda request: httpx2.Response(500, text=CANARY)),
    "no JSON": lambda world: tokens_fail(world, lambda request: httpx2.Response(200, text=CANARY)),
    "another type": lambda world: tokens_fail(
        world, lambda request: httpx2.Response(200, json={"access_token": f"{CANARY}1", "token_type": "mac"})
    ),
    "an invalid token": lambda world: tokens_fail(
        world, lambda request: httpx2.Response(200, json={"access_token": f"{CANARY}1 x", "token_type": "Bearer"})
    ),
    "a large answer": lambda world: tokens_fail(world, lambda request: httpx2.Response(200, text=CANARY * 100_000)),
    "another issuer": lambda world: world.redirect.update(iss="https://evil.example", error=CANARY),
    "another state": lambda world: world.redirect.update(state=f"{CANARY}state"),
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_nothing_secret_is_shown(
    world: World,
    failure: str,
    logged: Logged,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    store = auth.MemoryStore()
    hook = world.oauth(client_id="mine", client_secret=f"{CANARY}secret", store=store)
    shown = ""
    async with world.connected(hook) as connection:
        FAILURES[failure](world)
        try:
            await connection.call("write")
            world.advance(3600)
            await connection.call()
            world.refresh.clear()
            world.access.clear()
            await connection.call()
        except ExchangeFailed as exc:
            shown += shown_by(exc)
            assert failure != "none"
        else:
            assert failure == "none"
        shown += repr((hook, vars(hook), store, vars(store), connection.authorization, *hook._servers.values()))
        shown += repr([vars(server) for server in hook._servers.values()])
    printed = capfd.readouterr()
    shown += f"{logged} {caplog.text} {printed.out} {printed.err}"
    assert "auth.requested" in shown
    for secret in secrets_of(world):
        assert secret not in shown


def test_objects_show_nothing_secret() -> None:
    tokens = auth.Tokens(access_token=f"{CANARY}a", refresh_token=f"{CANARY}r")
    key = DpopKey()
    objects: list[Any] = [
        tokens,
        Registration(client_id="c", client_secret=f"{CANARY}s"),
        ClientIdentity(client_name="c", client_secret=f"{CANARY}s"),
        auth.IdentityProvider(token_endpoint="https://x/", client_id="c", client_secret=f"{CANARY}s"),
        BoundTokens(Binding("i", "r"), tokens, None, key),
        auth.TokenEntry("1", {"a": CANARY}),
        auth.ClientCredentials("c", f"{CANARY}s"),
    ]
    for each in objects:
        assert CANARY not in f"{each!r} {each}"
        assert key.to_json()["d"] not in repr(each)
    assert not attrs.has(auth.OAuth)
