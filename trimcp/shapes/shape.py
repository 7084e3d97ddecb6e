"""What one type hint amounts to in JSON: a schema, and how a value is built.

Owns the record that all builders of shapes return, and the error by which a value that fits its
schema is refused while it is built. Nothing here knows any particular type.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs

from trimcp.codec.schema_problems import at

ANY_KIND: Final = frozenset({"null", "boolean", "integer", "number", "string", "array", "object"})
LOAD_ERRORS: Final = (ValueError, TypeError, ArithmeticError)
"""What constructors raise for a value they do not like; it is then the caller's argument that is
at fault. Any other exception is a fault of the tool."""
NO_DEFAULT: Final = object()
"""Stands for the default of what has none, where None is a default like any other."""
_WORDS_SHOWN: Final = 300


@attrs.frozen
class Shape:
    """One type hint in JSON terms."""

    schema: dict[str, Any]
    load: Callable[[Any], Any] | None = None
    """Builds the Python value from a JSON value that fits the schema; None: it is the value."""
    kinds: frozenset[str] = ANY_KIND
    """The JSON types that a fitting value may have."""
    opaque: bool = False
    """Whether the Python value is of another nature than its JSON (a date in a string), so that
    bounds on it cannot be written in the schema and are checked after loading."""
    plain: Callable[[Any], Any] | None = None
    """For results: makes JSON's own types of a value, see `shapes.plain`; None: nothing is to be made."""


class LoadFailed(ValueError):
    """A value that fits its schema cannot be built.

    Attributes:
        problems: pairs of words and path; the path grows while the error goes outwards.
    """

    def __init__(self, problems: list[tuple[str, list[str | int]]]) -> None:
        super().__init__(problems)
        self.problems = problems

    def texts(self) -> list[str]:
        """The problems as strings `… @ $.path`."""
        return [at(words, path) for words, path in self.problems]


def expected(words: str) -> LoadFailed:
    """The error of a loader that says what it would have taken."""
    return LoadFailed([(f"expected {words}", [])])


def located(error: Exception, *steps: str | int) -> LoadFailed:
    """The error as seen from further out: `steps` lead to where it happened."""
    if isinstance(error, LoadFailed):
        problems = [(words, [*steps, *path]) for words, path in error.problems]
    else:
        words = " ".join(str(error).split())[:_WORDS_SHOWN] or type(error).__name__
        problems = [(f"refused: {words}", list(steps))]
    return LoadFailed(problems)
