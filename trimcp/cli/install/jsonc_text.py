"""Edits JSON with comments by replacing spans of the text.

The rest stays byte for byte as it is. A path leads from the top to a value: names of members, and numbers of elements.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final

from trimcp.cli.install import expected
from trimcp.cli.install.jsonc_tree import InvalidText, Item, Node, parse

Path = Sequence[str | int]
DEFAULT_INDENT: Final = "  "
_WHITE: Final = " \t\r\n"
_REST_OF_LINE: Final = re.compile(r"[ \t]*(\r?\n)?")
_COMMENT: Final = re.compile(r"//[^\r\n]*|/\*.*?\*/", re.DOTALL)
_FIRST_INDENT: Final = re.compile(r"^([ \t]+)\S", re.MULTILINE)


def load(text: str) -> Any:
    """Return the data of a text; an empty object if there is none.

    Raises:
        InvalidText: the text is not JSON with comments.
    """
    node = parse(text)
    return {} if node is None else node.data


def put(text: str, path: Path, value: Any) -> str:
    """Set the value at a path, and make the objects above it that are missing.

    Raises:
        InvalidText: the text is not JSON with comments, or the path leads through a value that is not an object.
    """
    root = parse(text)
    if root is None:
        # A comment at the end of the text would take the object in.
        is_line_open = text.rstrip(" \t") and not text.rstrip(" \t").endswith(("\n", "\r"))
        text = text + (_newline(text) if is_line_open else "") + "{}" + _newline(text)
        root = parse(text)
    assert root is not None
    node = root
    for depth, key in enumerate(path):
        wanted, kind = (dict, "an object") if isinstance(key, str) else (list, "an array")
        if not isinstance(node.data, wanted):
            raise InvalidText(f"{'.'.join(map(str, path[:depth])) or 'the top'} is not {kind}")
        item = node.get(key)
        if item is None:
            for missing in reversed(path[depth + 1 :]):
                value = {missing: value}
            return _Writer(text, root).insert(node, key, value)
        node = item.value
    if _same(node.data, value):
        return text
    return text[: node.start] + _Writer(text, root).written(value, node.start) + text[node.end :]


def append(text: str, path: Path, value: Any) -> str:
    """Add an element to the array at a path, which is made if it is missing.

    Raises:
        InvalidText: as for `put`, or the value at the path is not an array.
    """
    found = expected.at(load(text), path)
    if found is None:
        return put(text, path, [value])
    return put(text, [*path, len(found) if isinstance(found, list) else 0], value)


def remove(text: str, path: Path) -> str:
    """Remove the member or the element at a path, with its comma.

    Where there is none, the text stays as it is.

    Raises:
        InvalidText: the text is not JSON with comments.
    """
    node = parse(text)
    above: Node | None = None
    item: Item | None = None
    for key in path:
        item = None if node is None else node.get(key)
        if item is None:
            return text
        above, node = node, item.value
    if above is None or item is None or above.items is None:
        return text
    at = above.items.index(item)
    before = above.items[at - 1] if at else None
    commas = [item.comma]
    if item.comma is None and before is not None:
        commas = [before.comma]  # it was the last one: so the one before it has no comma now
    elif item.comma is not None and not text[item.value.end : item.comma].strip(_WHITE):
        commas = []  # it goes with the item
    start, end = _removed_span(text, item, above.start + 1 if before is None else before.value.end)
    text = text[:start] + text[end:]
    for comma in commas:
        if comma is not None:
            comma -= end - start if comma >= end else 0
            text = text[:comma] + text[comma + 1 :]
    return text


def _removed_span(text: str, item: Item, behind: int) -> tuple[int, int]:
    """Return the span of an item and its white space: whole lines, where nothing else stands on them.

    Args:
        text: the text.
        item: the item.
        behind: where the item before it ends.
    """
    start, end = item.start, item.value.end
    if item.comma is not None and not text[end : item.comma].strip(_WHITE):
        end = item.comma + 1
    line = text.rfind("\n", 0, start) + 1
    rest = _REST_OF_LINE.match(text, end)
    assert rest is not None
    if not text[line:start].strip(_WHITE) and rest.group(1):
        return line, rest.end()
    if item.comma is not None:
        return start, end if rest.group(1) else rest.end()
    # The end of a line comment must stay behind it.
    white = " \t" if "//" in text[behind:start] else _WHITE
    return len(text[:start].rstrip(white)), end


def _behind_comments(text: str, start: int, end: int) -> int:
    """Return the end of the last comment between two offsets, or the first offset if there is none."""
    return max((match.end() for match in _COMMENT.finditer(text, start, end)), default=start)


def _same(found: Any, value: Any) -> bool:
    """Compare as JSON: true is not 1."""
    return json.dumps(found, sort_keys=True) == json.dumps(value, sort_keys=True)


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


class _Writer:
    """Writes values as the rest of the text is written: its line ends, its indentation, or all on one line."""

    def __init__(self, text: str, root: Node) -> None:
        self._text = text
        first = _FIRST_INDENT.search(text)
        self._unit = first.group(1) if first else DEFAULT_INDENT
        self._newline = _newline(text)
        self._on_one_line = not re.search(r"[\r\n]", text[root.start : root.end]) and bool(root.items)

    def insert(self, node: Node, key: str | int, value: Any) -> str:
        """Add an item behind the others of an object or an array, and behind the comments there."""
        text, items = self._text, node.items
        assert items is not None
        closing = node.end - 1
        at = _behind_comments(text, self._behind_items(node), closing)
        indent = self._indent_of(node)
        name = f"{json.dumps(key, ensure_ascii=False)}: " if isinstance(key, str) else ""
        item = name + self._formatted(value, indent)
        if items and items[-1].comma is not None:
            item += ","
        if self._on_one_line:
            item = (" " if items else "") + item
        else:
            item = self._newline + indent + item
            if not items and "\n" not in text[at:closing]:
                item += self._newline + self._line_indent(node.start)
        text = text[:at] + item + text[at:]
        if items and items[-1].comma is None:
            end = items[-1].value.end
            text = text[:end] + "," + text[end:]
        return text

    def _behind_items(self, node: Node) -> int:
        if not node.items:
            return node.start + 1
        last = node.items[-1]
        return last.value.end if last.comma is None else last.comma + 1

    def written(self, value: Any, at: int) -> str:
        """Return the text of a value that begins at an offset."""
        return self._formatted(value, self._line_indent(at))

    def _line_indent(self, at: int) -> str:
        line = self._text[self._text.rfind("\n", 0, at) + 1 : at]
        return line[: len(line) - len(line.lstrip(" \t"))]

    def _indent_of(self, node: Node) -> str:
        """Return the indentation of the items of an object or an array."""
        for item in node.items or ():
            line = self._text[self._text.rfind("\n", 0, item.start) + 1 : item.start]
            if not line.strip(" \t"):
                return line
        return self._line_indent(node.start) + self._unit

    def _formatted(self, value: Any, indent: str) -> str:
        if isinstance(value, dict) and value and not self._on_one_line:
            inner = indent + self._unit
            members = (f"{json.dumps(k, ensure_ascii=False)}: {self._formatted(v, inner)}" for k, v in value.items())
            lines = f",{self._newline}{inner}".join(members)
            return f"{{{self._newline}{inner}{lines}{self._newline}{indent}}}"
        return json.dumps(value, ensure_ascii=False)
