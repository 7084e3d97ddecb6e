"""The heads of requests, as bytes. Pure.

Most of a head is the same for all requests to a URL, so that part is made once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlsplit

from trimcp.errors import UsageError
from trimcp.http.urls import Origin, origin_of, shown

COMPRESSED: Final = "its body is compressed, though the request asks for `identity`: turn compression off at the server"
"""Why a compressed response is not read: a short one may become longer than memory."""

_PRINTABLE: Final = "".join(map(chr, range(0x21, 0x7F)))
_WITHIN: Final = re.compile(r"[^\r\n\0\u0100-\U0010ffff]*")
_BEGINNINGS: Final = 64
"""Beginnings of heads that are kept for one URL: one for each set of field names."""


class RequestHeads:
    """Writes the heads of the requests to one URL."""

    __slots__ = ("_beginnings", "_common", "_line", "origin", "shown")

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        """
        Args:
            url: checked before.
            headers: sent with every request, by their names in lower case, and checked.
        """
        parts = urlsplit(url)
        self.origin: Origin = origin_of(url)
        self.shown: str = shown(url)
        """The URL that errors show."""
        path = quote(parts.path or "/", safe=_PRINTABLE)
        query = "?" + quote(parts.query, safe=_PRINTABLE) if parts.query else ""
        self._line = f"{path}{query} HTTP/1.1\r\n"
        self._common = {
            "host": _host_field(self.origin),
            "user-agent": "trimcp",
            "accept-encoding": "identity",
            **headers,
        }
        self._beginnings: dict[tuple[str, ...], str] = {}

    def head(self, verb: str, headers: Mapping[str, str], size: int | None) -> bytes:
        """Return a whole head.

        Args:
            verb: the method of HTTP, such as `POST`.
            headers: beside the common ones, or in place of them.
            size: bytes of the body; None for no body.

        Raises:
            UsageError: a value is not valid in a header.
        """
        beginning = self._beginnings.get((verb, *headers)) or self._begin(verb, headers)
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        if lines.count("\n") != len(headers) or lines.count("\r") != len(headers) or "\0" in lines:
            raise _refused(headers)
        if size is None and verb == "POST":
            size = 0
        length = "" if size is None else f"content-length: {size}\r\n"
        try:
            return f"{beginning}{lines}{length}\r\n".encode("latin-1")
        except UnicodeEncodeError:
            raise _refused(headers) from None

    def _begin(self, verb: str, headers: Mapping[str, str]) -> str:
        """Return the part of a head that is the same for all requests with fields of these names."""
        replaced = {name.lower() for name in headers}
        common = [f"{name}: {value}\r\n" for name, value in self._common.items() if name not in replaced]
        beginning = f"{verb} {self._line}{''.join(common)}"
        if len(self._beginnings) == _BEGINNINGS:
            self._beginnings.clear()
        self._beginnings[verb, *headers] = beginning
        return beginning


def _refused(headers: Mapping[str, str]) -> UsageError:
    names = [name for name, value in headers.items() if _WITHIN.fullmatch(f"{value}") is None]
    return UsageError(f"Invalid value of the header {', '.join(names)}: give one line of Latin-1")


def _host_field(origin: Origin) -> str:
    host = origin.host
    if not host.isascii():
        host = host.encode("idna").decode("ascii")
    elif ":" in host:
        host = f"[{host}]"
    return host if origin.port == (443 if origin.is_secure else 80) else f"{host}:{origin.port}"
