"""Signing in and out on the command line, and the commands that use what is stored."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest
import trio

from tests.cli.conftest import Run, Typist
from tests.programs import ROOT
from trimcp import auth
from trimcp.auth.client.client_pin import pin_key
from trimcp.auth.client.known_server import put
from trimcp.cli import stored_sign_in, terminal_oauth
from trimcp.cli.terminal import Terminal

Typing = Callable[..., Typist]


@pytest.fixture(scope="module")
def notes() -> Iterator[str]:
    """A server that wants a sign-in; the value is its URL."""
    command = [sys.executable, "-m", "tests.cli.protected"]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, cwd=ROOT, text=True, env={**os.environ}
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        url = process.stdout.readline().strip()
        assert url.startswith("http://")
        yield url
        process.stdin.close()
        process.wait(30)


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A browser whose user agrees; the value is what it has opened."""
    opened: list[str] = []

    async def agree(url: str) -> None:
        opened.append(url)
        async with httpx2.AsyncClient(follow_redirects=True) as client:
            assert (await client.get(url)).status_code == 200

    monkeypatch.setattr(terminal_oauth, "open_in_browser", agree)
    return opened


def secrets_in(directory: Path) -> list[str]:
    """The tokens that are stored."""
    found = [json.loads(path.read_bytes())["value"] for path in directory.glob("*.json")]
    return [value[name] for value in found for name in ("access_token", "refresh_token") if value.get(name)]


def test_who_has_signed_in_uses_the_token_until_signing_out(
    run: Run, notes: str, browser: list[str], tokens: Path
) -> None:
    done = run("login", notes, "--scope", "notes notes:write")
    assert (done.code, done.out) == (0, "")
    assert f"signed in at {notes}" in done.err
    assert len(browser) == 1 and browser[0] in done.err
    assert run("call", notes, "write").out == "written\n"
    assert run("ping", notes).code == 0
    shown = run("whoami", notes)
    assert shown.code == 0
    assert f"resource  {notes}\n" in shown.out
    assert "scopes    notes notes:write\n" in shown.out
    assert "UTC, then it is renewed\n" in shown.out
    told = run("whoami", notes, "--json")
    assert told.json["scopes"] == ["notes", "notes:write"]
    secrets = secrets_in(tokens)
    assert len(secrets) == 2
    assert not any(secret in text for secret in secrets for text in (done.err, shown.out, told.out))
    assert len(browser) == 1
    assert run("logout", notes).err == f"signed out of {notes}\n"
    assert secrets_in(tokens) == []
    assert run("logout", notes).err == f"no sign-in is stored for {notes}\n"
    gone = run("whoami", notes)
    assert (gone.code, gone.err) == (3, f"trimcp: no sign-in is stored for {notes}: trimcp login {notes}\n")


def test_another_login_may_ask_for_more(run: Run, notes: str, browser: list[str], tokens: Path) -> None:
    assert run("login", notes).code == 0
    assert run("login", notes).code == 0
    assert len(browser) == 1
    assert run("login", notes, "--scope", "notes:admin").code == 0
    assert len(browser) == 2
    assert set(run("whoami", notes, "--json").json["scopes"]) >= {"notes", "notes:admin"}


