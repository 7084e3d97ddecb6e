"""Why a value was refused, as strings with paths: what cattrs raises in its detailed mode, put into words.

Decoding runs fast first and knows only that something is wrong; the converter in detailed mode
then goes through the same value once more, and this file reads what it raises.
"""

from __future__ import annotations

from collections.abc import Iterator

from cattrs import ClassValidationError, IterableValidationError

from trimcp.codec.renames import wire_fields
from trimcp.codec.schema_problems import at
from trimcp.codec.strict import Refused

MAX_PROBLEMS = 20
"""How many problems of one value are reported; the peer can ask again when it has mended these."""

Path = tuple[str | int, ...]


def problems_of(error: BaseException) -> list[str]:
    """The problems that an error of structuring stands for, at most `MAX_PROBLEMS`."""
    found: dict[str, None] = {}
    for problem in _problems(error, ()):
        found[problem] = None
        if len(found) == MAX_PROBLEMS:
            break
    return list(found)


def _problems(error: BaseException, path: Path) -> Iterator[str]:
    if isinstance(error, ClassValidationError):
        names = {field.name: field.wire for field in wire_fields(error.cl)}
        for inner, note in error.group_exceptions()[0]:
            yield from _problems(inner, (*path, names[note.name]))
    elif isinstance(error, IterableValidationError):
        for inner, item_note in error.group_exceptions()[0]:
            yield from _problems(inner, (*path, item_note.index))
    elif isinstance(error, Refused):
        yield at(error.words, (*path, *error.steps))
    else:
        # A KeyError: the generated code takes a required property by its name, in which the path ends.
        yield at("required property missing", path)
