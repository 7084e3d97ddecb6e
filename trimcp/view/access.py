"""Who may look: a token for each launch, and checks that a page of another origin cannot pass.

On loopback every program and every web page of the machine's user could send requests. So a request needs the token,
which came with the URL on stderr and is a cookie from the first visit on. Its Host must be loopback with our port, its
Origin must be the same, and a browser must say that the request comes from our own page. A Unix socket needs none of
that: the file mode decides who connects.
"""

from __future__ import annotations

import secrets
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import parse_qs

from trimcp.http.binding import HttpRequest, Refusal
from trimcp.http.server.origins import read_host, read_origin

TOKEN_BYTES: Final = 32
TEXT: Final = ((b"content-type", b"text/plain; charset=utf-8"), (b"cache-control", b"no-store"))
WRONG_HOST: Final = Refusal(403, TEXT, b"Forbidden: open the view as http://127.0.0.1 or http://localhost.\n")
WRONG_ORIGIN: Final = Refusal(403, TEXT, b"Forbidden: only the page of the view itself may ask here.\n")
NO_TOKEN: Final = Refusal(401, TEXT, b"Unauthorized: open the URL with the token that the server printed.\n")


class Open:
    """Lets every request in: the file mode of the Unix socket has decided."""

    def refuse(self, request: HttpRequest) -> Refusal | None:
        """See `Guarded`."""
        return None


class Guarded:
    """Lets in requests with the token, by loopback names, and from the page itself."""

    def __init__(self) -> None:
        self.token: str = secrets.token_urlsafe(TOKEN_BYTES)
        self.port: int = 0
        """Set when the port is known. Cookies are the same for all ports of a host, so their name has it."""

    @property
    def cookie(self) -> str:
        """The name of the cookie."""
        return f"trimcp-view-{self.port}"

    def refuse(self, request: HttpRequest) -> Refusal | None:
        """Judge the head of a request; None lets it in."""
        host = read_host(request.fields.get(b"host", b""))
        if host is None or not host.is_loopback or (host.port or 80) != self.port:
            return WRONG_HOST
        raw = request.fields.get(b"origin")
        if raw is not None:
            origin = read_origin(raw)
            if origin is None or origin.scheme != "http" or origin.host.name != host.name or origin.port != self.port:
                return WRONG_ORIGIN
        brings_token = self._is_token(self.token_in_query(request))
        site = request.fields.get(b"sec-fetch-site", b"none")
        if site not in (b"none", b"same-origin") and not (brings_token and request.path == "/"):
            return WRONG_ORIGIN
        if brings_token and request.path == "/" and request.method == "GET":
            return Refusal(303, (*TEXT, (b"location", b"/"), (b"set-cookie", self._set_cookie())), b"")
        if not (self._is_token(self._token_in_cookie(request)) or self._is_token(_bearer(request))):
            return NO_TOKEN
        return None

    def token_in_query(self, request: HttpRequest) -> str:
        """Return the token of the first visit, which came with the URL."""
        return parse_qs(request.query.decode("latin-1")).get("token", [""])[0]

    def _token_in_cookie(self, request: HttpRequest) -> str:
        try:
            found = SimpleCookie(request.fields.get(b"cookie", b"").decode("latin-1")).get(self.cookie)
        except CookieError:
            return ""
        return "" if found is None else found.value

    def _is_token(self, given: str) -> bool:
        return secrets.compare_digest(given.encode(), self.token.encode())

    def _set_cookie(self) -> bytes:
        return f"{self.cookie}={self.token}; Path=/; HttpOnly; SameSite=Strict".encode()


def _bearer(request: HttpRequest) -> str:
    scheme, _, token = request.fields.get(b"authorization", b"").decode("latin-1").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
