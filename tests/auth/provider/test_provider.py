"""A client signs in at a real identity provider, for a real server of MCP."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

import trimcp
from tests.auth.provider.running import Person, protected, provider
from tests.process.children import environment
from tests.session.peer import Logged, logged
from trimcp import auth

__all__ = ["logged"]

pytestmark = pytest.mark.interop

SECRET = "canary-program-secret-of-32-characters"


async def call(url: str, hook: Any, times: int = 1) -> str:
    """Call the tool of the protected server."""
    async with trimcp.connect(url, auth=hook) as client:
        for _ in range(times):
            said = (await client.call_tool("whoami")).text
    return said


@pytest.mark.parametrize("path", ["", "/tenant/1"])
@pytest.mark.parametrize("opaque", [False, True])
async def test_a_person_signs_in_by_a_registration_and_a_listener(path: str, opaque: bool) -> None:
    person = Person()
    async with provider(path=path, opaque=opaque) as issuer, protected(issuer, opaque=opaque) as server:
        store = auth.MemoryStore()
        for _ in range(2):
            hook = auth.OAuth(open_url=person.open, store=store)
            assert await call(server.url, hook, 3) == "ada mcp:basic"
    assert server.statuses == [401]
    assert person.sign_ins == 1


async def test_tokens_rotate_and_survive_restarts(tmp_path: Path) -> None:
    person = Person()
    async with provider() as issuer, protected(issuer) as server:
        for number in range(4):
            hook = auth.OAuth(
                client_id="desktop",
                redirect="http://127.0.0.1:49217/callback",
                read_callback=person.agree,
                store=auth.FileStore(tmp_path / "auth"),
            )
            assert await call(server.url, hook) == "ada mcp:basic"
            assert len(server.tokens) == number + 1
            server.revoked = set(server.tokens)
    assert person.sign_ins == 1
    assert server.statuses == [401] * 4


async def test_a_refresh_token_that_was_stolen_and_used_means_a_new_sign_in(tmp_path: Path) -> None:
    person = Person()
    async with provider() as issuer, protected(issuer) as server:
        store = auth.MemoryStore()
        hook = auth.OAuth(read_callback=person.agree, store=store)
        assert await call(server.url, hook) == "ada mcp:basic"
        stolen = auth.MemoryStore()
        stolen._entries = dict(store._entries)
        server.revoked = set(server.tokens)
        assert await call(server.url, auth.OAuth(read_callback=person.agree, store=stolen)) == "ada mcp:basic"
        assert person.sign_ins == 1
        server.revoked = set(server.tokens)
        assert await call(server.url, hook) == "ada mcp:basic"
    assert person.sign_ins == 2


async def test_a_provider_that_has_forgotten_everything_is_registered_at_anew() -> None:
    person = Person()
    store = auth.MemoryStore()
    async with provider() as issuer:
        pass  # for a port
    port = int(issuer.rpartition(":")[2])
    async with protected(issuer) as server:
        for sign_ins in (1, 2):
            async with provider(port=port):
                hook = auth.OAuth(read_callback=person.agree, store=store)
                assert await call(server.url, hook, 2) == "ada mcp:basic"
                assert person.sign_ins == sign_ins
                server.revoked = set(server.tokens)
        with pytest.raises(trimcp.ExchangeFailed, match="cannot be reached"):
            await call(server.url, hook)
        assert await hook.tokens_for(server.url) is not None  # nothing is deleted


async def test_lives_of_seconds() -> None:
    person = Person()
    async with provider(life=3) as issuer, protected(issuer) as server:
        hook = auth.OAuth(read_callback=person.agree)
        async with trimcp.connect(server.url, auth=hook) as client:
            while len(server.tokens) < 2:
                assert (await client.call_tool("whoami")).text == "ada mcp:basic"
    assert person.sign_ins == 1


SHARER = """
import sys, trio, trimcp
from trimcp import auth

async def nobody(url):
    raise AssertionError("a sign-in")

async def main(url, directory):
    hook = auth.OAuth(client_id="desktop", read_callback=nobody, store=auth.FileStore(directory))
    async with trimcp.connect(url, auth=hook) as client:
        auth.Tokens.is_due = True  # as if the time had passed: each request renews
        for _ in range(10):
            await client.call_tool("whoami")
    print("done")