def sign_in_by_device(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A person with another device, who agrees; the value is what the terminal says."""
    said: list[str] = []

    async def agree(seconds: float) -> None:
        """In place of the pause between two polls."""
        for address in (word for text in said for word in text.split() if "user_code=" in word):
            async with httpx2.AsyncClient() as client:
                await client.get(address)

    monkeypatch.setattr(Terminal, "say", lambda self, text: said.append(text))
    monkeypatch.setattr(trio, "sleep", agree)
    return said


def test_a_code_is_entered_on_another_device(run: Run, notes: str, monkeypatch: pytest.MonkeyPatch) -> None:
    said = sign_in_by_device(monkeypatch)
    done = run("login", notes, "--device")
    assert done.code == 0, done.err
    assert "/device on any device, and enter the code " in said[0]


@pytest.mark.parametrize("pastes", [True, False])
def test_the_address_of_the_redirect_is_pasted(
    run: Run, notes: str, monkeypatch: pytest.MonkeyPatch, pastes: bool
) -> None:
    said: list[str] = []
    monkeypatch.setattr(Terminal, "say", lambda self, text: said.append(text))

    async def ask(self: Terminal, prompt: str) -> str | None:
        url = next(word for text in said for word in text.split() if "code_challenge=" in word)
        async with httpx2.AsyncClient() as client:
            redirect = (await client.get(url)).headers["location"]
        return redirect if pastes else None

    monkeypatch.setattr(Terminal, "ask", ask)
    done = run("login", notes, "--paste")
    assert done.code == (0 if pastes else 3)
    assert pastes or done.err == "trimcp: no address was pasted: begin again\n"


def test_without_a_terminal_a_command_says_how_to_sign_in(run: Run, notes: str, browser: list[str]) -> None:
    done = run("list", notes)
    assert (done.code, done.out) == (3, "")
    assert done.err == f"trimcp: sign in first: trimcp login {notes}\n"
    assert browser == []


def test_without_a_terminal_a_command_says_which_scopes_it_lacks(run: Run, notes: str, browser: list[str]) -> None:
    assert run("login", notes).code == 0
    refused = run("call", notes, "write")
    command = f"trimcp login {notes} --scope 'notes notes:write'"
    assert (refused.code, refused.out) == (3, "")
    assert refused.err == f"trimcp: the token has too few scopes, so sign in again: {command}\n"
    assert run(*shlex.split(command)[1:]).code == 0
    assert run("call", notes, "write").out == "written\n"


def test_at_a_terminal_a_command_signs_in(run: Run, notes: str, browser: list[str], typing: Typing) -> None:
    typing()
    done = run("call", notes, "whoami")
    assert done.code == 0
    assert "ada" in done.out
    assert "127.0.0.1 wants to know who you are. Please sign in at http://" in done.err
    assert len(browser) == 1
    assert run("call", notes, "whoami").err == ""
    assert len(browser) == 1


def test_a_header_goes_before_what_is_stored(run: Run, notes: str, browser: list[str]) -> None:
    assert run("login", notes).code == 0
    done = run("list", notes, "--header", "Authorization: Bearer another")
    assert done.code == 3
    assert "sign in first" not in done.err


def test_a_server_without_a_sign_in_stores_nothing(run: Run, shop: str, browser: list[str], tokens: Path) -> None:
    done = run("login", shop)
    assert done.code == 3
    assert browser == [] and secrets_in(tokens) == []


def test_a_sign_in_is_for_servers_at_a_url(run: Run) -> None:
    for name in ("login", "logout", "whoami"):
        done = run(name, "adder.py")
        assert (done.code, done.out) == (2, "")
        assert "for servers at a URL" in done.err


def test_a_server_that_is_not_there_is_not_reached(run: Run, tokens: Path) -> None:
    assert run("login", "http://127.0.0.1:9/mcp").code == 3


def test_the_extra_is_named_where_it_is_missing(run: Run, shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_sign_in, "_NEEDED", ("no_such_module",))
    assert run("ping", shop).code == 0
    monkeypatch.delitem(sys.modules, "trimcp.cli.auth_commands")
    monkeypatch.setitem(sys.modules, "trimcp.auth.client.device_flow", None)
    done = run("login", shop)
    assert (done.code, done.err) == (
        2,
        "trimcp: trimcp.auth.client.device_flow is not installed: run pip install '.[auth]' in a checkout of trimcp\n",
    )


def test_a_configuration_with_auth_uses_what_is_stored(
    run: Run, notes: str, browser: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "mcp.json"
    file.write_text(json.dumps({"mcpServers": {"notes": {"url": notes, "auth": {"scopes": ["notes"]}}}}))
    refused = run("list", "notes", "--config", str(file))
    assert refused.code == 3
    assert f"sign in first: trimcp login {notes}\n" in refused.err
    assert run("login", notes).code == 0
    assert "ada" in run("call", "notes", "whoami", "--config", str(file)).out
    assert len(browser) == 1


def test_tokens_of_a_client_that_was_registered_by_hand_are_renewed(
    run: Run, notes: str, browser: list[str], tokens: Path
) -> None:
    assert run("login", notes, "--client-id", "by-hand").code == 0
    assert "client    by-hand\n" in run("whoami", notes).out
    before = secrets_in(tokens)
    make_due(tokens)
    assert run("ping", notes).code == 0
    assert not set(before) & set(secrets_in(tokens))
    assert len(browser) == 1


def test_a_client_that_has_tokens_elsewhere_is_used_where_the_person_says(
    run: Run, notes: str, browser: list[str], tokens: Path
) -> None:
    elsewhere = {"issuer": "https://other.example"}
    trio.run(put, auth.FileStore(tokens), pin_key("by-hand"), elsewhere)
    refused = run("login", notes, "--client-id", "by-hand")
    found = re.search(r"is registered at https://other\.example, .* tokens of (http://\S+):", refused.err)
    assert found is not None
    assert not browser
    assert run("login", notes, "--client-id", "by-hand", "--issuer", found[1]).code == 0
    assert f"issuer    {found[1]}\n" in run("whoami", notes).out


def make_due(directory: Path) -> None:
    """Have the next command renew the token."""
    for path in directory.glob("*.json"):
        entry = json.loads(path.read_bytes())
        if "renew_at" in entry["value"]:
            entry["value"]["renew_at"] = 0.0
            path.write_bytes(json.dumps(entry).encode())


@pytest.mark.parametrize("by_file", [True, False])
def test_a_client_may_have_a_secret_which_logging_out_forgets(
    run: Run,
    notes: str,
    browser: list[str],
    tokens: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    by_file: bool,
) -> None:
    secret, options = "s3cret of %d", ["--client-id", "confidential"]
    if by_file:
        file = tmp_path / "secret.txt"
        file.write_text(f"{secret}\n")
        options += ["--client-secret-file", str(file)]
    else:
        monkeypatch.setenv("TRIMCP_CLIENT_SECRET", secret)
    done = run("login", notes, *options)
    assert done.code == 0, done.err
    monkeypatch.delenv("TRIMCP_CLIENT_SECRET", raising=False)
    before = secrets_in(tokens)
    make_due(tokens)
    again = run("ping", notes)
    assert again.code == 0
    assert not set(before) & set(secrets_in(tokens)), "it was not renewed"
    assert secret not in done.err + done.out + again.err + again.out
    assert any(secret.encode() in path.read_bytes() for path in tokens.glob("*.json"))
    assert run("logout", notes).code == 0
    assert not any(secret.encode() in path.read_bytes() for path in tokens.glob("*.json"))


def test_a_secret_that_cannot_be_is_wrong_usage(
    run: Run, notes: str, browser: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty"
    empty.write_text("\n")
    for options, why in (
        (["--client-secret-file", str(empty)], "needs --client-id"),
        (["--client-id", "x", "--client-secret-file", str(empty)], "is empty"),
        (["--client-id", "x", "--client-secret-file", str(tmp_path / "none")], "cannot be read: FileNotFoundError"),
        (["--header", "Authorization: Bearer x"], "leave that --header out"),
    ):
        done = run("login", notes, *options)
        assert done.code == 2, options
        assert why in done.err
    assert browser == []


def test_a_wrong_secret_is_refused_with_the_code_of_a_refusal(
    run: Run, notes: str, browser: list[str], tokens: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIMCP_CLIENT_SECRET", "a wrong one")
    done = run("login", notes, "--client-id", "confidential")
    assert done.code == 3
    assert "invalid_client" in done.err
    assert "a wrong one" not in done.err
    assert secrets_in(tokens) == []


@pytest.mark.parametrize("device", [False, True])
def test_a_token_may_be_bound_to_a_key_which_other_commands_use(
    run: Run, notes: str, browser: list[str], tokens: Path, monkeypatch: pytest.MonkeyPatch, device: bool
) -> None:
    if device:
        with pytest.MonkeyPatch.context() as patch:
            sign_in_by_device(patch)
            assert run("login", notes, "--dpop", "--device").code == 0
    else:
        assert run("login", notes, "--dpop").code == 0
    kept = [json.loads(path.read_bytes())["value"] for path in tokens.glob("*.json")]
    assert [value["token_type"] for value in kept if "token_type" in value] == ["DPoP"]
    assert "ada" in run("call", notes, "whoami").out
    make_due(tokens)
    assert run("ping", notes).code == 0
    assert "scopes    notes\n" in run("whoami", notes).out
    assert len(browser) == (0 if device else 1)
    assert run("logout", notes).err == f"signed out of {notes}\n"


def test_a_header_field_goes_to_the_server(run: Run, browser: list[str]) -> None:
    seen: list[tuple[str, str | None]] = []

    class Gateway(BaseHTTPRequestHandler):
        """Answers 404, and notes the key."""

        def do_POST(self) -> None:
            seen.append((self.path, self.headers["X-Key"]))
            self.send_error(404)

        do_GET = do_POST

        def log_message(self, *args: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Gateway) as gateway:
        thread = threading.Thread(target=gateway.serve_forever)
        thread.start()
        done = run("login", f"http://127.0.0.1:{gateway.server_port}/mcp", "--header", "X-Key: k3y")
        gateway.shutdown()
        thread.join()
    assert done.code == 3
    assert ("/mcp", "k3y") in seen
    assert "k3y" not in done.err


def test_a_refused_call_and_a_refused_connection_end_alike(
    run: Run, notes: str, browser: list[str], tokens: Path
) -> None:
    assert run("login", notes).code == 0
    token = secrets_in(tokens)[0]
    own = ["--header", f"Authorization: Bearer {token}"]
    assert run("call", notes, "whoami", *own).code == 0
    assert run("read", notes, "x:none", *own).code == 1
    for options in ([], own, ["--header", "Authorization: Bearer of-nobody"]):
        done = run("call", notes, "erase", *options)
        assert (done.code, done.out) == (3, "")
        assert token not in done.err


def test_the_log_shows_nothing_secret(run: Run, notes: str, browser: list[str], tokens: Path) -> None:
    shown = run("login", notes, "--log-level", "debug").err
    make_due(tokens)
    before = secrets_in(tokens)
    shown += run("call", notes, "whoami", "--log-level", "debug").err
    assert "auth.requested" in shown
    assert not any(secret[:10] in shown for secret in (*before, *secrets_in(tokens)) if not secret.startswith("eyJ"))
    assert not any(secret[-20:] in shown for secret in (*before, *secrets_in(tokens)))
    assert "code_verifier" not in shown
