"""The screens that `trimcp demo` shows itself on: a terminal with moving bars, or plain lines of text."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress

WIDTH = 36
"""Columns for the name of a bar."""


class Screen:
    """Shows the demonstration to a person, as lines of text: for files and pipes."""

    def heading(self, text: str) -> None:
        """Show the title of a new part."""
        print(f"\n== {text}", flush=True)

    def say(self, text: str) -> None:
        """Show a text without any formatting of its own."""
        print("\n".join(f"   {line}" for line in text.splitlines()), flush=True)

    def stderr_line(self, line: str) -> None:
        """Show a line of the server's stderr. It may arrive at any time."""
        print(f"   server's stderr | {line}", flush=True)

    @contextlib.contextmanager
    def bars(self) -> Iterator[None]:
        """Show bars while the context lasts."""
        yield

    def bar(self, name: str) -> Bar:
        """Add a bar; only inside `bars`."""
        return Bar(self, name)


class Bar:
    """Shows the progress of one call, as a line for each quarter."""

    def __init__(self, screen: Screen, name: str) -> None:
        self._screen = screen
        self._name = name
        self._quarters = 0

    def moved(self, progress: float, total: float | None, message: str | None) -> None:
        """Show a progress report; has the signature of `on_progress`."""
        quarters = int(4 * progress / total) if total else 0
        if quarters > self._quarters:
            self._quarters = quarters
            self._screen.say(f"{self._name:<{WIDTH}} {25 * quarters:>3} %  {message or ''}")

    def done(self, words: str) -> None:
        """Show the end of the call, with its result."""
        self._screen.say(f"{self._name:<{WIDTH}} done   {words}")


def open_screen(*, plain: bool) -> Screen:
    """Return the best screen: plain lines on request, without rich, or where stdout is not a terminal."""
    if plain or not sys.stdout.isatty() or importlib.util.find_spec("rich") is None:
        return Screen()
    return _RichScreen()


class _RichScreen(Screen):
    """Shows colours and moving bars on a terminal."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(highlight=False)
        self._progress: Progress | None = None

    def heading(self, text: str) -> None:
        self._console.print(f"\n[bold cyan]{text}[/]")

    def say(self, text: str) -> None:
        self._print("\n".join(f"  {line}" for line in text.splitlines()))

    def stderr_line(self, line: str) -> None:
        self._print(f"  server's stderr │ {line}", style="yellow")

    def _print(self, text: str, style: str | None = None) -> None:
        # Without markup: text of a server may look like markup.
        self._console.print(text, style=style, markup=False, soft_wrap=True)

    @contextlib.contextmanager
    def bars(self) -> Iterator[None]:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns: tuple[Any, ...] = (
            TextColumn(f"  {{task.description:<{WIDTH}}}", markup=False),
            BarColumn(bar_width=28),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[words]}", markup=False),
        )
        with Progress(*columns, console=self._console) as progress:
            self._progress = progress
            try:
                yield
            finally:
                self._progress = None

    def bar(self, name: str) -> Bar:
        progress = self._progress
        assert progress is not None, "a bar outside of bars()"
        return _RichBar(self, name, progress)


class _RichBar(Bar):
    """Shows progress as a bar of rich."""

    def __init__(self, screen: Screen, name: str, progress: Progress) -> None:
        super().__init__(screen, name)
        self._progress = progress
        # Without a total the bar pulses, until the first report brings one.
        self._task = progress.add_task(name, total=None, words="")

    def moved(self, progress: float, total: float | None, message: str | None) -> None:
        self._progress.update(self._task, completed=progress, total=total, words=message or "")

    def done(self, words: str) -> None:
        total = self._progress.tasks[self._task].total or 1
        self._progress.update(self._task, completed=total, total=total, words=words)
