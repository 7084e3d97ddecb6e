"""Edits YAML: an entry is put in or cut out by its lines, and ruamel.yaml changes what is there.

ruamel.yaml keeps comments, quotes and order, but writes indentation anew. So it is used only where lines do not do.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from trimcp.cli.install import expected
from trimcp.cli.install.jsonc_tree import InvalidText

_WIDTH: Final = 2**16
"""Columns before a long line is broken: never."""
_NO_CONTENT: Final = re.compile(r"\s*(#.*)?$")
_EMPTY: Final = re.compile(r"(\s*:)\s*(?:\{\s*\}|null|~)?\s*(#.*)?$")


def load(text: str) -> Any:
    """Return the data of a text.

    Raises:
        InvalidText: the text is not YAML.
    """
    try:
        found = YAML(typ="safe", pure=True).load(text)
    except YAMLError as exc:
        raise InvalidText(" ".join(str(exc).split())) from None
    return {} if found is None else found


def put(text: str, path: Sequence[str | int], value: Any) -> str:
    """Set the value at a path, and make the mappings above it that are missing.

    Raises:
        InvalidText: the text is not YAML, or the path leads through a value that is not a mapping.
    """
    found = load(text)
    edits: list[expected.Attempt] = [partial(_changed, text, path, value)]
    if expected.at(found, path) is None and len(path) == 2:
        edits.insert(0, partial(_with_lines, text, path, value))
    return expected.first_that_fits(edits, load, expected.with_value(found, path, value))


def remove(text: str, path: Sequence[str | int]) -> str:
    """Remove the value at a path; the text as it is where there is none.

    Raises:
        InvalidText: the text is not YAML.
    """
    found = load(text)
    if expected.at(found, path) is None:
        return text
    edits: list[expected.Attempt] = [partial(_cut_out, text, path), partial(_deleted, text, path)]
    return expected.first_that_fits(edits, load, expected.without(found, path))


# --- by lines -------------------------------------------------------------------------


def _block(lines: Sequence[str], key: str | int, indent: int, start: int = 0) -> tuple[int, int] | None:
    """Return the lines of a key and its value, without comments and empty lines behind them."""
    named = re.compile(rf"[ ]{{{indent}}}(['\"]?){re.escape(str(key))}\1\s*:(\s|$)")
    first = next((at for at in range(start, len(lines)) if named.match(lines[at])), None)
    if first is None:
        return None
    end = first + 1
    for at in range(first + 1, len(lines)):
        if _NO_CONTENT.match(lines[at]):
            continue
        if len(lines[at]) - len(lines[at].lstrip(" ")) <= indent and not lines[at].startswith(" " * indent + "- "):
            break
        end = at + 1
    return first, end


def _inner_indent(lines: Sequence[str], block: tuple[int, int]) -> int:
    for line in lines[block[0] + 1 : block[1]]:
        if not _NO_CONTENT.match(line):
            return len(line) - len(line.lstrip(" "))
    return 2


def _lines(text: str) -> list[str]:
    """Split a text at its line feeds only, and keep them."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _with_lines(text: str, path: Sequence[str | int], value: Any) -> str | None:
    newline = "\r\n" if "\r\n" in text else "\n"
    lines = _lines(text if text.endswith("\n") or not text else text + newline)
    above = _block(lines, path[0], 0)
    indent = 2 if above is None else _inner_indent(lines, above)
    yaml = _yaml("")
    yaml.indent(mapping=indent, sequence=indent + 2, offset=indent)
    new = [" " * indent + line + newline for line in _dumped(yaml, {path[1]: value}).splitlines()]
    if above is None:
        return "".join([*lines, f"{path[0]}:{newline}", *new])
    heading = lines[above[0]]
    at = heading.index(":")
    empty = _EMPTY.match(heading, at)
    if above[1] == above[0] + 1 and empty is not None:
        comment = (empty.group(2) or "").rstrip()
        lines[above[0]] = f"{heading[:at]}:{f' {comment}' if comment else ''}{newline}"
    return "".join(lines[: above[1]] + new + lines[above[1] :])


def _cut_out(text: str, path: Sequence[str | int]) -> str | None:
    lines = _lines(text)
    above = _block(lines, path[0], 0)
    if above is None or len(path) != 2:
        return None
    ours = _block(lines[: above[1]], path[1], _inner_indent(lines, above), above[0] + 1)
    if ours is None:
        return None
    if ours == (above[0] + 1, above[1]):
        lines[above[0]] = lines[above[0]].replace(":", ": {}", 1)
    return "".join(lines[: ours[0]] + lines[ours[1] :])


# --- by ruamel.yaml -------------------------------------------------------------------


def _yaml(text: str) -> YAML:
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = _WIDTH
    first = re.search(r"^( +)[^\s#-]", text, re.MULTILINE)
    mapping = len(first.group(1)) if first else 2
    dash = re.search(r"^( *)[^\s#-][^\n]*:\s*\n( *)- ", text, re.MULTILINE)
    offset = max(len(dash.group(2)) - len(dash.group(1)), 0) if dash else 0
    yaml.indent(mapping=mapping, sequence=offset + 2, offset=offset)
    return yaml


def _dumped(yaml: YAML, data: Any) -> str:
    stream = io.StringIO()
    yaml.dump(data, stream)
    return stream.getvalue()


def _changed(text: str, path: Sequence[str | int], value: Any) -> str:
    yaml = _yaml(text)
    document = yaml.load(text)
    at = document = {} if document is None else document
    for key in path[:-1]:
        if at.get(key) is None:
            at[key] = {}
        at = at[key]
    at[path[-1]] = value
    return _dumped(yaml, document)


def _deleted(text: str, path: Sequence[str | int]) -> str:
    yaml = _yaml(text)
    document = yaml.load(text)
    at = document
    for key in path[:-1]:
        at = at[key]
    del at[path[-1]]
    return _dumped(yaml, document)
