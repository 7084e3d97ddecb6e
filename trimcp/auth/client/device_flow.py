"""`DeviceFlow`: signs a person in on another device, for machines without a browser.

RFC 8628.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Final, Unpack

import attrs
import trio

from trimcp.auth.client.delegated import Delegated
from trimcp.auth.client.grant import Grant, Obtained, TokenOptions
from trimcp.auth.client.registration import ClientIdentity
from trimcp.auth.client.tokens import TokenEndpoint, seconds_of
from trimcp.auth.client.urls import check_url
from trimcp.auth.errors import AuthorizationFailed, AuthorizationServerUnavailable

DEFAULT_INTERVAL = 5.0
"""Seconds between two polls where the server does not say."""
DEFAULT_LIFE: Final = 600.0
"""Seconds that a code may be used where the server does not say."""
_LONGEST_LIFE: Final = 3600.0
"""Seconds that a code is waited for at most."""
_LONGEST_INTERVAL: Final = 60.0
"""Seconds between two polls at most, but where the server says to slow down."""


@attrs.frozen
class DevicePrompt:
    """What a person needs to sign in on another device."""

    verification_uri: str
    """Where to go."""
    user_code: str
    """To type there."""
    verification_uri_complete: str | None
    """The address with the code in it, if the server has one."""
    expires_in: float
    """Seconds until the code ends."""


ShowPrompt = Callable[[DevicePrompt], Awaitable[None]]
"""An async function that shows a prompt to a person."""


class DeviceFlow(Delegated):
    """Signs a person in on another device, by a code (RFC 8628): for machines without a browser."""

    _flow = "device"
    _grant_type = "urn:ietf:params:oauth:grant-type:device_code"

    def __init__(
        self,
        *,
        client_name: str = "trimcp",
        client_metadata_url: str | None = None,
        client_id: str | None = None,
        client_secret: str | None = None,
        show: ShowPrompt | None = None,
        **options: Unpack[TokenOptions],
    ) -> None:
        """Prepare sign-ins.

        Args:
            show: shows address and code to the person; default: on stderr.
            client_name, client_metadata_url, client_id, client_secret: as `OAuth`.
            options: see `TokenOptions`.

        Raises:
            UsageError: an argument is invalid.
        """
        super().__init__(
            ClientIdentity(
                client_name=client_name,
                client_id=client_id,
                client_secret=client_secret,
                metadata_url=client_metadata_url,
            ),
            **options,
        )
        self._show = show or _show_on_stderr

    async def _obtain(self, grant: Grant) -> Obtained:
        server = grant.server
        if server.device_authorization_endpoint is None:
            raise AuthorizationFailed(
                f"The authorization server {server.issuer!r} has no device flow: use trimcp.auth.OAuth"
            )
        registration = await self._registration(server) or await self._register(grant, None)
        endpoint = grant.endpoint(registration)
        asked = TokenEndpoint(
            grant.http,
            server.device_authorization_endpoint,
            server.issuer,
            registration,
            purpose="device authorization endpoint",
        )
        document = await asked.request({"scope": grant.scope, "resource": grant.resource})
        prompt, device_code, interval = _prompt_of(document, server.issuer)
        await self._show(prompt)
        form = {"grant_type": self._grant_type, "device_code": device_code, "resource": grant.resource}
        with trio.move_on_after(prompt.expires_in):
            while True:
                await trio.sleep(interval)
                try:
                    tokens = await endpoint.tokens(form, grant.dpop, requested=grant.scope)
                    return Obtained(tokens, registration.client_id)
                except AuthorizationServerUnavailable:
                    interval = min(interval * 2, _LONGEST_INTERVAL)  # RFC 8628, section 3.5
                except AuthorizationFailed as exc:
                    if exc.error == "slow_down":
                        interval += 5
                    elif exc.error != "authorization_pending":
                        raise
        raise AuthorizationFailed("The code was not used in time: begin again", "expired_token")


def _prompt_of(document: dict[str, object], issuer: str) -> tuple[DevicePrompt, str, float]:
    code, user_code, uri = (document.get(name) for name in ("device_code", "user_code", "verification_uri"))
    if not isinstance(code, str) or not isinstance(user_code, str) or not isinstance(uri, str):
        raise AuthorizationFailed(f"The authorization server {issuer!r} answers the device flow without a code")
    complete = document.get("verification_uri_complete")
    life, interval = (seconds_of(document.get(name)) for name in ("expires_in", "interval"))
    check_url(uri, "verification page")
    prompt = DevicePrompt(
        verification_uri=uri,
        user_code="".join(char for char in user_code[:64] if char.isprintable()),
        verification_uri_complete=check_url(complete, "verification page") if isinstance(complete, str) else None,
        expires_in=DEFAULT_LIFE if life is None else min(life, _LONGEST_LIFE),
    )
    return prompt, code, DEFAULT_INTERVAL if interval is None else min(max(interval, 1.0), _LONGEST_INTERVAL)


async def _show_on_stderr(prompt: DevicePrompt) -> None:
    print(f"Open {prompt.verification_uri} and enter the code {prompt.user_code}", file=sys.stderr, flush=True)
