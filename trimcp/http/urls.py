"""URLs of servers: checks, origins, redirects, and the text that errors show of a URL. Pure."""

from __future__ import annotations

import base64
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from trimcp.errors import ExchangeFailed, UsageError
from trimcp.observability.cleaning import escaped

_NO_URL = "an invalid URL"


class Origin(NamedTuple):
    """The scheme, host and port by which a server is known (RFC 9110, section 4.3.1)."""

    is_secure: bool
    host: str
    port: int


def check_url(url: str) -> None:
    """Check that a URL leads to a server over HTTP.

    Raises:
        UsageError: it does not.
    """
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        if not url.isascii():
            (parts.hostname or "").encode("idna")
    except ValueError:
        is_valid = False
    if not is_valid:
        raise UsageError(f"Invalid URL {shown(url)!r}: write http(s)://HOST[:PORT]/PATH")


def origin_of(url: str) -> Origin:
    """Return the origin of a URL that has been checked."""
    parts = urlsplit(url)
    is_secure = parts.scheme == "https"
    return Origin(is_secure, parts.hostname or "", parts.port or (443 if is_secure else 80))


def redirected(url: str, location: str, status: int) -> str:
    """Return the URL that a redirect leads to, within the same origin.

    Raises:
        ExchangeFailed: it leads to another origin, or is no URL.
    """
    try:
        target = urljoin(url, location)
        check_url(target)
    except (UsageError, ValueError):
        raise ExchangeFailed(f"the server at {shown(url)} redirects to an invalid URL", status) from None
    if origin_of(target) != origin_of(url):
        # The request may carry secrets, which are for the server that was named alone.
        raise ExchangeFailed(f"the server redirects elsewhere: connect to {shown(target)} instead", status)
    return without_credentials(target)[0]


def shown(url: str) -> str:
    """Return a URL without its secrets, the user, the password and the query; cut and cleaned as for a log."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return _NO_URL
    return escaped(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}")


def shown_redirect(url: str, location: str) -> str:
    """Return the URL that a redirect leads to, without its secrets."""
    try:
        return shown(urljoin(url, location))
    except ValueError:
        return _NO_URL


def without_credentials(url: str) -> tuple[str, str | None]:
    """Return a URL without user and password, and the `Authorization` field that they make, if any."""
    parts: SplitResult = urlsplit(url)
    userinfo, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, None
    user, _, password = userinfo.partition(":")
    secret = f"{unquote(user)}:{unquote(password)}".encode()
    return parts._replace(netloc=host).geturl(), "Basic " + base64.b64encode(secret).decode()
