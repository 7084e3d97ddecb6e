"""Header fields of MCP over HTTP: names, values, and their agreement with the body.

2026-07-28 (basic/transports/streamable-http, "Request Metadata") repeats the method, name and version
of a request in header fields, so that proxies can route by them; they must equal those of the body.
Mirrored parameters of tools are in `schema.header_params`. This file reads mappings of fields and does
no I/O; both ends of HTTP call it. Its messages hold no values, since those of the body may be secret.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from trimcp.errors import TrimcpError, UsageError


class HeaderFields(Mapping[str, str]):
    """A read-only mapping of header fields, str to str; names are found in any case.

    Iteration yields the names in lower case. The repr shows only names, since values may be secret.
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[bytes, bytes]) -> None:
        """`fields`: values by names in lower case, in Latin-1."""
        self._fields = fields

    def __getitem__(self, name: str) -> str:
        value = self._fields.get(name.lower().encode("latin-1", "replace"))
        if value is None:
            raise KeyError(name)
        return value.decode("latin-1")

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower().encode("latin-1", "replace") in self._fields

    def __iter__(self) -> Iterator[str]:
        return (name.decode("latin-1") for name in self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"HeaderFields({', '.join(self)})"


PROTOCOL_VERSION: Final = b"mcp-protocol-version"
METHOD: Final = b"mcp-method"
NAME: Final = b"mcp-name"
PARAM_PREFIX: Final = b"mcp-param-"
"""The prefix of the header of a tool parameter."""
SESSION_ID: Final = b"mcp-session-id"
LAST_EVENT_ID: Final = b"last-event-id"

SHOWN: Final[Mapping[bytes, str]] = MappingProxyType(
    {
        PROTOCOL_VERSION: "MCP-Protocol-Version",
        METHOD: "Mcp-Method",
        NAME: "Mcp-Name",
        PARAM_PREFIX: "Mcp-Param-",
        SESSION_ID: "Mcp-Session-Id",
        LAST_EVENT_ID: "Last-Event-ID",
    }
)
"""The spelling of each for people; on the wire, case does not matter."""

NAMED_PARAMS: Final[Mapping[str, str]] = MappingProxyType(
    {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
)
"""The member of params that `Mcp-Name` mirrors, by method; the methods of extensions are added to it."""
TASKS_NAMED: Final[Mapping[str, str]] = MappingProxyType(
    dict.fromkeys(("tasks/get", "tasks/update", "tasks/cancel"), "taskId")
)
"""The same for the tasks extension, which clients send also where they did not declare it for all requests."""

TITLE_LENGTH: Final = 128
"""The most characters of a name or URI in a message."""

SAFE_INTEGER: Final = 2**53 - 1
"""The largest integer (its negative is the smallest) that all readers of a header read alike."""

_OPENING: Final = "=?base64?"
_CLOSING: Final = "?="
_NOT_IN_FIELDS: Final = re.compile(r"[^\t -~]")
_INTEGER: Final = re.compile(r"(-?[0-9]{1,20})(?:\.0{1,20})?")


class InvalidHeader(TrimcpError):
    """The value of a header field cannot be read; the text has the reason, without the value."""


def encode_value(value: str | int | bool) -> str:
    """Encode a value for a header field: as it is where that is safe, else in base64 between marks.

    Raises:
        UsageError: an integer beyond `SAFE_INTEGER`, or text that UTF-8 cannot encode.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        if not -SAFE_INTEGER <= value <= SAFE_INTEGER:
            raise UsageError(f"a header can only carry integers from {-SAFE_INTEGER} to {SAFE_INTEGER}")
        return str(value)
    if is_plain(value) and not (value.startswith(_OPENING) and value.endswith(_CLOSING)):
        return value
    try:
        encoded = base64.b64encode(value.encode())
    except UnicodeEncodeError:
        raise UsageError("a header cannot carry text with lone surrogates") from None
    return f"{_OPENING}{encoded.decode()}{_CLOSING}"


def is_plain(value: str) -> bool:
    """Tell whether a field can carry the text as it is. Inner tabs are allowed, but some proxies refuse them."""
    return value.isascii() and (not value or (value.isprintable() and value[0] != " " and value[-1] != " "))


def decode_value(raw: bytes | str) -> str:
    """Decode the value of a header field; the reverse of `encode_value`.

    A value with only one of the marks, or with a mark in capitals, is taken as it is.

    Args:
        raw: the value without the blanks around it.

    Raises:
        InvalidHeader: it has characters that a field cannot have, or the part between the marks is
            not UTF-8 in base64 with padding.
    """
    value = raw.decode("latin-1") if isinstance(raw, bytes) else raw
    if _NOT_IN_FIELDS.search(value):
        raise InvalidHeader("has characters that a header field cannot have")
    if not (value.startswith(_OPENING) and value.endswith(_CLOSING)) or len(value) < len(_OPENING + _CLOSING):
        return value
    inner = value[len(_OPENING) : -len(_CLOSING)].encode()
    try:
        decoded = base64.b64decode(inner, validate=True)
        # Only the canonical form is accepted: the decoder ignores bits that no encoder sets.
        if base64.b64encode(decoded) == inner:
            return decoded.decode()
    except (binascii.Error, UnicodeDecodeError):
        pass
    raise InvalidHeader("is not UTF-8 in base64 between its marks")


def read_integer(text: str) -> int | None:
    """Return the integer of a decoded value; None without one.

    `42.0` is 42, since they are the same number in JSON. `1e2` is not accepted: an integer is written
    in decimal, since proxies may compare only that form as a number.
    """
    match = _INTEGER.fullmatch(text)
    if match is None:
        return None
    number = int(match[1])
    return number if -SAFE_INTEGER <= number <= SAFE_INTEGER else None


def named_param(method: str, params: Mapping[str, Any] | None, named: Mapping[str, str] = NAMED_PARAMS) -> str | None:
    """Return the value that `Mcp-Name` must have for a request; None where it needs none.

    Args:
        method: the method of the request.
        params: its raw params. A missing member, or one that is not a string, is not an error of the
            header: None.
        named: the member of params by method.
    """
    member = named.get(method)
    if member is None or params is None:
        return None
    value = params.get(member)
    return value if isinstance(value, str) else None


def request_title(method: str, params: Mapping[str, Any] | None) -> str:
    """Return a method and the name or URI that its params have, for messages: `tools/call of add`."""
    name = named_param(method, params)
    return method if name is None else f"{method} of {name[:TITLE_LENGTH]}"


def check_request_headers(
    fields: Mapping[bytes, bytes],
    method: str,
    params: Mapping[str, Any] | None,
    version: str | None,
    named: Mapping[str, str] = NAMED_PARAMS,
) -> str | None:
    """Check the standard header fields of a request of 2026-07-28 against its body; None if they agree.

    Args:
        fields: values, without the blanks around them, by names in lower case; the values of a
            repeated field are joined.
        method: the method in the body.
        params: the params in the body.
        version: the version in the body's `_meta`; None without one, which is an error of the body.
        named: the member of params that `Mcp-Name` mirrors, by method.

    Returns:
        A message for the error with code `HEADER_MISMATCH`.
    """
    sent = fields.get(PROTOCOL_VERSION)
    if sent is None or (version is not None and sent != version.encode()):
        return _differs(PROTOCOL_VERSION, sent)
    sent = fields.get(METHOD)
    if sent != method.encode():
        return _differs(METHOD, sent)
    name = named_param(method, params, named)
    if name is None:
        return None
    sent = fields.get(NAME)
    if sent is None:
        return _differs(NAME, sent)
    if sent == name.encode() and not sent.startswith(b"=?") and is_plain(name):
        return None
    try:
        return None if decode_value(sent) == name else _differs(NAME, sent)
    except InvalidHeader as exc:
        return f"Header mismatch: {SHOWN[NAME]} {exc}"


def _differs(field: bytes, sent: bytes | None) -> str:
    if sent is None:
        return f"Header mismatch: {SHOWN[field]} is missing"
    return f"Header mismatch: {SHOWN[field]} differs from the body"
