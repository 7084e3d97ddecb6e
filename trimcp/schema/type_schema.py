"""`TypeSchema`: one type hint as a JSON Schema, with the functions that read and write its values.

The readers of the kinds of hints (`scalars`, `containers`, `unions`, `classes`, `third_party`) return
these records; `builder` puts them together. Nothing here knows a particular type.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs

from trimcp.schema.problems import at

ANY_TYPE: Final = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})
"""All types of JSON Schema."""
LOAD_ERRORS: Final = (ValueError, TypeError, ArithmeticError)
"""The exceptions by which constructors refuse a value: the argument is wrong then, not the tool."""
NO_DEFAULT: Final = object()
"""Stands for a missing default, since None is a default like any other."""
_REASON_LENGTH: Final = 300


@attrs.frozen(eq=False, repr=False)
class TypeSchema:
    """Holds the JSON Schema of one type hint, and how its values are loaded and written."""

    schema: dict[str, Any]
    load: Callable[[Any], Any] | None = None
    """Builds the Python value from a JSON value that fits the schema; None: the JSON value is used as it is."""
    json_types: frozenset[str] = ANY_TYPE
    """The JSON types that a fitting value may have."""
    converted: bool = False
    """Whether the Python value is of another kind than its JSON (a date in a string): the schema
    cannot express bounds on it, so they are checked after loading."""
    to_builtins: Callable[[Any], Any] | None = None
    """For results: converts a value to JSON's own types, see `schema.dump`; None: nothing to convert."""


class LoadFailed(ValueError):
    """A value fits its schema, but no Python value can be built from it.

    Attributes:
        problems: pairs of a text and a path. Each enclosing loader puts its step before the path.
    """

    def __init__(self, problems: list[tuple[str, list[str | int]]]) -> None:
        super().__init__(problems)
        self.problems: list[tuple[str, list[str | int]]] = problems

    def texts(self) -> list[str]:
        """Return the problems as strings `… @ $.path`."""
        return [at(words, path) for words, path in self.problems]


def expected(words: str) -> LoadFailed:
    """Make the error of a loader that expected something else."""
    return LoadFailed([(f"expected {words}", [])])


def located(error: Exception, *steps: str | int) -> LoadFailed:
    """Make a `LoadFailed` of an error that happened below `steps`."""
    if isinstance(error, LoadFailed):
        problems = [(words, [*steps, *path]) for words, path in error.problems]
    else:
        words = " ".join(str(error).split())[:_REASON_LENGTH] or type(error).__name__
        problems = [(f"refused: {words}", list(steps))]
    return LoadFailed(problems)
