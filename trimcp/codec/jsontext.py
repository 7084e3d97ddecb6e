"""JSON text to JSON value and back, by orjson, with the limits that a peer must keep to.

What a value means is not known here. The size of a text is limited where it is read
(`trimcp.framing`); this file limits its depth. Called by `codec.envelope`, by the session's
reader, and by whoever writes JSON.

orjson decides on a few corners: of a duplicate key the last value counts, an integer beyond
64 bits is read as a float, and NaN or an infinity is written as null.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from trimcp.codec.schema_problems import at
from trimcp.errors import InvalidPayload, TrimcpError

MAX_DEPTH: Final = 128
"""Nesting that is read unless the caller says otherwise; recursive handlers of Python code
that walk a payload stay well below the interpreter's limit of 1000 frames with it."""

_MAX_SEARCH_DEPTH: Final = 260
"""orjson writes at most 254 levels, so the search for what it refused needs to go no deeper."""

_ONE_KIND_OF_BRACKET: Final = bytes.maketrans(b"{}", b"[]")
_ALL_BUT_BRACKETS: Final = bytes(sorted(set(range(256)) - set(b"[]{}")))


class InvalidJson(TrimcpError):
    """The bytes are not JSON that is accepted.

    Attributes:
        reason: what is wrong and where, without any of the text itself.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def loads(data: bytes, *, max_depth: int = MAX_DEPTH) -> Any:
    """Read one JSON text.

    Args:
        data: UTF-8 without a byte order mark.
        max_depth: how many arrays and objects may lie within each other.

    Raises:
        InvalidJson: bad UTF-8, bad JSON (NaN and lone surrogates included), or nested too deep.
    """
    # A level takes two bytes at least, and the count of what opens one is an upper bound of the
    # depth too, at one pass of memchr each. Nearly every message is done with these, and the exact
    # check runs before the parser builds anything.
    if (
        len(data) > 2 * max_depth
        and data.count(b"[") + data.count(b"{") > max_depth
        and _depth(data, max_depth) > max_depth
    ):
        raise InvalidJson(f"nested deeper than {max_depth} levels")
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        # The exception itself holds the whole text in its `doc`: it must not travel.
        raise InvalidJson(_reason(error)) from None


def dumps(value: Any) -> bytes:
    """Write a JSON value, without a newline.

    Raises:
        InvalidPayload: the value holds something that JSON has no form for.
    """
    try:
        return orjson.dumps(value)
    except TypeError:
        raise not_encodable(value) from None


def not_encodable(value: Any) -> InvalidPayload:
    """The error that says where in the value orjson found something it cannot write."""
    return InvalidPayload([_find_unencodable(value, ()) or at("cannot be written as JSON", ())])


def _reason(error: orjson.JSONDecodeError) -> str:
    # orjson's words hold no payload, but "invalid literal, expected …" and the like carry no promise
    # for later versions: only what stands before the comma or the colon is kept.
    words = error.msg.partition(",")[0].partition(":")[0]
    return f"{words} at line {error.lineno}, column {error.colno}"


def _depth(data: bytes, limit: int) -> int:
    """How deep the arrays and objects of the text lie within each other, at most `limit` + 1.

    Only C-speed passes over the bytes, since a large list reaches this point with every
    message: what lies outside the strings is every other piece between the quotes, and
    taking out the innermost pairs of brackets once removes one level. Text whose brackets
    do not pair is no JSON, which is for the parser to say.
    """
    without_escapes = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside_strings = b"".join(without_escapes.split(b'"')[::2])
    brackets = outside_strings.translate(_ONE_KIND_OF_BRACKET, _ALL_BUT_BRACKETS)
    depth = 0
    while brackets and depth <= limit:
        shallower = brackets.replace(b"[]", b"")
        if len(shallower) == len(brackets):
            break
        brackets = shallower
        depth += 1
    return depth


def _find_unencodable(value: Any, path: tuple[str | int, ...]) -> str | None:
    """The first thing in the value that orjson does not write, as a problem."""
    if len(path) > _MAX_SEARCH_DEPTH:
        return at("nested too deep, or within itself", ())
    if isinstance(value, dict):
        for name, item in value.items():
            if not isinstance(name, str):
                return at(f"expected a string as name of a property, found {type(name).__name__}", path)
            if not _writable(name):
                return at("name of a property is not valid Unicode", path)
            if problem := _find_unencodable(item, (*path, name)):
                return problem
        return None
    if isinstance(value, list | tuple):
        for index, item in enumerate(value):
            if problem := _find_unencodable(item, (*path, index)):
                return problem
        return None
    return None if _writable(value) else at(_why_not(value), path)


def _why_not(value: Any) -> str:
    if isinstance(value, str):
        return "text is not valid Unicode"
    if isinstance(value, int):
        return "integer beyond 64 bits"
    return f"{type(value).__name__} cannot be written as JSON"


def _writable(value: Any) -> bool:
    try:
        orjson.dumps(value)
    except TypeError:
        return False
    return True
