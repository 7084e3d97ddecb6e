"""The header fields of MCP over HTTP: their names, how values are written, and whether they fit the body.

Owns what 2026-07-28 says in basic/transports/streamable-http, "Request Metadata": a request's method,
name and version stand in header fields too, so that what lies between can route by them, and must be
those of the body. Parameters of tools that are mirrored so are in `header_params`. It reads mappings
of fields and does no I/O. Both ends of HTTP call it.

No problem that is told from here holds a value: those of the body may be secret.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from trimcp.errors import TrimcpError, UsageError

PROTOCOL_VERSION: Final = b"mcp-protocol-version"
METHOD: Final = b"mcp-method"
NAME: Final = b"mcp-name"
PARAM_PREFIX: Final = b"mcp-param-"
"""What the name of a tool's header comes behind."""
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
"""The same as they are written for people; on the wire case means nothing."""

NAMED_PARAMS: Final[Mapping[str, str]] = MappingProxyType(
    {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
)
"""The member of params that `Mcp-Name` mirrors, by method. Extensions have more: give a table of both."""

SAFE_INTEGER: Final = 2**53 - 1
"""The largest integer, and its negative the smallest, that every reader of a header takes for the same."""

_OPENING: Final = "=?base64?"
_CLOSING: Final = "?="
_NOT_IN_FIELDS: Final = re.compile(r"[^\t -~]")
_INTEGER: Final = re.compile(r"(-?[0-9]{1,20})(?:\.0{1,20})?")


class InvalidHeader(TrimcpError):
    """The value of a header field cannot be read; the text says why, and not what it was."""


def encode_value(value: str | int | bool) -> str:
    """The value of a header field that says this: itself where that is safe, else in base64 between marks.

    Raises:
        UsageError: an integer that not every reader takes for the same, or text that UTF-8 has no form for.
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
    """Whether a field can carry the text as it is. Inner tabs could be, but not everything lets them pass."""
    return value.isascii() and (not value or (value.isprintable() and value[0] != " " and value[-1] != " "))


def decode_value(raw: bytes | str) -> str:
    """What the value of a header field says; the reverse of `encode_value`.

    What has only one of the marks, or either in capitals, is meant as it stands.

    Args:
        raw: the value without the blanks around it.

    Raises:
        InvalidHeader: it has characters that a field cannot have, or what stands between the marks
            is not the base64 of UTF-8, padding included.
    """
    value = raw.decode("latin-1") if isinstance(raw, bytes) else raw
    if _NOT_IN_FIELDS.search(value):
        raise InvalidHeader("has characters that a header field cannot have")
    if not (value.startswith(_OPENING) and value.endswith(_CLOSING)) or len(value) < len(_OPENING + _CLOSING):
        return value
    inner = value[len(_OPENING) : -len(_CLOSING)].encode()
    try:
        decoded = base64.b64decode(inner, validate=True)
        # One text has one form: the decoder passes over bits that no encoder sets.
        if base64.b64encode(decoded) == inner:
            return decoded.decode()
    except (binascii.Error, UnicodeDecodeError):
        pass
    raise InvalidHeader("is not the base64 of UTF-8 between its marks")


def read_integer(text: str) -> int | None:
    """The integer that a decoded value says; None where it says none.

    `42.0` says 42, since JSON does not tell them apart. `1e2` says nothing: an integer is written in
    decimal, and what lies between may compare no other form as a number.
    """
    match = _INTEGER.fullmatch(text)
    if match is None:
        return None
    number = int(match[1])
    return number if -SAFE_INTEGER <= number <= SAFE_INTEGER else None


def named_param(method: str, params: Mapping[str, Any] | None, named: Mapping[str, str] = NAMED_PARAMS) -> str | None:
    """What `Mcp-Name` has to say for a request; None where it has to say nothing.

    Args:
        method: the request's.
        params: as they came. What is missing or no string there is not the header's fault: None.
        named: the member of params by method.
    """
    member = named.get(method)
    if member is None or params is None:
        return None
    value = params.get(member)
    return value if isinstance(value, str) else None


def check_request_headers(
    fields: Mapping[bytes, bytes],
    method: str,
    params: Mapping[str, Any] | None,
    version: str | None,
    named: Mapping[str, str] = NAMED_PARAMS,
) -> str | None:
    """What is wrong with the standard header fields of a request of 2026-07-28; None if nothing is.

    Args:
        fields: names in lower case, values without the blanks around them; of a field that was sent
            several times, all of them.
        method: in the body.
        params: in the body.
        version: in the body's `_meta`; None where it has none, which is then the body's fault alone.
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
    return f"Header mismatch: {SHOWN[field]} is not what the body says"
