"""The plots and tables of figures are those that `benchmarks/figures.toml` gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from benchmarks import plots
from tests.programs import ROOT

RECT = "{http://www.w3.org/2000/svg}rect"


@pytest.mark.parametrize("path", plots.written(), ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_published_is_up_to_date(path: Path) -> None:
    assert path.read_text() == plots.written()[path], "run `python -m benchmarks.plots`"


def test_all_figures_stand_on_a_page_and_no_picture_is_left_over() -> None:
    found: dict[str, Any] = plots.figures()
    named = [place[2] for page in plots.PAGES for place in plots.PLACE.finditer(page.read_text())]
    assert sorted(named) == sorted(each["name"] for each in [*found["charts"], *found["tables"]])
    assert set(plots.PICTURES.iterdir()) == {path for path in plots.written() if path.suffix == ".svg"}


def test_bars_are_as_long_as_their_figures_and_a_missing_figure_has_none() -> None:
    programs = {"trimcp": [400, 100], "other <b>": [200, None]}
    text = plots.svg({"title": "A & B", "unit": "x", "better": "more", "groups": ["g", "h"], "programs": programs})
    bars = [(bar.get("class"), float(bar.get("width", ""))) for bar in ElementTree.fromstring(text).iter(RECT)]
    assert bars == [("bar ours", 480.0), ("bar", 240.0), ("bar ours", 120.0)]
    assert "other &lt;b&gt;" in text
