"""Edits TOML.

A new table is put at the end, a table is cut out by its lines, and tomlkit changes other values.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import tomlkit
import tomlkit.items

from trimcp.cli.install import expected
from trimcp.cli.install.jsonc_tree import InvalidText

_HEADING: Final = re.compile(r"\s*\[")


def load(text: str) -> Any:
    """Return the data of a text.

    Raises:
        InvalidText: the text is not TOML.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise InvalidText(str(exc)) from None


def put(text: str, path: Sequence[str | int], value: Any) -> str:
    """Set the value at a path, and make the tables above it that are missing.

    Raises:
        InvalidText: the text is not TOML, or the path leads through a value that is not a table.
    """
    found = load(text)
    wanted = expected.with_value(found, path, value)
    edits: list[expected.Attempt] = [partial(_changed, text, path, value)]
    if isinstance(value, Mapping) and expected.at(found, path) is None:
        edits.insert(0, partial(_with_table_at_end, text, path, value))
    return expected.first_that_fits(edits, load, wanted)


def _with_table_at_end(text: str, path: Sequence[str | int], value: Mapping[str, Any]) -> str:
    newline = "\r\n" if "\r\n" in text else "\n"
    heading = ".".join(tomlkit.key(str(key)).as_string() for key in path)
    lines = tomlkit.dumps(_item(value, inline=False)).splitlines()
    before = text if text.endswith("\n") or not text else text + newline
    return before + (newline if before else "") + "".join(line + newline for line in [f"[{heading}]", *lines])


def _changed(text: str, path: Sequence[str | int], value: Any) -> str:
    document = tomlkit.parse(text)
    table: Any = document
    for depth, key in enumerate(path[:-1]):
        if key not in table:
            table[key] = tomlkit.table(is_super_table=depth == 0)
        table = table[key]
    table[str(path[-1])] = _item(value, inline=len(path) > 2 or isinstance(table, tomlkit.items.InlineTable))
    return tomlkit.dumps(document)


def _item(value: Any, *, inline: bool) -> Any:
    if not isinstance(value, Mapping):
        return value
    table = tomlkit.inline_table() if inline else tomlkit.table()
    for name, each in value.items():
        table[name] = _item(each, inline=True)
    return table


def remove(text: str, path: Sequence[str | int]) -> str:
    """Remove the value at a path; the text as it is where there is none.

    Raises:
        InvalidText: the text is not TOML.
    """
    found = load(text)
    if expected.at(found, path) is None:
        return text
    wanted = expected.without(found, path)
    edits: list[expected.Attempt] = [partial(_cut_out, text, path), partial(_deleted, text, path)]
    # The table above may go with its last member.
    try:
        return expected.first_that_fits(edits, load, wanted)
    except InvalidText:
        return expected.first_that_fits(edits, load, expected.without(found, path[:-1]))


def _cut_out(text: str, path: Sequence[str | int]) -> str:
    """Leave out the lines of a table and of those in it.

    The empty lines before them go as well; comments behind them stay.
    """
    heading = ".".join(tomlkit.key(str(key)).as_string() for key in path)
    ours = re.compile(rf"\s*\[\s*{re.escape(heading)}\s*(\]|\.)")
    kept: list[str] = []
    waiting: list[str] = []
    cutting = False
    for line in re.findall(r"[^\n]*\n|[^\n]+", text):
        if _HEADING.match(line):
            if ours.match(line):
                if not cutting:
                    while kept and not kept[-1].strip():
                        kept.pop()
                cutting, waiting = True, []
                continue
            cutting = False
            kept += waiting
            waiting = []
        if not cutting:
            kept.append(line)
        elif line.strip() and not line.lstrip().startswith("#"):
            waiting = []
        else:
            waiting.append(line)  # before a heading, a comment is about what follows
    return "".join(kept + waiting)


def _deleted(text: str, path: Sequence[str | int]) -> str:
    document = tomlkit.parse(text)
    table: Any = document
    for key in path[:-1]:
        table = table[key]
    del table[path[-1]]
    return tomlkit.dumps(document)
