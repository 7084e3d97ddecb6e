"""The person at the terminal: what they are told on stderr, and what they are asked.

Results go to stdout, and nothing else does. What a server wrote is shown without its control
characters, since these would be obeyed by the terminal.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any, Final

import trio

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from trimcp.session.calls import OnProgress

WIDTH: Final = 28
"""Columns of a bar."""
_UNSEEN: Final = {
    code: "\N{REPLACEMENT CHARACTER}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"
}
# Characters by which text can be made to read as other text than it is.
_UNSEEN.update(dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), "\N{REPLACEMENT CHARACTER}"))


def printable(text: str) -> str:
    """A text without what a terminal would obey rather than show."""
    return text.replace("\r\n", "\n").translate(_UNSEEN)


class Terminal:
    """stdin and stderr of this process, as far as a person sees them."""

    def __init__(self, *, verbose: bool = False) -> None:
        """`verbose`: progress is said also where stderr is no terminal."""
        self.is_interactive = sys.stdin.isatty() and sys.stderr.isatty()
        """Whether somebody is there to be asked."""
        self._verbose = verbose
        self.peer = "The server"
        """Who asks, once that is known."""
        self.bars: Progress | None = None
        """What moves on it now."""
        self._unread = b""
        self._asking = trio.Lock()

    def say(self, text: str) -> None:
        """Show some lines."""
        text = printable(text)
        if self.bars is None:
            print(text, file=sys.stderr, flush=True)
        else:
            self.bars.console.print(text, markup=False, highlight=False, soft_wrap=True)

    # --- asking -----------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        """Have the terminal for oneself: nothing moves meanwhile, and nobody else asks."""
        async with self._asking:
            if self.bars is not None:
                self.bars.stop()
            try:
                yield
            finally:
                if self.bars is not None:
                    self.bars.start()

    async def ask(self, prompt: str) -> str | None:
        """Ask for a line; None where there is none to come (Ctrl-D)."""
        print(printable(prompt), end="", file=sys.stderr, flush=True)
        line = await trio.to_thread.run_sync(self._read_line, abandon_on_cancel=True)
        if line is None:
            print(file=sys.stderr)
        return line

    def _read_line(self) -> str | None:
        # Not by `input`: a thread that is left behind in it holds a lock that Python ends by.
        while b"\n" not in self._unread:
            data = os.read(0, 4096)
            if not data:
                rest, self._unread = self._unread, b""
                return rest.decode(errors="replace") if rest else None
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode(errors="replace").rstrip("\r")

    # --- progress ---------------------------------------------------------------------

    @contextlib.contextmanager
    def progress(self, name: str) -> Iterator[OnProgress | None]:
        """Show the progress of a call while the context lasts; None where nobody would see it."""
        if sys.stderr.isatty() and importlib.util.find_spec("rich") is not None:
            try:
                yield _Bar(self, printable(name)).moved
            finally:
                if self.bars is not None:
                    self.bars.stop()
                    self.bars = None
        elif self._verbose or sys.stderr.isatty():
            yield self._said
        else:
            yield None

    def _said(self, progress: float, total: float | None, message: str | None) -> None:
        self.say(
            f"progress: {progress:g}{'' if total is None else f' of {total:g}'}{f'  {message}' if message else ''}"
        )


class _Bar:
    """One bar. It appears with the first report: most calls make none."""

    def __init__(self, terminal: Terminal, name: str) -> None:
        self._terminal = terminal
        self._name = name
        self._task: TaskID | None = None

    def moved(self, progress: float, total: float | None, message: str | None) -> None:
        """Show a report: what `on_progress` takes."""
        share = f"{progress / total:4.0%}" if total else f"{progress:g}"
        fields: dict[str, Any] = {"words": printable(message or ""), "share": share}
        bars = self._terminal.bars
        if bars is None:
            bars = self._terminal.bars = _moving_bars()
            bars.start()
        if self._task is None:
            self._task = bars.add_task(self._name, total=total, **fields)
        bars.update(self._task, completed=progress, total=total, **fields)


def _moving_bars() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=WIDTH),
        TextColumn("{task.fields[share]}", markup=False),
        TimeElapsedColumn(),
        TextColumn("{task.fields[words]}", markup=False),
        console=Console(stderr=True),
        transient=True,
    )
