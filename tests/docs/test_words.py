"""Pages, examples, docstrings, comments and errors use no word that docs/glossary.md retires."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import PAGES
from tests.programs import ROOT
from tests.sources import SourceFile, source_files

GLOSSARY = ROOT / "docs" / "glossary.md"
READ_BY_USERS = [*(page for page in PAGES if page != GLOSSARY), *sorted((ROOT / "examples").glob("*.py"))]

PACKAGES_TO_DO: set[str] = set()
"""Packages of trimcp that may still use retired words; the aim is none."""


def first_cells(table: str) -> Iterator[str]:
    """The entries in the first column of the table with this heading."""
    _, found, rest = GLOSSARY.read_text().partition(f"\n| {table} | ")
    assert found
    for row in rest.split("\n\n")[0].splitlines()[2:]:
        yield from (word.strip(" `") for word in row.split("|")[1].split(","))


RETIRED = list(first_cells("word"))
PATTERN = re.compile(rf"(?<!\w)({'|'.join(map(re.escape, RETIRED))})(?!\w)", re.IGNORECASE)


def retired_in(text: str) -> list[str]:
    """The retired words of a text; a line break counts as a space."""
    return PATTERN.findall(re.sub(r"\s+", " ", text))


def test_the_glossary_is_read() -> None:
    assert {"outlet", "direct door", "nobody", "home thread"} <= set(RETIRED)
    assert "RemoteSession" in set(first_cells("class"))
    assert retired_in("by an Outlet, the standing\nstream and the door") == ["Outlet", "standing stream", "door"]
    assert not retired_in("It shapes_up outdoors.")


@pytest.mark.parametrize("page", READ_BY_USERS, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_page_uses_no_retired_word(page: Path) -> None:
    found = [
        f"{page.name}:{number}: {word}"
        for number, line in enumerate(page.read_text().splitlines(), 1)
        for word in retired_in(line)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("source", source_files(), ids=str)
def test_docstrings_comments_and_errors_use_no_retired_word(source: SourceFile) -> None:
    if source.package in PACKAGES_TO_DO:
        return
    found = [f"{source}:{line}: {word}" for line, text in source.prose() for word in retired_in(text)]
    assert not found, "\n".join(found)


def test_no_class_has_a_retired_name() -> None:
    names = {
        node.name: str(source)
        for source in source_files()
        for node in source.definitions()
        if isinstance(node, ast.ClassDef)
    }
    assert not {name: names[name] for name in first_cells("class") if name in names}
