"""Docstrings: the description of a tool or a class, and of its parameters or attributes.

Reads the three usual styles (Google, NumPy, reST), and returns the docstring without the section of
parameters, as the model shall read it. The signature of a tool and `classes` use it.
"""

from __future__ import annotations

import inspect
import re
from typing import Final

_GOOGLE: Final = re.compile(r"^(Args|Arguments|Parameters|Params|Keyword Args|Keyword Arguments|Attributes)\s*:\s*$")
_NUMPY: Final = re.compile(r"^(Parameters|Params|Arguments|Other Parameters|Args|Attributes)\s*$")
_UNDERLINE: Final = re.compile(r"^-{3,}\s*$")
_REST: Final = re.compile(r"^[:@](param|parameter|arg|argument|key|keyword|type|attribute|ivar|var)\b[^:]*:")
_BLANK_LINES: Final = re.compile(r"\n{3,}")


def read_docstring(text: str | None) -> tuple[str | None, dict[str, str]]:
    """Return the description, and the descriptions of the parameters (or attributes) by name."""
    if not text or not text.strip():
        return None, {}
    lines = inspect.cleandoc(text).splitlines()
    kept = _without_parameters(lines)
    description = _BLANK_LINES.sub("\n\n", "\n".join(kept)).strip() or None
    if len(kept) == len(lines):
        return description, {}
    # Imported here, since only registration needs it, and only for docstrings with parameters.
    import docstring_parser

    try:
        parsed = docstring_parser.parse(text)  # it cleans the text, which must not be done twice
    except docstring_parser.ParseError:
        return description, {}
    found = {}
    for parameter in parsed.params:
        if parameter.description:
            names = parameter.arg_name.replace("*", "").split(",")
            found.update({name.strip(): " ".join(parameter.description.split()) for name in names})
    return description, found


def _without_parameters(lines: list[str]) -> list[str]:
    kept: list[str] = []
    index = 0
    while index < len(lines):
        line = lines[index]
        following = lines[index + 1] if index + 1 < len(lines) else ""
        if _GOOGLE.match(line):
            index = _end_of_indented(lines, index + 1)
        elif _NUMPY.match(line) and _UNDERLINE.match(following):
            index = _end_of_numpy(lines, index + 2)
        elif _REST.match(line):
            index = _end_of_indented(lines, index + 1, stop_at_blank=True)
        else:
            kept.append(line)
            index += 1
    return kept


def _end_of_indented(lines: list[str], index: int, *, stop_at_blank: bool = False) -> int:
    while index < len(lines):
        line = lines[index]
        if (line.strip() and not line[0].isspace()) or (stop_at_blank and not line.strip()):
            return index
        index += 1
    return index


def _end_of_numpy(lines: list[str], index: int) -> int:
    while index < len(lines):
        following = lines[index + 1] if index + 1 < len(lines) else ""
        if lines[index].strip() and _UNDERLINE.match(following):
            return index
        index += 1
    return index
