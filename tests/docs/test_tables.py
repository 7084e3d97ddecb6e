"""The tables of the documentation agree with the code."""

from pathlib import Path

import pytest

from tests.docs.pages import PAGES
from tests.docs.tables import BEGIN, TABLES, filled
from tests.programs import ROOT


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_tables_of_the_page_are_up_to_date(page: Path) -> None:
    text = page.read_text()
    assert filled(text) == text, "run `python -m tests.docs.tables`"


@pytest.mark.parametrize("name", TABLES)
def test_the_table_stands_on_one_page(name: str) -> None:
    assert sum(BEGIN.format(name) in page.read_text() for page in PAGES) == 1
