"""Finds the Python blocks of README.md and docs/, and the orders in their first lines.

The orders stand after the language of a fence, where readers do not see them:

    ```python runs              the block is a program of its own: it is run
    ```python from=FILE         the block is in that file, word for word
    ```text printed             what the block before it printed, all of it
    ```python                   a fragment: it must at least be Python

Tests carry out these orders.
"""

import re
from pathlib import Path

import attrs

from tests.programs import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

_FENCE = re.compile(r"^```(\w+)([^\n`]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@attrs.frozen
class Block:
    """One fenced block."""

    page: Path
    line: int
    language: str
    orders: str
    text: str
    printed: str | None = None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """All fenced blocks of a page that name a language, each with the output that follows it."""
    source = page.read_text()
    blocks: list[Block] = []
    for match in _FENCE.finditer(source):
        language, orders, text = match.groups()
        if language == "text" and orders.strip() == "printed":
            assert blocks, f"{page}: nothing stands before what was printed"
            blocks[-1] = attrs.evolve(blocks[-1], printed=text)
        else:
            line = source.count("\n", 0, match.start()) + 1
            blocks.append(Block(page, line, language, orders.strip(), text))
    return blocks


def python_blocks() -> list[Block]:
    """The Python blocks of all pages."""
    return [block for page in PAGES if page.exists() for block in blocks_of(page) if block.language == "python"]
