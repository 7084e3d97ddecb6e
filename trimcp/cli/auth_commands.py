"""The commands that sign a person in at a server, and out: `login`, `logout` and `whoami`."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import trio

import trimcp
from trimcp.auth.client.device_flow import DeviceFlow, DevicePrompt, ShowPrompt
from trimcp.auth.client.grant import TokenOptions
from trimcp.auth.client.known_server import BoundTokens, KnownServer, client_key, put, stored_tokens
from trimcp.auth.client.registration import Registration
from trimcp.auth.client.token_auth import TokenAuth
from trimcp.auth.client.tokens import Tokens
from trimcp.auth.client.urls import http_url
from trimcp.auth.errors import AuthorizationFailed
from trimcp.cli import Command
from trimcp.cli import exit_codes as exits
from trimcp.cli.client_command import headers_of
from trimcp.cli.stored_sign_in import SCHEMES, token_store
from trimcp.cli.terminal import Terminal, print_json, show
from trimcp.cli.terminal_oauth import TerminalOAuth
from trimcp.errors import RequestTimedOut, TrimcpError, UsageError
from trimcp.http.client.auth import AUTHORIZATION, AuthChallenge, AuthRequest

VARIABLE: Final = "TRIMCP_CLIENT_SECRET"
"""The environment variable with the secret of the client that `login --client-id` names."""

# --- login ----------------------------------------------------------------------------

_LOGIN: Final = """\
Sign in at a server. The other commands use what is stored then, and renew it.

  trimcp login https://notes.example/mcp
  trimcp login https://notes.example/mcp --device
  trimcp login https://notes.example/mcp --client-id 9f2c --client-secret-file secret.txt
  trimcp list https://notes.example/mcp"""


def _configure_login(parser: argparse.ArgumentParser) -> None:
    _configure_url(parser)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--device", action="store_true", help="show a code to enter on another device")
    how.add_argument("--paste", action="store_true", help="show an address, and read where the browser was sent to")
    parser.add_argument(
        "--scope", action="append", default=[], metavar="SCOPE", help="a scope to ask for; may be repeated"
    )
    parser.add_argument("--client-id", metavar="ID", help="the client id, if one was registered by hand")
    parser.add_argument(
        "--client-secret-file",
        metavar="FILE",
        help=f"its secret is in this file, or in the variable {VARIABLE}",
    )
    parser.add_argument(
        "--issuer", help="the authorization server to use, such as the one where the client was registered"
    )
    parser.add_argument("--dpop", action="store_true", help="bind the token to a key of this machine")
    parser.add_argument(
        "--header", action="append", default=[], metavar="NAME: VALUE", help="a header field to send to the server"
    )


