"""The `auth` of a server in an `mcpServers` file."""

from __future__ import annotations

from typing import Any

import pytest

from tests.auth.client.world import World
from trimcp.auth import MemoryStore, OAuth
from trimcp.auth.client.configuration import oauth_of_configuration
from trimcp.errors import UsageError

PATH = "mcpServers.files.auth"


@pytest.mark.parametrize("value", ["oauth", {}, {"type": "oauth"}])
def test_short_forms(value: Any) -> None:
    assert isinstance(oauth_of_configuration(value, PATH), OAuth)


async def test_what_it_says_is_done(world: World) -> None:
    value = {
        "type": "oauth",
        "scopes": ["files:read", "files:write"],
        "clientId": "mine",
        "clientSecret": "canary",
        "issuer": world.issuer,
        "sendResource": False,
        "redirect": "http://127.0.0.1:49300/callback",
    }
    store = MemoryStore()
    auth = oauth_of_configuration(value, PATH, store=store)
    auth._sign_in._read_callback = world.agree
    assert await world.call(auth) == 200
    (url,) = world.shown
    for part in ("client_id=mine", "scope=basic+files%3Aread+files%3Awrite", "49300"):
        assert part in url
    assert "resource=" not in url
    assert store._entries
    assert "canary" not in repr(auth)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, 'auth: give "oauth", or an object'),
        ("OAuth", 'auth: give "oauth", or an object'),
        (["oauth"], 'auth: give "oauth", or an object'),
        ({"type": "bearer"}, r"auth\.type: give \"oauth\"; for other ways"),
        ({"client_id": "x"}, r"auth\.client_id: did you mean clientId\?"),
        ({"scope": "x"}, r"auth\.scope: did you mean scopes\?"),
        ({"nonsense": 1}, r"auth\.nonsense: leave it out; there are type, scopes,"),
        ({"clientId": 5}, r"auth\.clientId: give a string"),
        ({"clientId": ""}, r"auth\.clientId: give a string"),
        ({"scopes": 5}, r"auth\.scopes: give a list"),
        ({"scopes": ["a b"]}, r"auth\.scopes: give a list"),
        ({"dpop": "yes"}, r"auth\.dpop: give true or false"),
        ({"clientSecret": "canary"}, r"auth: Missing client_id"),
        ({"redirect": "https://evil.example/"}, r"auth: Invalid redirect"),
        ({"clientMetadataUrl": "http://x/y"}, r"auth: Invalid client_metadata_url"),
    ],
)
def test_errors_say_what_to_do(value: Any, message: str) -> None:
    with pytest.raises(UsageError, match=rf"^mcpServers\.files\.{message}") as raised:
        oauth_of_configuration(value, PATH)
    assert "canary" not in str(raised.value)


def test_scopes_may_be_one_string() -> None:
    assert oauth_of_configuration({"scopes": "a b"}, PATH)._scopes == ("a", "b")
