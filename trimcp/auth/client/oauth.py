"""`OAuth`: signs a person in by the browser.

basic/authorization of each revision since 2025-03-26; RFC 6749, RFC 7636.
"""

from __future__ import annotations

from typing import Final, Unpack
from urllib.parse import urlsplit

from trimcp.auth.client.authorization_code import (
    OpenUrl,
    PendingFlow,
    SignIn,
    authorization_endpoint,
    authorization_url,
)
from trimcp.auth.client.callback import ReadCallback, check_redirect
from trimcp.auth.client.delegated import Delegated
from trimcp.auth.client.grant import Grant, Obtained, TokenOptions
from trimcp.auth.client.registration import ClientIdentity, Registration

REDIRECT: Final = "http://127.0.0.1:0/callback"
PASTED_PORT: Final = 49217
"""The port of the redirect URI where its address is pasted, in place of 0."""


class OAuth(Delegated):
    """Signs a person in at the authorization server of an MCP server, by the browser.

        auth = trimcp.auth.OAuth(client_name="Notes", store=trimcp.auth.FileStore())
        async with trimcp.connect("https://notes.example/mcp", auth=auth) as client: ...

    One object may serve any number of clients. Sign-ins at one server wait for each other.
    """

    _grant_type = "authorization_code"

    def __init__(
        self,
        *,
        client_name: str = "trimcp",
        client_metadata_url: str | None = None,
        client_id: str | None = None,
        client_secret: str | None = None,
        redirect: str = REDIRECT,
        open_url: OpenUrl | None = None,
        read_callback: ReadCallback | None = None,
        **options: Unpack[TokenOptions],
    ) -> None:
        """Prepare sign-ins. Nothing is requested before a server asks for a token.

        Args:
            client_name: shown to the person who signs in.
            client_metadata_url: the https URL of the client's metadata document, which is its id at authorization
                servers that take one.
            client_id: registered by hand at the authorization server.
            client_secret: of that id, if it has one.
            redirect: where the browser returns to, on loopback; port 0 means a free port.
            open_url: shows the authorization URL to the person; default: the browser of the machine.
            read_callback: an async function that is given the authorization URL and returns the URL that the browser
                was sent to; default: a listener on `redirect`.
            options: see `TokenOptions`.

        Raises:
            UsageError: an argument is invalid, or a secret is given without an id.
        """
        redirect = _pasted(redirect) if read_callback is not None else check_redirect(redirect)
        super().__init__(
            ClientIdentity(
                client_name=client_name,
                client_id=client_id,
                client_secret=client_secret,
                metadata_url=client_metadata_url,
            ),
            **options,
        )
        self._sign_in = SignIn(redirect, open_url, read_callback)

    async def _obtain(self, grant: Grant) -> Obtained:
        server = grant.server
        await grant.http.check_reach(authorization_endpoint(server), "authorization endpoint")
        flow = PendingFlow(server.issuer, server.sends_issuer)
        registration = await self._registration(server)

        async def url_for(redirect_uri: str) -> str:
            nonlocal registration
            # Many servers compare the redirect URI with its port, which may be in use by now.
            if registration is None or (registration.is_dynamic and registration.redirect_uri != redirect_uri):
                registration = await self._register(grant, redirect_uri)
            return authorization_url(
                server,
                flow,
                client_id=registration.client_id,
                redirect_uri=redirect_uri,
                scope=grant.scope,
                resource=grant.resource,
                dpop_thumbprint=None if grant.dpop is None else grant.dpop.thumbprint,
            )

        port = _port_of(registration)
        callback, redirect_uri = await self._sign_in.callback(flow, url_for, port=port)
        if registration is None:
            raise AssertionError
        form = {
            "grant_type": self._grant_type,
            "code": flow.code_of(callback),
            "redirect_uri": redirect_uri,
            "code_verifier": flow.verifier,
            "resource": grant.resource,
        }
        tokens = await grant.endpoint(registration).tokens(form, grant.dpop, requested=grant.scope)
        return Obtained(tokens, registration.client_id)


def _port_of(registration: Registration | None) -> int | None:
    """The port of the redirect URI that was registered, which is tried first."""
    if registration is None or registration.redirect_uri is None:
        return None
    try:
        return urlsplit(registration.redirect_uri).port
    except ValueError:
        return None


def _pasted(redirect: str) -> str:
    """The redirect URI where its address is pasted: nothing listens there, but port 0 is no address of a browser."""
    if urlsplit(redirect).scheme != "https":  # else it is a page of the program's, which hands the address over
        redirect = check_redirect(redirect)
    return redirect.replace(":0/", f":{PASTED_PORT}/", 1)