def _configure_url(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", metavar="URL", help="of the server: http, https, ws or wss")


def _signing_in(options: argparse.Namespace, terminal: Terminal) -> TokenAuth:
    scopes = [scope for words in options.scope for scope in words.split()]
    given: TokenOptions = {
        "store": token_store(),
        "scopes": scopes or None,
        "dpop": options.dpop,
        "issuer": options.issuer,
    }
    client, secret = options.client_id, _client_secret(options)
    if options.device:
        return DeviceFlow(client_id=client, client_secret=secret, show=_teller(terminal), **given)
    return TerminalOAuth(
        terminal, login=options.url, pastes=options.paste, always=True, client_id=client, client_secret=secret, **given
    )


def _client_secret(options: argparse.Namespace) -> str | None:
    """Return the secret of the client that `--client-id` names: never from an argument, which other users can read."""
    file = options.client_secret_file
    if options.client_id is None:
        if file is not None:
            raise UsageError("--client-secret-file needs --client-id: give the id that the secret belongs to")
        return None
    if file is None:
        return os.environ.get(VARIABLE) or None
    try:
        secret = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as exc:
        raise UsageError(f"--client-secret-file {file} cannot be read: {type(exc).__name__}") from None
    if not secret:
        raise UsageError(f"--client-secret-file {file} is empty: put the secret into it")
    return secret


def _teller(terminal: Terminal) -> ShowPrompt:
    async def tell(prompt: DevicePrompt) -> None:
        terminal.say(f"Open {prompt.verification_uri} on any device, and enter the code {prompt.user_code}")
        if prompt.verification_uri_complete is not None:
            terminal.say(f"The address with the code in it: {prompt.verification_uri_complete}")

    return tell


async def _login(options: argparse.Namespace) -> int:
    terminal = Terminal()
    url = options.url
    auth = _signing_in(options, terminal)
    headers = headers_of(options.header)
    if any(name.lower() == AUTHORIZATION.lower() for name in headers):
        raise UsageError("login gets a token for the field Authorization: leave that --header out")
    try:
        async with trimcp.connect(url, auth=auth, headers=headers, name="trimcp-cli", version=trimcp.__version__):
            pass
    except (UsageError, RequestTimedOut):
        raise
    except TrimcpError as exc:
        raise exits.refusal_in(exc) or exits.Unreached(str(exc)) from exc
    tokens = await auth.tokens_for(url)
    wanted = " ".join(options.scope)
    if tokens is None:  # it answers without a token, and may want one for a tool
        await auth.challenged(_challenge(url, 401, "Bearer"))
    elif not tokens.covers(wanted):
        more = f'Bearer error="insufficient_scope", scope="{wanted}"'
        if not await auth.challenged(_challenge(url, 403, more)):
            raise AuthorizationFailed("the server's authorization server does not give these scopes: leave some out")
    known = await stored_tokens(token_store(), http_url(url))
    if known is None:
        raise AuthorizationFailed(f"nothing is stored for {url}: try again")
    if options.client_id is not None:
        await _keep_client(known, _client_secret(options))
    terminal.say(f"signed in at {url}: trimcp whoami {url} shows as which client")
    return exits.OK


def _challenge(url: str, status: int, text: str) -> AuthChallenge:
    request = AuthRequest(method="POST", url=url, server_url=url)
    return AuthChallenge(status=status, www_authenticate=text, request=request, sent={}, headers={})


async def _keep_client(known: BoundTokens, secret: str | None) -> None:
    """Keep a client that was registered by hand, so that other commands can renew its tokens."""
    issuer, client_id = known.binding.issuer, known.binding.client_id
    client = Registration(client_id=client_id, client_secret=secret)
    await put(token_store(), client_key(issuer, client_id), client.to_json())


# --- logout ---------------------------------------------------------------------------

_LOGOUT: Final = """\
Forget the tokens for a server. They are not revoked: the authorization server may have a page for that.

  trimcp logout https://notes.example/mcp"""


async def _logout(options: argparse.Namespace) -> int:
    store = token_store()
    was_there = await stored_tokens(store, http_url(options.url)) is not None
    await KnownServer(http_url(options.url), store, dpop=False, unattended=False).forget()
    Terminal().say(f"signed out of {options.url}" if was_there else f"no sign-in is stored for {options.url}")
    return exits.OK


# --- whoami ---------------------------------------------------------------------------

_WHOAMI: Final = """\
Show which sign-in is stored for a server: no secret, and without a request.

  trimcp whoami https://notes.example/mcp"""


def _configure_whoami(parser: argparse.ArgumentParser) -> None:
    _configure_url(parser)
    parser.add_argument("--json", action="store_true", help="print it as JSON, on stdout")


async def _whoami(options: argparse.Namespace) -> int:
    known = await stored_tokens(token_store(), http_url(options.url))
    if known is None:
        raise AuthorizationFailed(f"no sign-in is stored for {options.url}: trimcp login {options.url}")
    tokens, binding = known.tokens, known.binding
    scope = tokens.scope if tokens.scope is not None else tokens.requested
    if options.json:
        print_json(
            {
                "issuer": binding.issuer,
                "resource": binding.resource,
                "client": binding.client_id,
                "scopes": (scope or "").split(),
                "expiresAt": None if tokens.expires_at is None else int(tokens.expires_at),
                "renewable": tokens.refresh_token is not None,
            }
        )
        return exits.OK
    show(f"issuer    {binding.issuer}")
    show(f"resource  {binding.resource}")
    show(f"client    {binding.client_id}")
    show(f"scopes    {scope or 'none are known'}")
    show(f"expires   {_expiry(tokens)}")
    return exits.OK


def _expiry(tokens: Tokens) -> str:
    renewed = ", then it is renewed" if tokens.refresh_token is not None else ""
    if tokens.expires_at is None:
        return "the server did not say"
    at = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(tokens.expires_at))
    return f"{at}{', which is over' if tokens.is_expired and not renewed else renewed}"


def _command(
    description: str,
    configure: Callable[[argparse.ArgumentParser], None],
    work: Callable[[argparse.Namespace], Awaitable[int]],
    examples: str,
) -> Command:
    def run(options: argparse.Namespace) -> int:
        if not options.url.lower().startswith(SCHEMES):
            raise UsageError("signing in is for servers at a URL: give http(s)://… or ws(s)://…")
        return trio.run(work, options)

    return Command(description, configure, run, examples)


COMMANDS: Final = {
    "login": _command(
        _LOGIN,
        _configure_login,
        _login,
        "  trimcp login https://notes.example/mcp\n  trimcp login https://notes.example/mcp --device",
    ),
    "logout": _command(_LOGOUT, _configure_url, _logout, "  trimcp logout https://notes.example/mcp"),
    "whoami": _command(_WHOAMI, _configure_whoami, _whoami, "  trimcp whoami https://notes.example/mcp --json"),
}
