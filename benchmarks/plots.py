"""Draws the plots of the documentation, and fills its tables, from `benchmarks/figures.toml`.

    python -m benchmarks.plots

To publish new figures, put them into that file and run this. It writes `docs/figures/*.svg`, and on README.md and
docs/benchmarks.md what stands between `<!-- figures NAME -->` and `<!-- end of figures -->`. A chart becomes a picture
and a table, a table becomes a table. The same figures give the same bytes; a test holds that all is up to date.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from benchmarks.report import table

ROOT: Final = Path(__file__).parents[1]
FIGURES: Final = Path(__file__).with_name("figures.toml")
PICTURES: Final = ROOT / "docs" / "figures"
PAGES: Final = (ROOT / "README.md", ROOT / "docs" / "benchmarks.md")
PLACE: Final = re.compile(r"(<!-- figures (\w[\w-]*) -->\n).*?(<!-- end of figures -->)", re.DOTALL)

WIDTH: Final = 720
NAMES: Final = 150
"""The width of the column of names."""
VALUES: Final = 90
"""The width behind the longest bar, for its value."""
BAR, GAP, GROUP = 18, 4, 30
"""Heights: of a bar, between two bars, and of the title of a group."""
STYLE: Final = """\
text { font: 13px system-ui, sans-serif; fill: #24292f } .title { font-size: 15px; font-weight: 600 }
.group, .unit { fill: #57606a } .bar { fill: #9aa7b4 } .ours { fill: #2f6feb }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .group, .unit { fill: #9da7b1 } .bar { fill: #6e7a86 } }"""


def figures() -> dict[str, Any]:
    """Return what the file has."""
    return tomllib.loads(FIGURES.read_text())


def svg(chart: Mapping[str, Any]) -> str:
    """Draw a chart of bars: for each group, a bar for each program that has a figure. All bars have one scale."""
    most = max(value for values in chart["programs"].values() for value in values if value is not None)
    parts: list[str] = []
    y = 50
    for number, group in enumerate(chart["groups"]):
        parts.append(f'<text class="group" x="0" y="{y + 16}">{escape(group)}</text>')
        y += GROUP - 4
        for name, values in chart["programs"].items():
            value = values[number]
            if value is None:
                continue
            length = round((WIDTH - NAMES - VALUES) * value / most, 1)
            kind = "bar ours" if name == "trimcp" else "bar"
            parts += [
                f'<text x="{NAMES - 8}" y="{y + 13}" text-anchor="end">{escape(name)}</text>',
                f'<rect class="{kind}" x="{NAMES}" y="{y}" width="{max(length, 1)}" height="{BAR}" rx="2"/>',
                f'<text x="{NAMES + length + 6:g}" y="{y + 13}">{shown(value)}</text>',
            ]
            y += BAR + GAP
        y += 8
    label = escape(chart["title"], quote=True)
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" role="img" aria-label="{label}">',
        f"<style>{STYLE}</style>",
        f'<text class="title" x="0" y="18">{escape(chart["title"])}</text>',
        f'<text class="unit" x="0" y="38">{escape(chart["unit"])}: {chart["better"]} is better</text>',
    ]
    return "\n".join([*head, *parts, "</svg>", ""])


def shown(value: float | str | None) -> str:
    """Write a figure for people."""
    if value is None:
        return "–"
    return value if isinstance(value, str) else f"{value:,}"


def chart_table(chart: Mapping[str, Any]) -> str:
    """Return the figures of a chart as a table."""
    rows = [[name, *map(shown, values)] for name, values in chart["programs"].items()]
    return table([chart["unit"], *chart["groups"]], rows)


def blocks(found: Mapping[str, Any], page: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of everything that a page may have."""
    for chart in found["charts"]:
        picture = (PICTURES / f"{chart['name']}.svg").relative_to(page.parent)
        yield chart["name"], f"![{chart['title']}]({picture.as_posix()})\n\n{chart_table(chart)}\n"
    for each in found["tables"]:
        yield each["name"], table(each["head"], [list(map(shown, row)) for row in each["rows"]]) + "\n"


def filled(page: Path, found: Mapping[str, Any]) -> str:
    """Return a page with its figures as they should be.

    Raises:
        KeyError: the page names figures that are not in the file.
    """
    texts = dict(blocks(found, page))
    return PLACE.sub(lambda place: place[1] + texts[place[2]] + place[3], page.read_text())


def written(pages: Sequence[Path] = PAGES) -> dict[Path, str]:
    """Return every file that this writes, with its text."""
    found = figures()
    pictures = {PICTURES / f"{chart['name']}.svg": svg(chart) for chart in found["charts"]}
    return pictures | {page: filled(page, found) for page in pages}


if __name__ == "__main__":
    for path, text in written().items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    for stale in set(PICTURES.glob("*.svg")) - set(written()):
        stale.unlink()
