"""The reply of a user's HTTP route: what its function returns, made into a whole response."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from trimcp.codec.jsontext import dumps
from trimcp.errors import UsageError
from trimcp.framing.header_params import is_header_name
from trimcp.transports.http.door import Fields

_OF_THE_CONNECTION: Final = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding", "upgrade"})
_BODILESS: Final = (204, 304)

HeaderValues = Mapping[str, str] | Iterable[tuple[str, str]]


def _pairs_of(headers: HeaderValues) -> tuple[tuple[str, str], ...]:
    given: Any = headers
    pairs: list[tuple[str, str]] = []
    for name, value in given.items() if isinstance(given, Mapping) else given:
        _check_field(name, value)
        pairs.append((name, value))
    return tuple(pairs)


def _check_field(name: object, value: object) -> None:
    if not isinstance(name, str) or not is_header_name(name):
        raise UsageError(f"Invalid header name {name!r} of an HttpReply: use letters, digits and hyphens")
    if name.lower() in _OF_THE_CONNECTION:
        raise UsageError(f"Invalid header {name} of an HttpReply: leave it out, since the server writes it")
    # The value is not in the error, since it may be secret.
    if not isinstance(value, str) or any(c in "\r\n\0" or c > "\xff" for c in value):
        raise UsageError(f"Invalid value of the header {name} of an HttpReply: write one line of Latin-1 characters")


@attrs.frozen
class HttpReply:
    """The whole response of a user's HTTP route; see `Server.route`.

        trimcp.HttpReply({"ok": True}, status=201, headers={"Location": "/hooks/7"})

    Raises:
        UsageError: a status that is no final one, a body with a status that has none, a header that cannot be sent.
    """

    body: Any = None
    """Bytes as they are; a string, as UTF-8 text; None for no body; anything else as JSON."""
    status: int = attrs.field(default=200, kw_only=True)
    """200 to 599."""
    headers: HeaderValues = attrs.field(default=(), kw_only=True, repr=False, converter=_pairs_of)
    """Header fields, as a mapping or as pairs. `Content-Type` follows from the body if it is not among them."""

    def __attrs_post_init__(self) -> None:
        if self.status not in range(200, 600):
            raise UsageError(f"Invalid status {self.status!r} of an HttpReply: use 200 to 599")
        if self.status in _BODILESS and self.body is not None:
            raise UsageError(f"Invalid body of an HttpReply: leave it out, since {self.status} has none")

    def encoded(self) -> tuple[Fields, bytes]:
        """The header fields and the body as they are sent.

        Raises:
            InvalidPayload: the body has no form in JSON.
        """
        kind: bytes | None = None
        body: bytes = b""
        if isinstance(self.body, bytes | bytearray | memoryview):
            kind, body = b"application/octet-stream", bytes(self.body)
        elif isinstance(self.body, str):
            kind, body = b"text/plain; charset=utf-8", self.body.encode()
        elif self.body is not None:
            kind, body = b"application/json", dumps(self.body)
        fields = [(name.lower().encode(), value.encode("latin-1")) for name, value in _pairs_of(self.headers)]
        if kind is not None and not any(name == b"content-type" for name, _ in fields):
            fields.append((b"content-type", kind))
        return fields, body


def reply_of(result: object) -> HttpReply:
    """The reply that a route's function returned, or that has what it returned as its body; None is a 204."""
    if isinstance(result, HttpReply):
        return result
    return HttpReply(status=204) if result is None else HttpReply(result)
