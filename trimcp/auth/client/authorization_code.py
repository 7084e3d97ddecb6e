"""The authorization code flow with PKCE: from the authorization URL to the code, and its checks.

basic/authorization of 2026-07-28; RFC 7636 (PKCE), RFC 9207 (`iss`), RFC 8252 (native programs).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import inspect
import secrets
import webbrowser
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlencode, urlsplit

import attrs
import trio

from trimcp.auth.client.callback import Callback, ReadCallback, open_callback_listener
from trimcp.auth.client.discovery import AuthorizationServer
from trimcp.auth.client.registration import describe, error_code
from trimcp.auth.client.urls import check_url
from trimcp.auth.errors import AuthorizationFailed

OpenUrl = Callable[[str], None] | Callable[[str], Awaitable[None]]
"""A function, async or not, that shows a URL to a person."""

LONGEST_CODE: Final = 8192


@attrs.frozen(repr=False)
class PendingFlow:
    """One sign-in under way: what its redirect and its token request are checked against."""

    issuer: str
    sends_issuer: bool
    state: str = attrs.field(factory=lambda: secrets.token_urlsafe(32))
    verifier: str = attrs.field(factory=lambda: secrets.token_urlsafe(48))

    @property
    def challenge(self) -> str:
        """The challenge of PKCE: S256 of the verifier."""
        digest = hashlib.sha256(self.verifier.encode("ascii")).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")

    def code_of(self, callback: Callback) -> str:
        """Check a redirect and return its code.

        Raises:
            AuthorizationFailed: it is of another flow or another issuer, or the server refuses. Of a redirect with
                another issuer no text is shown.
        """
        given = callback.parameters
        if not hmac.compare_digest(given.get("state", "").encode(), self.state.encode()):
            raise AuthorizationFailed("The redirect has another state than this sign-in: begin again")
        issuer = given.get("iss")
        if issuer is None and self.sends_issuer:
            raise AuthorizationFailed(
                f"The redirect names no issuer, though {self.issuer!r} says that it does: the sign-in ends here"
            )
        if issuer is not None and issuer != self.issuer:
            raise AuthorizationFailed(
                f"The redirect is of another issuer than {self.issuer!r}: the sign-in ends here, since its code could "
                "be for an attacker"
            )
        if "error" in given:
            raise AuthorizationFailed(
                f"The authorization server {self.issuer!r} refuses the sign-in{describe(given)}", error_code(given)
            )
        code = given.get("code", "")
        if not code or len(code) > LONGEST_CODE:
            raise AuthorizationFailed(f"The redirect of {self.issuer!r} has no code")
        return code


def authorization_endpoint(server: AuthorizationServer) -> str:
    """Return where a person signs in, of a server that supports PKCE.

    Raises:
        AuthorizationFailed: the server has no such endpoint, or does not support PKCE with S256.
    """
    if server.authorization_endpoint is None:
        raise AuthorizationFailed(f"The authorization server {server.issuer!r} has no authorization endpoint")
    if not server.supports_s256:
        raise AuthorizationFailed(
            f"The authorization server {server.issuer!r} does not say that it supports PKCE with S256: MCP demands it"
        )
    return server.authorization_endpoint


def authorization_url(
    server: AuthorizationServer,
    flow: PendingFlow,
    *,
    client_id: str,
    redirect_uri: str,
    scope: str | None,
    resource: str | None,
    dpop_thumbprint: str | None = None,
) -> str:
    """Return the URL at which a person signs in.

    Raises:
        AuthorizationFailed: as `authorization_endpoint`; or its endpoint may not be opened.
    """
    endpoint = check_url(authorization_endpoint(server), "authorization endpoint")
    parameters = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "state": flow.state,
        "code_challenge": flow.challenge,
        "code_challenge_method": "S256",
        **({} if scope is None else {"scope": scope}),
        **({} if resource is None else {"resource": resource}),
        **({} if dpop_thumbprint is None else {"dpop_jkt": dpop_thumbprint}),
    }
    parts = urlsplit(endpoint)
    query = "&".join([*([parts.query] if parts.query else []), urlencode(parameters)])
    return parts._replace(query=query).geturl()


async def open_in_browser(url: str) -> None:
    """Open a URL in the browser of the machine, without a shell.

    Raises:
        AuthorizationFailed: there is no browser.
    """
    try:
        is_open = await trio.to_thread.run_sync(webbrowser.open, url, abandon_on_cancel=True)
    except (webbrowser.Error, OSError):
        is_open = False
    if not is_open:
        raise AuthorizationFailed(
            "No browser can be opened here: pass read_callback=… to paste the address, or use trimcp.auth.DeviceFlow"
        )


class SignIn:
    """Has a person sign in, by a browser and a listener on loopback, or by a pasted address."""

    def __init__(self, redirect: str, open_url: OpenUrl | None, read_callback: ReadCallback | None) -> None:
        """`read_callback`: returns the URL of the redirect, in place of the listener."""
        self._redirect = redirect
        self._open_url = open_url
        self._read_callback = read_callback

    async def callback(
        self, flow: PendingFlow, url_for: Callable[[str], Awaitable[str]], *, port: int | None
    ) -> tuple[Callback, str]:
        """Have a person sign in.

        Args:
            flow: whose state the redirect must have.
            url_for: makes the authorization URL for a redirect URI.
            port: preferred for the listener.

        Returns:
            The redirect, and the redirect URI that was used.

        Raises:
            AuthorizationFailed: the port is in use, there is no browser, or the pasted URL is invalid.
        """
        if self._read_callback is not None:
            url = await url_for(self._redirect)
            if self._open_url is not None:
                await self._open(url)
            return Callback.of_url(await self._read_callback(url)), self._redirect
        async with open_callback_listener(self._redirect, flow.state, port=port) as listener:
            await self._open(await url_for(listener.redirect_uri))
            return await listener.wait(), listener.redirect_uri

    async def _open(self, url: str) -> None:
        result = open_in_browser(url) if self._open_url is None else self._open_url(url)
        if inspect.isawaitable(result):
            await result
