"""What a reader meets first: files of a size that can be read at once, and first lines that can."""

import ast

import pytest

from tests.sources import SourceFile, source_files

MOST_LINES = 400
LONGER_FILES: set[str] = set()
"""Files that may still be longer; the aim is none."""

MOST_WORDS = 20
LONG_FIRST_LINES: set[str] = set()
"""Packages whose docstrings may still begin with more words; the aim is none."""


@pytest.mark.parametrize("source", source_files(), ids=str)
def test_the_file_can_be_read_at_once(source: SourceFile) -> None:
    if str(source) not in LONGER_FILES:
        assert len(source.text.splitlines()) <= MOST_LINES, "split it, by thing"


def first_sentence(docstring: str) -> str:
    """The words up to the first full stop or empty line."""
    paragraph = " ".join(docstring.split("\n\n")[0].split())
    return paragraph.split(". ")[0]


@pytest.mark.parametrize("source", source_files(), ids=str)
def test_docstrings_begin_with_a_line_of_at_most_twenty_words(source: SourceFile) -> None:
    if source.package in LONG_FIRST_LINES:
        return
    long = [
        f"{source}:{1 if isinstance(node, ast.Module) else node.lineno}: {first}"
        for node in source.definitions()
        if len((first := first_sentence(ast.get_docstring(node) or "")).split()) > MOST_WORDS
    ]
    assert not long, "\n".join(long)
