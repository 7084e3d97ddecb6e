"""URLs that other parties name: their checks, their origins, and what kind of address a host has.

RFC 6749 section 3.1.2.1, RFC 9728 section 7.7; basic/authorization/security-considerations of 2026-07-28.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Final, Literal
from urllib.parse import urlsplit

from trimcp.auth.errors import AuthorizationFailed

_LONGEST_SHOWN: Final = 200
_LONGEST: Final = 2048
"""Characters of a URL that another party names; a longer one is refused, since errors show parts of it."""
_LOOPBACK: Final = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1"))
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_UNICAST: Final = ipaddress.ip_network("2000::/3")
"""All of the global addresses that IANA has given out. Others, such as ::10.0.0.1 and fec0::1, are old private ones."""

AddressKind = Literal["public", "private", "loopback"]


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its name: `localhost`, 127.0.0.0/8 or ::1."""
    name = host.strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return any(address in network for network in _LOOPBACK)  # `is_loopback` has ::ffff:127.0.0.1 from Python 3.13 on


def is_address(host: str) -> bool:
    """Whether a host is an IP address; also in the old forms of IPv4 that resolvers take, such as 127.1."""
    name = host.strip("[]").partition("%")[0]
    try:
        ipaddress.ip_address(name)
    except ValueError:
        try:
            socket.inet_aton(name)
        except (OSError, UnicodeError):
            return False
    return True


def address_kind(text: str) -> AddressKind:
    """Return what kind of address this is. An IPv6 address that stands for one of IPv4 is what that one is."""
    address = ipaddress.ip_address(text.strip("[]").partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        teredo = address.teredo
        inner = address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            address = inner
    if address.is_loopback or address.is_unspecified:
        return "loopback"
    is_given_out = isinstance(address, ipaddress.IPv4Address) or address in _UNICAST
    return "public" if is_given_out and address.is_global and not address.is_multicast else "private"


def check_url(url: str, purpose: str) -> str:
    """Return a URL that may be requested: https, or http on loopback; without user, password and fragment.

    It has up to 2048 characters.

    Raises:
        AuthorizationFailed: it is another one. The text shows its scheme and host alone.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = parts.port  # raises for an invalid one
    except ValueError:
        raise AuthorizationFailed(f"Invalid URL of the {purpose}: the server must name an https URL") from None
    del port
    if len(url) > _LONGEST:
        raise AuthorizationFailed(f"Invalid URL of the {purpose}: it has more than {_LONGEST} characters")
    is_plain = url.isascii() and url.isprintable() and not any(char in url for char in " \"'<>\\^`{|}")
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    if not is_plain or not host or not is_safe or "#" in url or "@" in parts.netloc:
        named = f"{parts.scheme}://{host}" if is_plain else "one with characters that a URL cannot have"
        raise AuthorizationFailed(
            f"Invalid URL of the {purpose} ({shown(named)}): it must be https, or http on loopback, "
            "without user and fragment"
        )
    return url


def origin_of(url: str) -> str:
    """Return scheme, host and port of a URL, in lower case, without a default port.

    Raises:
        ValueError: it is no URL.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    host = f"[{host}]" if ":" in host else host
    default = {"http": 80, "https": 443}.get(parts.scheme.lower())
    port = "" if parts.port is None or parts.port == default else f":{parts.port}"
    return f"{parts.scheme.lower()}://{host}{port}"


def http_url(url: str) -> str:
    """Return the URL by which tokens are kept: origin and path, with http in place of ws."""
    scheme, colon, rest = url.partition(":")
    scheme = {"ws": "http", "wss": "https"}.get(scheme.lower(), scheme)
    return origin_of(scheme + colon + rest) + urlsplit(url).path


def shown(value: object) -> str:
    """Return a value of another party as text for an error: printable, and cut."""
    text = value if isinstance(value, str) else type(value).__name__
    text = "".join(char if char.isprintable() else "?" for char in text)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
