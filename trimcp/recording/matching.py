"""Compares recorded values with others: what a mask stands for matches anything."""

from __future__ import annotations

from typing import Any

from trimcp.view.masking import MASKED


def same_scalar(recorded: Any, given: Any) -> bool:
    """Return whether a value that is no object and no array is as recorded. 1 and true are two values."""
    if isinstance(recorded, str) and MASKED in recorded:
        return recorded == MASKED or (isinstance(given, str) and _fits(recorded, given))
    if isinstance(recorded, bool) or isinstance(given, bool):
        return recorded is given
    return bool(recorded == given)


def _fits(recorded: str, given: str) -> bool:
    """Return whether a text is as recorded, with any text in the places of the masks."""
    first, *middle, last = recorded.split(MASKED)
    if len(given) < len(first) + len(last) or not given.startswith(first) or not given.endswith(last):
        return False
    at, end = len(first), len(given) - len(last)
    for part in middle:
        at = given.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


def same(recorded: Any, given: Any) -> bool:
    """Return whether a value is as recorded."""
    if recorded == MASKED:
        return True
    if isinstance(recorded, dict):
        return (
            isinstance(given, dict)
            and recorded.keys() == given.keys()
            and all(same(recorded[key], given[key]) for key in recorded)
        )
    if isinstance(recorded, list):
        return (
            isinstance(given, list)
            and len(recorded) == len(given)
            and all(same(one, other) for one, other in zip(recorded, given, strict=True))
        )
    return not isinstance(given, dict | list) and same_scalar(recorded, given)


def same_params(recorded: dict[str, Any], given: dict[str, Any]) -> bool:
    """Return whether the params of two requests ask for the same: `_meta` is of the client, and does not count."""
    return same(_without_meta(recorded), _without_meta(given))


def _without_meta(params: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in params.items() if key != "_meta"}
