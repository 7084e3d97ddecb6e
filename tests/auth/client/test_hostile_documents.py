"""Documents and answers of hostile servers: each field has each value that it should not have.

A sign-in succeeds, or fails with an error of trimcp's that is short and clean, and shows no secret.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx2
import pytest
import trio

from tests.auth.client.world import World, names_of, opened
from trimcp.auth import ClientCredentials, DeviceFlow, DevicePrompt
from trimcp.errors import ExchangeFailed
from trimcp.http.client.auth import ClientAuth

TOKEN = {"access_token": "canary-access", "token_type": "Bearer", "expires_in": 100}
CODE = {
    "device_code": "canary-device",
    "user_code": "AB-CD",
    "verification_uri": "https://as.example/page",
    "expires_in": 100,
    "interval": 1,
}
ERROR = ("error", "error_description")
FIELDS = {
    "resource": ("resource", "authorization_servers", "scopes_supported"),
    "metadata": (
        "issuer",
        "authorization_endpoint",
        "token_endpoint",
        "registration_endpoint",
        "device_authorization_endpoint",
        "code_challenge_methods_supported",
        "authorization_response_iss_parameter_supported",
        "token_endpoint_auth_methods_supported",
        "scopes_supported",
        "client_id_metadata_document_supported",
    ),
    "register": ("client_id", "client_secret", "token_endpoint_auth_method", *ERROR),
    "token": ("access_token", "token_type", "expires_in", "refresh_token", "scope", *ERROR),
    "device": (*CODE, "verification_uri_complete", *ERROR),
}
LONG = "a" * 60_000
VALUES: list[Any] = [
    *(None, True, 0, -1, 1e300, -1e300, 10**30, "-5", "9" * 5000, "NaN"),
    *("", " ", "<b>", "\x1b[31mred\x07", "a\r\nX: y", "\u202e\u0085", LONG),
    *([], [1], ["\x1b[31m"] * 100, {}, {"a": 1}, [f"https://a{number}.example" for number in range(2000)]),
    *(
        f"https://{LONG}/",
        f"https://as.example/{LONG}",
        "https://evil.example/\x1b[2J",
        "https://[",
        "https://a:99999/",
    ),
    *(
        "javascript:alert(1)",
        "file:///etc/passwd",
        "http://as.example/x",
        "https://u:p@as.example/",
        "https://10.0.0.1/",
    ),
]


def answers(world: World, where: str, changes: Mapping[str, Any], *, is_error: bool) -> None:
    """Have the servers of a world answer with a document that was changed."""
    bases = {"resource": world.resource, "metadata": world.metadata, "register": {"client_id": "client-0"}}
    documents = {**bases, "token": TOKEN, "device": CODE}
    documents[where] = {**(documents[where] or {}), **changes}
    world.resource, world.metadata = documents["resource"], documents["metadata"]
    for name in ("register", "token", "device"):
        body, status = json.dumps(documents[name]).encode(), 400 if is_error and name == where else 200
        world.answers[f"https://as.example/{name}"] = lambda _, body=body, status=status: httpx2.Response(
            status, content=body
        )


async def show(prompt: DevicePrompt) -> None:
    assert f"{prompt.verification_uri}{prompt.verification_uri_complete or ''}{prompt.user_code}".isprintable()
    await trio.lowlevel.checkpoint()


# A flow that never asks for a document has no field of it.
ASKED_BY: dict[str, tuple[str, ...]] = {"register": ("browser", "device"), "device": ("device",)}
CASES = [
    (where, field, flow)
    for where, fields in FIELDS.items()
    for field in fields
    for flow in ASKED_BY.get(where, ("browser", "device", "program"))
]


@pytest.mark.parametrize(("where", "field", "flow"), CASES)
async def test_a_sign_in_fails_with_a_clean_error(where: str, field: str, flow: str, autojump_clock: Any) -> None:
    for value in VALUES:
        for is_error in {False, field in ERROR}:
            world = World()
            world.addresses["10.0.0.1"] = "10.0.0.1"
            answers(world, where, {field: value}, is_error=is_error)
            auth: ClientAuth = ClientCredentials("id", "canary-secret")
            if flow != "program":
                auth = world.oauth() if flow == "browser" else DeviceFlow(show=show)
            with opened(world):
                async with names_of(world):
                    try:
                        with trio.fail_after(600):
                            assert await world.call(auth) in (200, 401)
                    except ExchangeFailed as exc:
                        text = str(exc)
                        assert text.isprintable()
                        assert len(text) < 4000
                        assert "canary" not in text
                        assert not text.endswith("Error"), "an exception that is not trimcp's"
            assert all(url.startswith("https://") and url.isprintable() for url in world.shown)
            assert not any(sent.address == "10.0.0.1" for sent in world.sent)
