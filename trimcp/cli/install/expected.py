"""Says what an edited text must contain, so that an edit can be checked before a file is written."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from trimcp.cli.install.jsonc_tree import InvalidText

Attempt = Callable[[], str | None]
"""Edits a text; None where it cannot."""


def at(data: Any, path: Sequence[str | int]) -> Any:
    """Return the value at a path; None if there is none."""
    for key in path:
        try:
            data = data[key]
        except (LookupError, TypeError):
            return None
    return data


def with_value(data: Any, path: Sequence[str | int], value: Any) -> Any:
    """Return a copy of the data with the value at the path.

    Raises:
        InvalidText: the path leads through a value that is not an object.
    """
    found = copy.deepcopy(data)
    above = found
    for depth, key in enumerate(path):
        if not isinstance(above, dict):
            raise InvalidText(f"{'.'.join(map(str, path[:depth])) or 'the top'} is not an object")
        if depth == len(path) - 1:
            above[key] = value
        elif above.get(key) is None:
            above[key] = {}
        above = above[key]
    return found


def without(data: Any, path: Sequence[str | int]) -> Any:
    """Return a copy of the data without the value at the path, which is there."""
    found = copy.deepcopy(data)
    del at(found, path[:-1])[path[-1]]
    return found


def first_that_fits(edits: Iterable[Attempt], load: Callable[[str], Any], expected: Any) -> str:
    """Return the text of the first edit that has the expected value.

    Raises:
        InvalidText: none has it.
    """
    for edit in edits:
        text = edit()
        try:
            if text is not None and load(text) == expected:
                return text
        except InvalidText:
            continue
    raise InvalidText("it cannot be edited without a change of other parts: add the entry by hand (--print shows it)")
