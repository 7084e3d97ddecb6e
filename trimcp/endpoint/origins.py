"""Hosts and origins as header fields name them, and the patterns that users write for them.

Owns the reading of `Host` (RFC 9110, section 7.2) and `Origin` (RFC 6454, section 7) and what matches
what. Which of them is let in is `security`'s business.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final

import attrs

from trimcp.errors import UsageError

DEFAULT_PORTS: Final = {"http": 80, "https": 443}

_HOST: Final = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_-][a-z0-9._-]*)(?::([0-9]{1,5}))?")
_SCHEME: Final = re.compile(r"([a-z][a-z0-9+.-]*)://")


@attrs.frozen
class Place:
    """A host and its port."""

    name: str
    """In lower case; an IPv6 address in brackets."""
    port: int | None
    """None where it was not written."""

    @property
    def is_address(self) -> bool:
        """Whether it is an IP address, which no name server can point elsewhere."""
        return _address(self.name) is not None

    @property
    def is_loopback(self) -> bool:
        """Whether it is this machine, whatever name servers say."""
        return is_loopback(self.name)


@attrs.frozen
class Origin:
    """Where a web page comes from."""

    scheme: str
    place: Place

    @property
    def port(self) -> int | None:
        """Its port, or the one that its scheme implies."""
        return DEFAULT_PORTS.get(self.scheme) if self.place.port is None else self.place.port

    @property
    def is_web(self) -> bool:
        """Whether it is of http or https, and not an extension's or an application's."""
        return self.scheme in DEFAULT_PORTS


def is_loopback(host: str) -> bool:
    """Whether an address to bind, or a host's name, is this machine alone: `localhost`, 127.0.0.0/8, `::1`."""
    if host == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None


def read_host(value: bytes) -> Place | None:
    """Read a `Host` field; None where it is none."""
    return _read_place(value.decode("latin-1").lower())


def read_origin(value: bytes) -> Origin | None:
    """Read an `Origin` field; None for `null`, and for what is no origin."""
    text = value.decode("latin-1").lower()
    match = _SCHEME.match(text)
    place = None if match is None else _read_place(text[match.end() :])
    return None if match is None or place is None else Origin(match[1], place)


def _read_place(text: str) -> Place | None:
    match = _HOST.fullmatch(text)
    if match is None:
        return None
    name, port = match[1], None if match[2] is None else int(match[2])
    if (port is not None and port > 65535) or (name.startswith("[") and _address(name) is None):
        return None
    return Place(name.removesuffix("."), port)


@attrs.frozen
class Pattern:
    """What a user wrote to let something in."""

    scheme: str | None
    place: Place
    below: bool
    """Whether it stands for the names below that of the place."""

    def has_host(self, place: Place) -> bool:
        """Whether a host fits; without a port, any port does."""
        return self._has_name(place.name) and self.place.port in (None, place.port)

    def has_origin(self, origin: Origin) -> bool:
        """Whether an origin fits; with a scheme, the port must too, without one any port and http or https does."""
        if not self._has_name(origin.place.name):
            return False
        if self.scheme is None:
            return origin.is_web and self.place.port in (None, origin.port)
        return self.scheme == origin.scheme and Origin(self.scheme, self.place).port == origin.port

    def _has_name(self, name: str) -> bool:
        return name.endswith(f".{self.place.name}") if self.below else name == self.place.name


@attrs.frozen
class Patterns:
    """Several of them; anything fits where one is `*`."""

    patterns: tuple[Pattern, ...]
    any: bool

    def __bool__(self) -> bool:
        return self.any or bool(self.patterns)

    def has_host(self, place: Place) -> bool:
        """Whether a host fits one of them."""
        return self.any or any(pattern.has_host(place) for pattern in self.patterns)

    def has_origin(self, origin: Origin) -> bool:
        """Whether an origin fits one of them."""
        return self.any or any(pattern.has_origin(origin) for pattern in self.patterns)


def read_patterns(entries: Iterable[str], *, of_hosts: bool) -> Patterns:
    """Read what a user wrote: `example.com`, `example.com:8443`, `*.example.com`, `https://app.example.com`, `*`.

    Raises:
        UsageError: an entry is none of these; a host has no scheme.
    """
    if isinstance(entries, str):
        raise UsageError(f"hosts and origins come as a list: [{entries!r}]")
    entries = tuple(entries)
    return Patterns(
        tuple(_read_pattern(entry, of_hosts=of_hosts) for entry in entries if entry != "*"), any="*" in entries
    )


def _read_pattern(entry: str, *, of_hosts: bool) -> Pattern:
    text = entry.lower()
    match = _SCHEME.match(text)
    if match is not None:
        text = text[match.end() :]
        if of_hosts:
            raise UsageError(f"{entry!r} is an origin; a host is written without a scheme: {text!r}")
    below = text.startswith("*.")
    place = _read_place(text.removeprefix("*."))
    if place is None or (below and place.is_address):
        example = "example.com, example.com:8443, *.example.com" + ("" if of_hosts else ", https://app.example.com")
        raise UsageError(f"{entry!r} is no {'host' if of_hosts else 'origin'}; write {example}, or * for any")
    return Pattern(None if match is None else match[1], place, below)
