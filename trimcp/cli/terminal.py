"""The terminal: results on stdout; messages, progress and questions on stderr.

Only results go to stdout: as text for people, as JSON for scripts. Text that a server wrote is
shown without the characters that a terminal would obey.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import select
import sys
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, TextIO

import trio

from trimcp.codec.jsontext import dumps
from trimcp.observability.cleaning import escaped_json, printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from trimcp.session.call import OnProgress
    from trimcp.types.content import ContentBlock, ResourceContents

POLL: Final = 0.05
"""Seconds between two looks at whether a question was cancelled."""
WIDTH: Final = 28
"""Columns of a bar."""


class Terminal:
    """Shows messages and progress on stderr, and asks questions on stdin."""

    def __init__(self, *, verbose: bool = False) -> None:
        """`verbose`: progress is shown also where stderr is not a terminal."""
        self.is_interactive: bool = sys.stdin.isatty() and sys.stderr.isatty()
        """Whether a person can answer questions."""
        self._verbose = verbose
        self.peer: str = "The server"
        """The name of the server, once that is known."""
        self.bars: Progress | None = None
        """The progress display that is active now."""
        self._unread = b""
        self._asking = trio.Lock()

    def say(self, text: str) -> None:
        """Show a text on stderr."""
        text = printable(text)
        if self.bars is None:
            print(text, file=sys.stderr, flush=True)
        else:
            self.bars.console.print(text, markup=False, highlight=False, soft_wrap=True)

    # --- asking -----------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        """Reserve the terminal for questions: progress stands still, and other questions wait."""
        async with self._asking:
            if self.bars is not None:
                self.bars.stop()
            try:
                yield
            finally:
                if self.bars is not None:
                    self.bars.start()

    async def ask(self, prompt: str) -> str | None:
        """Ask for a line; None at the end of input (Ctrl-D)."""
        print(printable(prompt), end="", file=sys.stderr, flush=True)
        line = await trio.to_thread.run_sync(self._read_line)
        if line is None:
            print(file=sys.stderr)
        return line

    def forget_typed(self) -> None:
        """Forget the lines that were typed, and not read yet."""
        self._unread = b""
        if os.isatty(0):
            import termios  # not on every platform

            termios.tcflush(0, termios.TCIFLUSH)

    def _read_line(self) -> str | None:
        # Not `input`, which cannot be left: a cancelled question must not take the answer to the next one.
        while b"\n" not in self._unread:
            while not select.select([0], [], [], POLL)[0]:
                trio.from_thread.check_cancelled()
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
        """Show the progress of a call while the context lasts; None where it would not be visible."""
        if sys.stderr.isatty() and importlib.util.find_spec("rich") is not None:
            try:
                yield _Bar(self, printable(name)).moved
            finally:
                if self.bars is not None:
                    self.bars.stop()
                    self.bars = None
        elif self._verbose or sys.stderr.isatty():
            yield self._say_progress
        else:
            yield None

    def _say_progress(self, progress: float, total: float | None, message: str | None) -> None:
        self.say(
            f"progress: {progress:g}{'' if total is None else f' of {total:g}'}{f'  {message}' if message else ''}"
        )


class _Bar:
    """Shows a progress bar, from the first report on: most calls report nothing."""

    def __init__(self, terminal: Terminal, name: str) -> None:
        self._terminal = terminal
        self._name = name
        self._task: TaskID | None = None

    def moved(self, progress: float, total: float | None, message: str | None) -> None:
        """Show a progress report; has the signature of `on_progress`."""
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


BOLD, DIM = "1", "2"


def print_json(value: Any) -> None:
    """Print a JSON value on a line of its own. On a terminal, unsafe characters are written as escapes of JSON."""
    text = dumps(value).decode()
    sys.stdout.write((escaped_json(text) if sys.stdout.isatty() else text) + "\n")
    sys.stdout.flush()


def pretty(value: Any) -> str:
    """Format a JSON value for people."""
    import json

    return json.dumps(value, indent=2, ensure_ascii=False)


def show(text: str = "", style: str | None = None, *, to: TextIO | None = None) -> None:
    """Print a text. On a terminal, its control characters are replaced."""
    stream = sys.stdout if to is None else to
    if stream.isatty():
        text = printable(text)
        if style is not None and "NO_COLOR" not in os.environ:
            text = f"\x1b[{style}m{text}\x1b[0m"
    print(text, file=stream, flush=True)


def show_content(blocks: Iterable[ContentBlock], *, to: TextIO | None = None) -> None:
    """Print content blocks; blocks that are not text are described."""
    for block in blocks:
        show(described(block), to=to)


def described(block: ContentBlock) -> str:
    """Return a content block as text, or a description of it."""
    from trimcp.types.content import AudioContent, ImageContent, ResourceLink, TextContent

    if isinstance(block, TextContent):
        return block.text
    if isinstance(block, ImageContent | AudioContent):
        return _bytes(block.mime_type, block.data)
    if isinstance(block, ResourceLink):
        return f"[{block.uri}{f', {block.mime_type}' if block.mime_type else ''}] {block.title or block.name}"
    return contents(block.resource)


def contents(resource: ResourceContents) -> str:
    """Return the contents of a resource as text, or a description of them."""
    from trimcp.types.content import TextResourceContents

    if isinstance(resource, TextResourceContents):
        return resource.text
    return f"{resource.uri}: {_bytes(resource.mime_type, resource.blob)}"


def _bytes(mime_type: str | None, data: str) -> str:
    from trimcp.client.features.resources import decoded_base64

    try:
        size = f"{len(decoded_base64(data)):,} bytes"
    except ValueError:
        size = "not base64"
    return f"[{mime_type or 'bytes'}, {size}]"


def indented(text: str, by: str) -> str:
    """Indent each line."""
    return "\n".join(by + line if line else "" for line in text.strip().splitlines())
