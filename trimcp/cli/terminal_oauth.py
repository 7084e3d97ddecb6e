"""`TerminalOAuth`: signs the person at the terminal in."""

from __future__ import annotations

import shlex
from typing import Any
from urllib.parse import urlsplit

from trimcp.auth.client.authorization_code import open_in_browser
from trimcp.auth.client.grant import Grant, Obtained
from trimcp.auth.client.oauth import OAuth
from trimcp.auth.errors import AuthorizationFailed
from trimcp.cli.terminal import Terminal


class TerminalOAuth(OAuth):
    """Signs the person at the terminal in by the browser; where there is no terminal, it uses stored tokens alone."""

    def __init__(
        self,
        terminal: Terminal,
        *,
        login: str,
        pastes: bool = False,
        always: bool = False,
        **options: Any,
    ) -> None:
        """Prepare sign-ins.

        Args:
            terminal: where the person is told what to do.
            login: the URL of the server, for the command that signs in.
            pastes: whether the person pastes the address that the browser was sent to.
            always: whether a person signs in also where stdin is no terminal.
            options: of `OAuth`.
        """
        options.setdefault("client_name", "trimcp")
        how: dict[str, Any] = {"read_callback": self._paste} if pastes else {"open_url": self._open}
        super().__init__(**(options | how))
        self._terminal = terminal
        self._login = login
        self._may_ask = always or terminal.is_interactive

    async def _obtain(self, grant: Grant) -> Obtained:
        if not self._may_ask:
            raise AuthorizationFailed(self._how_to_sign_in(grant))
        async with self._terminal.asking():
            host = urlsplit(self._login).hostname
            self._terminal.say(f"{host} wants to know who you are. Please sign in at {grant.server.issuer}")
            obtained = await super()._obtain(grant)
            self._terminal.say("You are signed in.")
            return obtained

    def _how_to_sign_in(self, grant: Grant) -> str:
        command = f"trimcp login {self._login}"
        tokens = [server.current.tokens for server in self._servers.values() if server.current is not None]
        if grant.scope is None or all(each.covers(grant.scope) for each in tokens):
            return f"sign in first: {command}"
        return f"the token has too few scopes, so sign in again: {command} --scope {shlex.quote(grant.scope)}"

    async def _open(self, url: str) -> None:
        self._terminal.say(f"Your browser opens the page. If none does, open this address yourself:\n\n  {url}\n")
        try:
            await open_in_browser(url)
        except AuthorizationFailed:
            self._terminal.say(
                "No browser can be opened here. If yours is on another machine, press Ctrl-C, and run\n"
                f"  trimcp login {self._login} --device    or, where the server has no codes, with --paste"
            )

    async def _paste(self, url: str) -> str:
        self._terminal.say(
            f"Open this address, and sign in:\n\n  {url}\n\n"
            "Your browser then shows a page that it cannot load. Copy the whole address of that page."
        )
        pasted = await self._terminal.ask("Paste it here: ")
        if pasted is None or not pasted.strip():
            raise AuthorizationFailed("no address was pasted: begin again")
        return pasted
