"""Hosts and origins in header fields, and the patterns that users write for them.

Reads `Host` (RFC 9110, section 7.2) and `Origin` (RFC 6454, section 7). `security.py` decides which of them are served.
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
class HostPort:
    """A host and its port."""

    name: str
    """In lower case; an IPv6 address in brackets."""
    port: int | None
    """None if it was not written."""

    @property
    def is_address(self) -> bool:
        """Whether the name is an IP address, which no name server can point elsewhere."""
        return _address(self.name) is not None

    @property
    def is_loopback(self) -> bool:
        """Whether the name is this machine, whatever name servers say."""
        return is_loopback(self.name)


@attrs.frozen
class Origin:
    """The origin of a web page."""

    scheme: str
    host: HostPort

    @property
    def port(self) -> int | None:
        """The port, or the default port of the scheme."""
        return DEFAULT_PORTS.get(self.scheme) if self.host.port is None else self.host.port

    @property
    def is_web(self) -> bool:
        """Whether the scheme is http or https, and not that of an extension or an application."""
        return self.scheme in DEFAULT_PORTS


def is_loopback(host: str) -> bool:
    """Return whether an address or a host name is loopback: `localhost`, 127.0.0.0/8, `::1`."""
    if host == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None


def read_host(value: bytes) -> HostPort | None:
    """Read a `Host` field; return None if it is invalid."""
    return _read_host_port(value.decode("latin-1").lower())


def read_origin(value: bytes) -> Origin | None:
    """Read an `Origin` field; return None for `null` and for an invalid one."""
    text = value.decode("latin-1").lower()
    match = _SCHEME.match(text)
    host = None if match is None else _read_host_port(text[match.end() :])
    return None if match is None or host is None else Origin(match[1], host)


def _read_host_port(text: str) -> HostPort | None:
    match = _HOST.fullmatch(text)
    if match is None:
        return None
    name, port = match[1], None if match[2] is None else int(match[2])
    if (port is not None and port > 65535) or (name.startswith("[") and _address(name) is None):
        return None
    return HostPort(name.removesuffix("."), port)


@attrs.frozen
class Pattern:
    """An entry of the user that lets hosts or origins in."""

    scheme: str | None
    host: HostPort
    below: bool
    """Whether it stands for the names below the host, as `*.example.com` does."""

    def has_host(self, host: HostPort) -> bool:
        """Return whether a host fits. An entry without a port fits any port."""
        return self._has_name(host.name) and self.host.port in (None, host.port)

    def has_origin(self, origin: Origin) -> bool:
        """Return whether an origin fits. An entry without a scheme fits http and https, at any port."""
        if not self._has_name(origin.host.name):
            return False
        if self.scheme is None:
            return origin.is_web and self.host.port in (None, origin.port)
        return self.scheme == origin.scheme and Origin(self.scheme, self.host).port == origin.port

    def _has_name(self, name: str) -> bool:
        return name.endswith(f".{self.host.name}") if self.below else name == self.host.name


@attrs.frozen
class Patterns:
    """Several entries; everything fits if one is `*`."""

    patterns: tuple[Pattern, ...]
    any: bool

    def __bool__(self) -> bool:
        return self.any or bool(self.patterns)

    def has_host(self, host: HostPort) -> bool:
        """Return whether a host fits an entry."""
        return self.any or any(pattern.has_host(host) for pattern in self.patterns)

    def has_origin(self, origin: Origin) -> bool:
        """Return whether an origin fits an entry."""
        return self.any or any(pattern.has_origin(origin) for pattern in self.patterns)


def read_patterns(entries: Iterable[str], *, of_hosts: bool) -> Patterns:
    """Read entries of a user: `example.com`, `example.com:8443`, `*.example.com`, `https://app.example.com`, `*`.

    Raises:
        UsageError: an entry is none of these, or a host has a scheme.
    """
    if isinstance(entries, str):
        raise UsageError(f"Invalid hosts or origins {entries!r}: give a list, such as [{entries!r}]")
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
            raise UsageError(f"Invalid host {entry!r}: write it without a scheme, as {text!r}")
    below = text.startswith("*.")
    host = _read_host_port(text.removeprefix("*."))
    if host is None or (below and host.is_address):
        example = "example.com, example.com:8443, *.example.com" + ("" if of_hosts else ", https://app.example.com")
        raise UsageError(f"Invalid {'host' if of_hosts else 'origin'} {entry!r}: write {example}, or * for any")
    return Pattern(None if match is None else match[1], host, below)