trio.run(main, *sys.argv[1:])
"""


async def test_two_processes_share_a_refresh_token_that_rotates(tmp_path: Path) -> None:
    """The provider revokes all tokens when a refresh token is used twice."""
    person = Person()
    async with provider() as issuer, protected(issuer) as server:
        store = auth.FileStore(tmp_path / "auth")
        redirect = "http://127.0.0.1:49217/callback"

        def hook() -> auth.OAuth:
            return auth.OAuth(client_id="desktop", read_callback=person.agree, store=store, redirect=redirect)

        assert await call(server.url, hook()) == "ada mcp:basic"
        said: list[bytes] = []

        async def share() -> None:
            command = [sys.executable, "-c", SHARER, server.url, str(tmp_path / "auth")]
            done = await trio.run_process(
                command, env=environment(), stdin=subprocess.DEVNULL, capture_stdout=True, capture_stderr=True
            )
            said.append(done.stdout)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(share)
            nursery.start_soon(share)
        assert said == [b"done\n"] * 2
        assert len(server.tokens) >= 20
        server.revoked = set(server.tokens)
        assert await call(server.url, hook()) == "ada mcp:basic"
    assert person.sign_ins == 1


async def test_a_person_signs_in_on_another_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trimcp.auth.client.device_flow.DEFAULT_INTERVAL", 0.01)
    person = Person()
    async with provider() as issuer, protected(issuer) as server:
        hook = auth.DeviceFlow(client_id="desktop", show=person.enter_code)
        assert await call(server.url, hook) == "ada mcp:basic"
        server.revoked = set(server.tokens)
        assert await call(server.url, hook) == "ada mcp:basic"
    assert person.sign_ins == 1


async def test_a_program_has_a_secret() -> None:
    async with provider() as issuer, protected(issuer) as server:
        hook = auth.ClientCredentials("program", SECRET)
        assert await call(server.url, hook) == "program mcp:basic"
        server.revoked = set(server.tokens)
        assert await call(server.url, hook) == "program mcp:basic"
        assert len(server.tokens) == 2
        with pytest.raises(trimcp.ExchangeFailed, match="invalid_client") as raised:
            await call(server.url, auth.ClientCredentials("program", f"{SECRET}-not"))
        assert "canary" not in str(raised.value)


@pytest.mark.parametrize("nonces", [False, True])
async def test_tokens_are_bound_to_a_key(nonces: bool) -> None:
    person = Person()
    async with provider(nonces=nonces) as issuer, protected(issuer) as server:
        store = auth.MemoryStore()
        for hook in (
            auth.OAuth(read_callback=person.agree, dpop=True, store=store),
            auth.OAuth(read_callback=person.agree, dpop=True, store=store),
            auth.ClientCredentials("program", SECRET, dpop=True),
        ):
            assert (await call(server.url, hook, 2)).endswith("mcp:basic")
            server.revoked = set(server.tokens)
            assert (await call(server.url, hook)).endswith("mcp:basic")
    assert person.sign_ins == 1


async def test_without_registration_the_error_says_what_to_do() -> None:
    async with provider(registers=False) as issuer, protected(issuer) as server:
        with pytest.raises(trimcp.ExchangeFailed, match="pass client_id=…"):
            await call(server.url, auth.OAuth(read_callback=Person().agree))


async def test_nothing_secret_is_in_any_log(logged: Logged, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    person = Person()
    async with provider() as issuer, protected(issuer) as server:
        hook = auth.OAuth(read_callback=person.agree)
        assert await call(server.url, hook) == "ada mcp:basic"
        tokens = await hook.tokens_for(server.url)
        assert tokens is not None
        assert tokens.refresh_token is not None
        # The browser of this test logs its URLs; what trimcp sends is in forms and header fields.
        ours = "\n".join(line for line in caplog.text.splitlines() if "/auth" not in line and "callback" not in line)
        for secret in (tokens.access_token[:20], tokens.refresh_token[:8]):
            assert secret not in ours
            assert secret not in str(logged)
