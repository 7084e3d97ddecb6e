"""JSON text ↔ JSON value, by orjson, with limits of depth and of the number of arrays and objects.

The size of a text is limited where it is read (`trimcp.framing`). Integers are exact, and NaN and
infinity are refused (`schema.exact_json`). Of a duplicate key the last value counts.
"""

from __future__ import annotations

import functools
from typing import Any, Final

import orjson

from trimcp.errors import InvalidPayload, TrimcpError
from trimcp.schema.exact_json import (
    NOT_FINITE,
    STEP,
    TOO_DEEP,
    TOO_LONG,
    ZEROS,
    cut_long_digits,
    decode_long_digits,
    depth_of,
    encode,
    find_run,
)
from trimcp.schema.problems import at

MAX_DEPTH: Final = 128
"""The default limit of nesting: recursive Python code that walks a payload stays well below the
interpreter's limit of 1000 frames."""

MAX_CONTAINERS: Final = 2**18
"""The default limit of arrays and objects in one text: the parser needs about 0.15 ms for a thousand."""

_MAX_SEARCH_DEPTH: Final = 260
"""orjson writes at most 254 levels, so the search for a refused value can end here."""
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_FEW: Final = 64
"""Values up to which Python finds the depth of a value."""


class InvalidJson(TrimcpError):
    """Bytes are not acceptable JSON.

    Attributes:
        reason: the problem and its place, without any part of the text.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason: str = reason


def loads(data: bytes, max_depth: int = MAX_DEPTH, max_containers: int = MAX_CONTAINERS) -> Any:
    """Read one JSON text.

    Args:
        data: UTF-8; a byte order mark is ignored.
        max_depth: the number of nested arrays and objects allowed.
        max_containers: the number of arrays and objects allowed in all.

    Raises:
        InvalidJson: bad UTF-8, bad JSON (NaN and lone surrogates included), or beyond the limits.
    """
    # A level takes two bytes or more. The number of opening brackets, those in strings included, is an
    # upper bound of the depth and of the number of containers. This is enough for nearly every message.
    opened = data.count(b"[") + data.count(b"{") if len(data) > 2 * max_depth else 0
    if opened > max_containers and _containers(data) > max_containers:
        raise InvalidJson(f"more than {max_containers} arrays and objects")
    text = cut_long_digits(data) if find_run(data[::STEP].translate(ZEROS)) else data
    try:
        # The parser itself stops at 1024 levels, so a deep value is no danger before the check.
        value = orjson.loads(text)
        if opened > max_depth and _is_deeper(value, max_depth):
            raise InvalidJson(f"nested deeper than {max_depth} levels")
        return value if text is data else decode_long_digits(data)
    except orjson.JSONDecodeError as error:
        if type(data) is not bytes or data.startswith(_BYTE_ORDER_MARK):  # orjson takes no subclass
            text = bytes(data).removeprefix(_BYTE_ORDER_MARK)
            return loads(text, max_depth=max_depth, max_containers=max_containers)
        # The exception holds the whole text in its `doc`, so it must not be passed on.
        raise InvalidJson(_reason(error)) from None
    except ValueError:
        raise InvalidJson(TOO_LONG.partition(":")[0]) from None
    except RecursionError:
        raise InvalidJson("nested too deep for its long integers") from None


def dumps(value: Any) -> bytes:
    """Write a JSON value, without a newline.

    Raises:
        InvalidPayload: a value inside has no JSON form.
    """
    try:
        return encode(value)
    except TypeError:
        raise not_encodable(value) from None


def not_encodable(value: Any) -> InvalidPayload:
    """Make the error for a value that has no JSON form, with its place."""
    return InvalidPayload([_find_unencodable(value, ()) or at("cannot be written as JSON", ())])


def _reason(error: orjson.JSONDecodeError) -> str:
    # The messages of orjson hold no payload, but later versions may differ: only the part before
    # the comma or the colon is kept.
    words = error.msg.partition(",")[0].partition(":")[0]
    return f"{words} at line {error.lineno}, column {error.colno}"


def _containers(data: bytes) -> int:
    """Count the arrays and objects that a text opens, without the brackets in its strings."""
    unescaped = data.replace(rb"\\", b"").replace(rb"\"", b"")
    bare = b"".join(unescaped.split(b'"')[::2])
    return bare.count(b"[") + bare.count(b"{")


def _is_deeper(value: Any, limit: int) -> bool:
    """Tell whether arrays and objects are nested deeper than the limit."""
    found = _depth_of_few(value)
    if found is not None:
        return found > limit
    writable = writable_depth()
    if limit >= writable:
        return depth_of(value) > limit
    # The depth limit of the writer is the fastest way to measure a large value.
    for _ in range(writable - limit):
        value = [value]
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        return True
    return False


def _depth_of_few(value: Any) -> int | None:
    """Return the depth of a value with few parts; None if it has many."""
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


@functools.cache
def writable_depth() -> int:
    """Return the number of nested arrays that the JSON writer accepts."""
    value: list[Any] = []
    depth = 1
    while _writable(value):
        value = [value]
        depth += 1
    return depth - 1


def _find_unencodable(value: Any, path: tuple[str | int, ...]) -> str | None:
    """Return the first value inside that has no JSON form, as a problem."""
    if len(path) > _MAX_SEARCH_DEPTH:
        return at(TOO_DEEP, ())
    if isinstance(value, dict):
        for name, item in value.items():
            if not isinstance(name, str):
                return at(f"expected a string as property name, found {type(name).__name__}", path)
            if not _writable(name):
                return at("property name is not valid Unicode", path)
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
        return TOO_LONG
    if isinstance(value, float):
        return NOT_FINITE
    return f"{type(value).__name__} cannot be written as JSON"


def _writable(value: Any) -> bool:
    try:
        encode(value)
    except TypeError:
        return False
    return True
