"""Parses JSON with comments and trailing commas into values that know where they stand in the text."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import attrs

from trimcp.errors import UsageError

DEEPEST: Final = 100
"""Levels of nested arrays and objects that are read."""

_TRIVIA: Final = re.compile(r"(?:[ \t\r\n]+|//[^\r\n]*|/\*.*?\*/)*", re.DOTALL)
_STRING: Final = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_SCALAR: Final = re.compile(r"true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")


class InvalidText(UsageError):
    """The text of a configuration file cannot be parsed."""


@attrs.frozen
class Node:
    """A value, and its place in the text."""

    start: int
    end: int
    data: Any
    """The value as Python has it."""
    items: tuple[Item, ...] | None = None
    """The members of an object, or the elements of an array; None for other values."""

    def get(self, key: str | int) -> Item | None:
        """Return a member by name, or an element by number; None if there is none.

        Raises:
            InvalidText: the object has the name twice, so that programs differ about its value.
        """
        if isinstance(key, int):
            return self.items[key] if self.items is not None and 0 <= key < len(self.items) else None
        found = [item for item in self.items or () if item.key == key]
        if len(found) > 1:
            raise InvalidText(f"{key!r} is there twice in one object: remove one of them")
        return found[0] if found else None


@attrs.frozen
class Item:
    """A member of an object, or an element of an array."""

    start: int
    """Where it begins: its name, or the element itself."""
    key: str | None
    value: Node
    comma: int | None
    """Where the comma behind it stands, if there is one."""


def parse(text: str) -> Node | None:
    """Parse a text; None if it has nothing but white space and comments.

    Raises:
        InvalidText: it is not JSON with comments. The message has the line and the column.
    """
    parser = _Parser(text)
    at = parser.skip(0)
    if at == len(text):
        return None
    node = parser.value(at, 0)
    if parser.skip(node.end) != len(text):
        raise parser.problem("text behind the end of the value", parser.skip(node.end))
    return node


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text

    def problem(self, what: str, at: int) -> InvalidText:
        line = self._text.count("\n", 0, at) + 1
        column = at - (self._text.rfind("\n", 0, at) + 1) + 1
        return InvalidText(f"line {line}, column {column}: {what}")

    def skip(self, at: int) -> int:
        """Return the offset behind white space and comments."""
        match = _TRIVIA.match(self._text, at)
        assert match is not None
        return match.end()

    def value(self, at: int, depth: int) -> Node:
        if depth > DEEPEST:
            raise self.problem(f"more than {DEEPEST} levels of arrays and objects", at)
        match self._text[at : at + 1]:
            case "{":
                items, end = self._items(at + 1, "}", depth)
                return Node(at, end, {item.key: item.value.data for item in items}, items)
            case "[":
                items, end = self._items(at + 1, "]", depth)
                return Node(at, end, [item.value.data for item in items], items)
            case '"':
                end = self._string_end(at)
                return Node(at, end, self._string(at, end))
        match = _SCALAR.match(self._text, at)
        if match is None:
            raise self.problem("expected a value", at)
        try:
            return Node(at, match.end(), json.loads(match.group()))
        except ValueError:
            raise self.problem("an integer of too many digits", at) from None

    def _items(self, at: int, closing: str, depth: int) -> tuple[tuple[Item, ...], int]:
        """Parse what stands between brackets; return it, and the offset behind the closing one."""
        items: list[Item] = []
        while True:
            at = self.skip(at)
            if self._text[at : at + 1] == closing:
                return tuple(items), at + 1
            if items and items[-1].comma is None:
                raise self.problem(f"expected a comma or {closing}", at)
            start, key = at, None
            if closing == "}":
                key, at = self._key(at)
            value = self.value(at, depth + 1)
            at = self.skip(value.end)
            comma = at if self._text[at : at + 1] == "," else None
            items.append(Item(start, key, value, comma))
            at = at if comma is None else comma + 1

    def _key(self, at: int) -> tuple[str, int]:
        """Parse a name and the colon behind it; return the name, and the offset of the value."""
        end = self._string_end(at)
        colon = self.skip(end)
        if self._text[colon : colon + 1] != ":":
            raise self.problem("expected a colon", colon)
        return self._string(at, end), self.skip(colon + 1)

    def _string_end(self, at: int) -> int:
        match = _STRING.match(self._text, at)
        if match is None:
            raise self.problem("expected a string in double quotes", at)
        return match.end()

    def _string(self, start: int, end: int) -> str:
        try:
            return str(json.loads(self._text[start:end]))
        except ValueError:
            raise self.problem("an escape that JSON does not have", start) from None
