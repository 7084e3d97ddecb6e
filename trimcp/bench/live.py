"""Shows a run on stderr while it lasts: a table that changes, or a line for each second."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from trimcp.bench.quantities import shown_bytes, shown_seconds
from trimcp.bench.run import Progress

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


class View:
    """Shows the seconds of a run; this one shows nothing."""

    def show(self, progress: Progress) -> None:
        """Show one second."""


class Plain(View):
    """Writes a line for each second."""

    def show(self, progress: Progress) -> None:
        """See `View`."""
        name, value = zip(*cells(progress), strict=True)
        text = "  ".join(f"{each} {cell}" for each, cell in zip(name[1:], value[1:], strict=True))
        print(f"{progress.phase:<9} {value[0]:>5}  {text}", file=sys.stderr, flush=True)


class Moving(View):
    """Draws the last seconds as a table, in place."""

    def __init__(self, rows: int = 12) -> None:
        from rich.live import Live

        self._rows: list[Progress] = []
        self._most = rows
        self.live: Live = Live(self._table(), auto_refresh=False, transient=True, console=_console())

    def show(self, progress: Progress) -> None:
        """See `View`."""
        self._rows = [*self._rows, progress][-self._most :]
        self.live.update(self._table(), refresh=True)

    def _table(self) -> Table:
        from rich.table import Table

        table = Table(box=None)
        for number, progress in enumerate(self._rows):
            row = cells(progress)
            if number == 0:
                table.add_column("")
                for name, _ in row:
                    table.add_column(name, justify="right")
            style = "dim" if progress.phase == "warm-up" else "red" if progress.point.errors else None
            table.add_row(progress.phase, *(value for _, value in row), style=style)
        return table


def _console() -> Console:
    from rich.console import Console

    return Console(stderr=True)


def cells(progress: Progress) -> list[tuple[str, str]]:
    """Return the figures of a second, by name."""
    point = progress.point
    p50, p99 = (shown_seconds(value / 1e9) for value in point.times.percentiles((50, 99)))
    return [
        ("second", f"{progress.second}"),
        ("offered", f"{point.offered:,}"),
        ("results", f"{point.answered:,}"),
        ("errors", f"{point.errors:,}"),
        ("dropped", f"{point.dropped:,}"),
        ("in flight", f"{point.in_flight:,}"),
        ("p50", p50),
        ("p99", p99),
        ("sessions", f"{progress.sessions:,}"),
        ("memory", shown_bytes(point.memory) if point.memory else "–"),
    ]


@contextmanager
def opened(*, live: bool, plain: bool) -> Iterator[View]:
    """Open a view: the moving one, lines, or none."""
    if plain:
        yield Plain()
    elif live:
        view = Moving()
        with view.live:
            yield view
    else:
        yield View()
