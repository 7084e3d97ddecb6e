"""Docstrings as Sphinx wants them: an indented block is code, and a colon in an attribute's text is a colon."""

import ast
import textwrap
from typing import Any

from sphinx.application import Sphinx


def _prepare(app: Sphinx, what: str, name: str, value: object, options: Any, lines: list[str]) -> None:
    if what in ("attribute", "data", "property") and lines and lines[0]:
        lines[:0] = ["..", ""]  # an empty comment: else napoleon takes the text before a colon for a type
    number = 1
    while number < len(lines):
        if (
            lines[number].startswith("    ")
            and not lines[number - 1]
            and not _last_text(lines[:number]).startswith(" ")
        ):
            end = number
            while end < len(lines) and (not lines[end] or lines[end].startswith("    ")):
                end += 1
            lines[number:number] = [f".. code-block:: {_language(lines[number:end])}", ""]
            number = end + 2
        number += 1


def _language(block: list[str]) -> str:
    try:
        ast.parse(textwrap.dedent("\n".join(block)))
    except SyntaxError:
        return "none"
    return "python"


def _last_text(lines: list[str]) -> str:
    return next((line for line in reversed(lines) if line), "")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the extension."""
    app.connect("autodoc-process-docstring", _prepare, priority=400)  # before napoleon
    return {"parallel_read_safe": True}
