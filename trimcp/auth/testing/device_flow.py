"""The device flow of the development authorization server (RFC 8628)."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, Final

from trimcp.auth.testing.clients import DevelopmentClient, Kept, OAuthError
from trimcp.auth.testing.pages import Asked, page, read_form
from trimcp.http.binding import HttpRequest
from trimcp.http.server.routes import HttpReply

_USER_CODE: Final = "BCDFGHJKLMNPQRSTVWXZ"


class Devices:
    """The devices that wait for a user."""

    def __init__(self, *, seconds: int, interval: int, asks: bool, clock: Callable[[], float]) -> None:
        """`seconds`: that a user has; `interval`: between two polls; `asks`: whether a page asks the user."""
        self._seconds = seconds
        self._interval = interval
        self._asks = asks
        self._clock = clock
        self._devices: Kept[Asked] = Kept()
        self._user_codes: Kept[Asked] = Kept()

    def begin(self, asked: Asked, issuer: str) -> dict[str, Any]:
        """Return the response of the device authorization endpoint."""
        asked.until = self._clock() + self._seconds
        device_code = secrets.token_urlsafe(32)
        letters = "".join(secrets.choice(_USER_CODE) for _ in range(8))
        user_code = f"{letters[:4]}-{letters[4:]}"
        self._devices.put(device_code, asked)
        self._user_codes.put(user_code, asked)
        return {
            "device_code": device_code,
            "user_code": user_code,
            "verification_uri": f"{issuer}/device",
            "verification_uri_complete": f"{issuer}/device?user_code={user_code}",
            "expires_in": self._seconds,
            "interval": self._interval,
        }

    async def ask(self, request: HttpRequest) -> HttpReply:
        """Answer the verification page: the user agrees at once, or is asked."""
        user_code = read_form(request.query).get("user_code", "")
        asked = self._user_codes.get(user_code)
        if asked is None:
            return page("Enter the code that the device shows, as ?user_code=…")
        if not self._asks:
            asked.verdict = True
            return page("The device is signed in.")
        return page(f"{asked.client.client_id} asks for: {' '.join(asked.scopes)}", user_code)

    async def decide(self, request: HttpRequest) -> HttpReply:
        """Take the user's answer."""
        form = read_form(request.body)
        asked = self._user_codes.pop(form.get("ticket"))
        if asked is None:
            raise OAuthError("invalid_request", "This code was used before")
        asked.verdict = form.get("decision") == "allow"
        return page("The device is signed in." if asked.verdict else "The device was refused.")

    def redeem(self, device_code: str | None, client: DevelopmentClient) -> Asked:
        """Return what a user has agreed to.

        Raises:
            OAuthError: the user has not agreed, or not yet; the device polls too fast, or its code is not valid.
        """
        asked, now = self._devices.get(device_code), self._clock()
        if asked is None or asked.client.client_id != client.client_id:
            raise OAuthError("invalid_grant", "The device code is not valid")
        if asked.until <= now:
            raise OAuthError("expired_token")
        is_hasty, asked.polled_at = now - asked.polled_at < self._interval, now
        if asked.verdict is None:
            raise OAuthError("slow_down" if is_hasty else "authorization_pending")
        self._devices.pop(device_code)
        if not asked.verdict:
            raise OAuthError("access_denied")
        return asked
