"""Cleans the strings of peers for logs and terminals: their characters, and their length.

Unsafe are the control characters (C0, DEL, C1), the marks that change the direction of text, line separators, tags,
and lone surrogates, which no stream can encode.
"""

from __future__ import annotations

import functools
import re
from typing import Any, Final

_UNSAFE: Final = "\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f"
MOST: Final = 500
"""Characters of one value in a log."""
_SHORT: Final = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}


@functools.cache  # compiled on first use: it takes as long as the import of ten modules
def _in_a_line() -> re.Pattern[str]:
    """Matches the characters that are unsafe in a line."""
    return re.compile(f"[\x00-\x1f{_UNSAFE}]")


@functools.cache
def _in_a_text() -> re.Pattern[str]:
    """Matches the characters that are unsafe in a text: all but tabs and line feeds of those above."""
    return re.compile(f"[\x00-\x08\x0b-\x1f{_UNSAFE}]")


def printable(text: str) -> str:
    """Replace the characters that a terminal would obey instead of showing them. Lines and tabs stay."""
    return _in_a_text().sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))


def escaped(text: str, most: int = MOST) -> str:
    """Cut a text and escape its unsafe characters, so that it is part of one line of a log."""
    if len(text) > most:
        text = f"{text[:most]}… ({len(text)} characters)"
    return _in_a_line().sub(_escape, text)


def escaped_lines(text: str) -> str:
    """Escape the unsafe characters of a text whose lines stay lines."""
    return _in_a_text().sub(_escape, text)


def escaped_json(text: str) -> str:
    """Escape the unsafe characters of a JSON text, as JSON does: the value stays the same."""
    return _in_a_text().sub(_escape_in_json, text)


def loggable(value: Any) -> Any:
    """Return a value for a log: numbers, booleans and None unchanged, all else as a clean text."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if value.bit_length() <= 64 else f"integer of {value.bit_length()} bits"
    return escaped(value if isinstance(value, str) else repr(value))


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    return _SHORT.get(character) or character.encode("unicode_escape").decode()


def _escape_in_json(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
