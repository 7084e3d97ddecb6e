"""JSON text to JSON value and back, by orjson, with the limits that a peer must keep to.

What a value means is not known here. The size of a text is limited where it is read
(`trimcp.framing`); this file limits its depth. Called by `codec.envelope`, by the session's
reader, and by whoever writes JSON.

orjson decides on a few corners: of a duplicate key the last value counts, an integer beyond
64 bits is read as a float, and NaN or an infinity is written as null.
"""

from __future__ import annotations

import functools
from typing import Any, Final

import orjson

from trimcp.codec.schema_problems import at
from trimcp.errors import InvalidPayload, TrimcpError

MAX_DEPTH: Final = 128
"""Nesting that is read unless the caller says otherwise; recursive handlers of Python code
that walk a payload stay well below the interpreter's limit of 1000 frames with it."""

_MAX_SEARCH_DEPTH: Final = 260
"""orjson writes at most 254 levels, so the search for what it refused needs to go no deeper."""

_SHORT: Final = 8192
"""Bytes up to which brackets are counted before the depth of the value is looked for."""
_FEW: Final = 64
"""Values that are walked through in Python to find a depth."""


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
    # The parser itself stops at 1024 levels, so that what it builds of a deeper text is no danger.
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        # The exception itself holds the whole text in its `doc`: it must not travel.
        raise InvalidJson(_reason(error)) from None
    # A level takes two bytes at least, and the count of what opens one, within strings too, is an
    # upper bound of the depth. Nearly every message is done with these; to count takes longer the
    # more there is to count.
    if (
        len(data) > 2 * max_depth
        and (len(data) > _SHORT or data.count(b"[") + data.count(b"{") > max_depth)
        and _is_deeper(value, max_depth)
    ):
        raise InvalidJson(f"nested deeper than {max_depth} levels")
    return value


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


def _is_deeper(value: Any, limit: int) -> bool:
    """Whether arrays and objects lie deeper within each other than the limit."""
    found = _depth_of_few(value)
    if found is not None:
        return found > limit
    writable = _writable_depth()
    if limit >= writable:
        return _depth(value) > limit
    # The writer's own bound is the fastest way to walk a large value.
    for _ in range(writable - limit):
        value = [value]
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        return True
    return False


def _depth_of_few(value: Any) -> int | None:
    """The depth of a value with few parts, however long its strings are; None for one with many."""
    depth, left, level = 0, _FEW, [value]
    while level:
        below: list[Any] = []
        containers = [part for part in level if type(part) is dict or type(part) is list]
        for container in containers:
            left -= len(container)
            if left < 0:
                return None
            below += container.values() if type(container) is dict else container
        depth += bool(containers)
        level = below
    return depth


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level := [part for part in level if type(part) is dict or type(part) is list]:
        depth += 1
        level = [part for inner in level for part in (inner.values() if type(inner) is dict else inner)]
    return depth


@functools.cache
def _writable_depth() -> int:
    """How many arrays within each other the JSON writer writes."""
    value: list[Any] = []
    depth = 1
    while _writable(value):
        value = [value]
        depth += 1
    return depth - 1


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
