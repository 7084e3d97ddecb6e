"""The hook of client commands: it sends the token that `trimcp login` has stored for a server."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from trimcp.errors import UsageError
from trimcp.http.client.auth import AUTHORIZATION, AuthChallenge, AuthRequest, ClientAuth

if TYPE_CHECKING:
    from trimcp.auth.client.oauth import OAuth
    from trimcp.auth.file_store import FileStore
    from trimcp.cli.terminal import Terminal

DIRECTORY: Final = "TRIMCP_AUTH_DIR"
"""The environment variable that names the directory of tokens."""
SCHEMES: Final = ("http://", "https://", "ws://", "wss://")
_NEEDED: Final = ("httpx2", "joserfc", "filelock", "platformdirs")


def is_installed() -> bool:
    """Return whether the extra `auth` is installed."""
    return all(importlib.util.find_spec(name) is not None for name in _NEEDED)


def token_store() -> FileStore:
    """Return the store of the command line: TRIMCP_AUTH_DIR, or the user's directory for data."""
    from trimcp.auth.file_store import FileStore

    return FileStore(os.environ.get(DIRECTORY) or None)


def sign_in_for(target: object, settings: Mapping[str, Any], terminal: Terminal) -> ClientAuth | None:
    """Return the hook for a target; None where it is no URL, or where other credentials are sent."""
    if not isinstance(target, str) or not target.lower().startswith(SCHEMES) or settings.get("auth") is not None:
        return None
    if any(name.lower() == AUTHORIZATION.lower() for name in settings.get("headers") or {}):
        return None
    if "@" in target.partition("://")[2].partition("/")[0] or not is_installed():
        return None
    return StoredSignIn(terminal, target)


class StoredSignIn(ClientAuth):
    """Sends the stored token of a server; has a person sign in where the server wants that.

    Nothing of OAuth is imported before there is a token or a challenge.
    """

    def __init__(self, terminal: Terminal, url: str) -> None:
        self._terminal = terminal
        self._url = url
        self._store = token_store()
        self._oauth: OAuth | None = None

    async def headers(self, request: AuthRequest) -> Mapping[str, str]:
        """See `ClientAuth`."""
        if self._oauth is None and not Path(self._store.directory).exists():  # noqa: ASYNC240 - one look at a local path
            return {}
        return await (await self._signing_in()).headers(request)

    async def challenged(self, challenge: AuthChallenge) -> bool:
        """See `ClientAuth`."""
        return await (await self._signing_in()).challenged(challenge)

    def responded(self, request: AuthRequest, headers: Mapping[str, str]) -> None:
        """See `ClientAuth`."""
        if self._oauth is not None:
            self._oauth.responded(request, headers)

    async def _signing_in(self) -> OAuth:
        if self._oauth is None:
            from trimcp.auth.client.known_server import stored_tokens
            from trimcp.auth.client.urls import http_url
            from trimcp.cli.terminal_oauth import TerminalOAuth

            known = await stored_tokens(self._store, http_url(self._url))
            if self._oauth is None:  # no other request was faster
                dpop = known is not None and known.dpop is not None
                self._oauth = TerminalOAuth(self._terminal, login=self._url, store=self._store, dpop=dpop)
        return self._oauth


def configured_sign_in(terminal: Terminal, value: object, path: str, url: str) -> ClientAuth:
    """Return the hook that the `auth` of a configuration stands for, with the tokens of the command line.

    Raises:
        UsageError: the value is invalid.
    """
    if not is_installed():
        raise UsageError.not_installed(f"{path}: the extra auth", "auth")
    from trimcp.auth.client.configuration import oauth_of_configuration
    from trimcp.cli.terminal_oauth import TerminalOAuth

    make = partial(TerminalOAuth, terminal, login=url)
    return oauth_of_configuration(value, path, store=token_store(), make=make)
