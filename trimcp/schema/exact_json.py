"""JSON text ↔ JSON value with exact numbers: orjson, and a slower way for numbers that it gets wrong.

orjson reads an integer beyond 64 bits as a float and cannot write it, and it writes NaN and infinity as
null. This file finds the rare input and output that may hold such a number, and treats it alone.
`codec.jsontext` does the same for messages, with limits and problems.
"""

from __future__ import annotations

import enum
import json
import math
import re
from collections.abc import Callable
from typing import Any, Final

import orjson

NOT_FINITE: Final = "NaN and infinity are no numbers of JSON: use null or a string"
TOO_LONG: Final = "an integer of more than 4,300 digits: use a string"
TOO_DEEP: Final = "nested too deep, or contains itself"

ZEROS: Final = bytes(ord("0") if byte in b"0123456789" else ord(" ") for byte in range(256))
"""The table of `bytes.translate` that makes every digit a 0, and every other byte a space."""
STEP: Final = 6
find_run: Final = re.compile(rb"000").search
"""An integer beyond 64 bits has 19 digits or more: of every sixth byte, three in a row are digits. The
test `find_run(data[::STEP].translate(ZEROS))` clears nearly every string in a small part of the time of
the parser."""
find_null: Final = re.compile(rb"null").search
"""Finds where NaN may have been written. Both searches take half the time of `in`."""

_LONG: Final = re.compile(rb"([0-9]{18})[0-9]+")
_LONG_RUN: Final = b"0" * 19
"""A run that `_LONG` finds, after translation by `ZEROS`. To look for it takes a tenth of the time of `_LONG` in a
text with many digits, such as times."""
_LEAST: Final = -(2**63)
_MOST: Final = 2**64 - 1
"""The integers that orjson writes."""
_LEVELS: Final = 254
"""The levels of nesting that orjson writes."""
_FINITE: Final = frozenset({str, int, bool, type(None), orjson.Fragment})
LONG_TEXT: Final = 4096
"""Bytes of a text from which on to look at a few values costs less than to search the text."""
_FEW: Final = 64


class NotJson(TypeError):
    """A value has no JSON form; the message names the type and says what to do."""


# --- reading ----------------------------------------------------------------------------


def decode(data: bytes) -> Any:
    """Read one JSON text of this side, which needs no limits.

    Raises:
        ValueError: the text is not JSON, or an integer is too long.
    """
    if find_run(data[::STEP].translate(ZEROS)) and cut_long_digits(data) is not data:
        return decode_long_digits(data)
    return orjson.loads(data)


def cut_long_digits(data: bytes) -> bytes:
    """Cut every run of digits to 18, so that orjson can tell whether a text is JSON.

    A text without a longer run is returned itself.
    """
    return _LONG.sub(rb"\1", data) if _LONG_RUN in data.translate(ZEROS) else data


def decode_long_digits(data: bytes) -> Any:
    """Read a text with long integers, of which orjson has found that it is JSON apart from them.

    Raises:
        ValueError: a number is too long or too large.
    """
    return json.loads(data.decode(), parse_float=_finite)


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError("number is infinity when parsed as double")
    return number


# --- writing ----------------------------------------------------------------------------


def encode(value: Any, default: Callable[[Any], Any] | None = None, option: int | None = None) -> bytes:
    """Write a value as compact JSON, as `orjson.dumps` does, with exact numbers.

    Raises:
        TypeError: a value inside has no JSON form, NaN and infinity included.
    """
    convert = None if default is None else _Conversions(default)
    try:
        text = orjson.dumps(value, convert, option)
    except TypeError as error:
        if error.__cause__ is not None:  # `default` raised
            raise
        return encode_slowly(value, convert, option)
    if (len(text) < LONG_TEXT or not has_no_float(value)) and find_null(text):
        refuse_not_finite(value if convert is None else [value, *(made for _, made in convert.made.values())])
    return text


class _Conversions:
    """Calls a `default` once for each object, since objects may hold iterators."""

    def __init__(self, default: Callable[[Any], Any]) -> None:
        self._default = default
        self.made: dict[int, tuple[Any, Any]] = {}
        """By the id of the object: the object, which is thereby kept, and its conversion."""

    def __call__(self, value: Any) -> Any:
        known = self.made.get(id(value))
        if known is None:
            known = self.made[id(value)] = value, self._default(value)
        return known[1]


def encode_slowly(value: Any, default: Callable[[Any], Any] | None = None, option: int | None = None) -> bytes:
    """Write a value that orjson has refused, if that was because of its long integers.

    Raises:
        TypeError: a value inside has no JSON form, NaN and infinity included.
    """
    convert = None if default is None else lambda part: _with_long_integers(default(part), _LEVELS)
    return orjson.dumps(_with_long_integers(value, _LEVELS), convert, option)


def _with_long_integers(value: Any, levels: int) -> Any:
    """Return a copy with the text of each integer beyond 64 bits in its place."""
    if isinstance(value, int):
        return value if _LEAST <= value <= _MOST else orjson.Fragment(_digits(value))
    if isinstance(value, float) and not math.isfinite(value):
        raise NotJson(NOT_FINITE)
    if isinstance(value, enum.Enum):
        return _with_long_integers(value.value, levels)
    if isinstance(value, dict | list) or type(value) is tuple:
        if not levels:
            raise NotJson(TOO_DEEP)
        if isinstance(value, dict):
            return {_key(key): _with_long_integers(part, levels - 1) for key, part in value.items()}
        return [_with_long_integers(part, levels - 1) for part in value]
    return value


def _key(key: Any) -> Any:
    return key if not isinstance(key, int) or _LEAST <= key <= _MOST else _digits(key)


def _digits(value: int) -> str:
    try:
        return int.__repr__(value)
    except ValueError:
        raise NotJson(TOO_LONG) from None


def refuse_not_finite(value: Any) -> None:
    """Look for NaN and infinity in a value that orjson has written, with a null somewhere.

    Raises:
        TypeError: there is one.
    """
    parts = [value]
    for part in parts:  # grows below
        if isinstance(part, float):
            if not math.isfinite(part):
                raise NotJson(NOT_FINITE)
        elif isinstance(part, dict):
            parts += [inner for inner in part.values() if type(inner) not in _FINITE]
        elif isinstance(part, list) or type(part) is tuple:
            parts += [inner for inner in part if type(inner) not in _FINITE]
        elif isinstance(part, enum.Enum):
            parts.append(part.value)


def has_no_float(value: Any) -> bool:
    """Whether a value has few parts and no float. Then no null in its text stands for a NaN."""
    parts = [value]
    for part in parts:  # grows below
        if type(part) is dict or type(part) is list:
            if len(parts) + len(part) > _FEW:
                return False
            parts += part.values() if type(part) is dict else part
        elif type(part) not in _FINITE:
            return False
    return True


def depth_of(value: Any) -> int:
    """Return how deep arrays and objects are nested; 0 for other values."""
    depth, level = 0, [value]
    while level := [part for part in level if isinstance(part, dict | list)]:
        depth += 1
        level = [part for inner in level for part in (inner.values() if isinstance(inner, dict) else inner)]
    return depth
