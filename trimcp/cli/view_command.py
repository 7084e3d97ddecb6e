"""`trimcp view` opens the view of a running server in a browser; `trimcp top` shows it in the terminal."""

from __future__ import annotations

import argparse
import functools
import importlib.util
import os
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Final

import trio

from trimcp.actors.containment import unwrapped
from trimcp.cli import Command
from trimcp.errors import ConnectionLost, UsageError
from trimcp.observability.cleaning import escaped
from trimcp.observability.stderr import write_line

if TYPE_CHECKING:
    from rich.live import Live

    from trimcp.view.places import Answer, Place, Watched
    from trimcp.view.proxy import Places
    from trimcp.view.terminal import View

INTERVAL: Final = 1.0
"""Seconds between two pictures of `top`."""
TARGET: Final = "URL, process id or Unix socket; the default is "


def configure_view(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `view`."""
    parser.add_argument("target", nargs="?", metavar="URL|PID|SOCKET", help=TARGET + "all processes that have a view")
    parser.add_argument("--port", type=int, default=0, help="the port on loopback that the browser uses")
    parser.add_argument("--no-browser", action="store_true", help="print the URL, and open no browser")


def configure_top(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `top`."""
    parser.add_argument("target", nargs="?", metavar="URL|PID|SOCKET", help=TARGET + "the only one that has a view")
    parser.add_argument(
        "--show",
        choices=("requests", "streams", "logs"),
        default="requests",
        help="requests, clients, waits and tools; event streams and subscriptions; or logs. Keys switch: r, s, l",
    )
    parser.add_argument("--once", action="store_true", help="print the state once, and end")
    parser.add_argument("--stacks", action="store_true", help="print where each task and thread is, and end")
    parser.add_argument("--plain", action="store_true", help="print lines without colours, one picture after the other")


def view(options: argparse.Namespace) -> int:
    """Open the page in a browser; return the exit code.

    Raises:
        UsageError: there is no such view.
    """
    from trimcp.view.places import NO_VIEW, place_of
    from trimcp.view.proxy import EveryPlace, OnePlace

    if options.target is None:
        every = EveryPlace()
        if not every.found():
            raise UsageError(NO_VIEW)
        trio.run(_view, every, options)
        return 0
    place = place_of(options.target)
    if place.path is None:
        _show(options.target, options.no_browser)
        return 0
    trio.run(_view, OnePlace(place), options)
    return 0


async def _view(places: Places, options: argparse.Namespace) -> None:
    from trimcp.view.places import asked
    from trimcp.view.proxy import serve_proxy

    if options.target is not None:
        (place,) = places.found().values()
        async with asked(place, "/", method="HEAD") as answer:
            if answer.status != 200:
                raise UsageError(f"what answers at {place} is no view: give another process")
    async with trio.open_nursery() as nursery:
        url = await nursery.start(functools.partial(serve_proxy, places, options.port))
        await trio.to_thread.run_sync(_show, url, options.no_browser)
        write_line("trimcp: Ctrl-C ends it")


def _show(url: str, no_browser: bool) -> None:
    write_line(f"trimcp: the view is at {url}")
    if not no_browser:
        webbrowser.open(url)


def top(options: argparse.Namespace) -> int:
    """Show the state in the terminal; return the exit code.

    Raises:
        UsageError: there is no such view.
    """
    from trimcp.view.places import place_of

    trio.run(_top, place_of(options.target), options)
    return 0


async def _top(place: Place, options: argparse.Namespace) -> None:
    from trimcp.view.places import Watched, asked
    from trimcp.view.terminal import lines_of

    if options.stacks:
        await _stacks(place)
        return
    is_rich = not options.plain and sys.stdout.isatty() and importlib.util.find_spec("rich") is not None
    if is_rich and not options.once:
        await _live(place, options.show)
        return
    watched = Watched()
    async with asked(place, _events_for(options.show)) as answer:
        _check(place, answer)
        if options.once:
            while data := await answer.read():
                if watched.feed(data):
                    _print(lines_of(watched, options.show))
                    return
        else:
            await _plain(watched, answer, options.show)
    raise ConnectionLost("the server has ended")


def _events_for(view: View) -> str:
    """Return the target of the stream: logs are collected for those who read them alone."""
    return f"/events?trace={int(view == 'logs')}"


def _check(place: Place, answer: Answer) -> None:
    if answer.status != 200:
        raise UsageError(f"the view at {place} refused with {answer.status}: give the URL with its token")


async def _stacks(place: Place) -> None:
    from trimcp.codec.jsontext import loads
    from trimcp.view.places import asked
    from trimcp.view.terminal import stack_lines

    async with asked(place, "/stacks") as answer:
        _check(place, answer)
        _print(stack_lines(loads(await answer.read_all(), max_containers=2**20)))


async def _plain(watched: Watched, answer: Answer, view: View) -> None:
    from trimcp.view.terminal import lines_of

    printed = -INTERVAL
    while data := await answer.read():
        if watched.feed(data) and trio.current_time() - printed >= INTERVAL:
            printed = trio.current_time()
            _print([*lines_of(watched, view), ""])


async def _live(place: Place, view: View) -> None:
    """Show pictures until the server ends, or a person presses q."""
    from rich.live import Live

    has_keys = sys.stdin.isatty()
    with _keys_at_once() if has_keys else nullcontext(), Live(auto_refresh=False, screen=True) as live:
        screen = _Screen(place, live, view)
        with unwrapped() as block:
            async with trio.open_nursery() as nursery:
                if has_keys:
                    nursery.start_soon(screen.take_keys, nursery.cancel_scope)
                with block:
                    await screen.show()
                nursery.cancel_scope.cancel()
    if not screen.is_left:
        raise ConnectionLost("the server has ended")


@contextmanager
def _keys_at_once() -> Iterator[None]:
    """Have the terminal at stdin hand over each key at once, and show none, while the context lasts."""
    if sys.platform == "win32":
        yield
        return
    import termios
    import tty

    before = termios.tcgetattr(0)
    tty.setcbreak(0)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def _read_key() -> str:
    """Wait for a key; return it, or no text where there are no more keys. Blocks: to be called in a thread."""
    if sys.platform == "win32":
        import msvcrt

        return msvcrt.getwch()
    return os.read(0, 1).decode("latin-1")


class _Screen:
    """What `top` shows on a terminal: one of the views, until another one is asked for."""

    def __init__(self, place: Place, live: Live, view: View) -> None:
        self._place = place
        self._live = live
        self._view: View = view
        self._showing = trio.CancelScope()
        self.is_left = False

    async def show(self) -> None:
        """Read the stream of the view; open another one where a view needs that. Returns when the server has ended."""
        from trimcp.view.places import Watched, asked

        while True:
            with trio.CancelScope() as self._showing:
                watched = Watched()
                async with asked(self._place, _events_for(self._view)) as answer:
                    _check(self._place, answer)
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(self._refresh, watched)
                        while data := await answer.read():
                            watched.feed(data)
                        nursery.cancel_scope.cancel()
            if not self._showing.cancelled_caught:
                return

    async def _refresh(self, watched: Watched) -> None:
        from trimcp.view.terminal import picture_of

        while True:  # ages go on where nothing else changes
            await trio.sleep(INTERVAL / 2)
            watched.now += INTERVAL / 2
            if watched.sections:
                height = self._live.console.height
                self._live.update(picture_of(watched, self._view, height), refresh=True)

    async def take_keys(self, leave: trio.CancelScope) -> None:
        """Switch between the views as keys say."""
        from trimcp.view.terminal import KEYS

        while key := await trio.to_thread.run_sync(_read_key, abandon_on_cancel=True):
            if key == "q":
                self.is_left = True
                leave.cancel()
            elif key in KEYS:
                self._view, before = KEYS[key], self._view
                if _events_for(self._view) != _events_for(before):
                    self._showing.cancel()


def _print(lines: list[str]) -> None:
    print("\n".join(escaped(line, most=1000) for line in lines), flush=True)


COMMANDS: Final = {
    "view": Command(
        "Open the view of a running server in a browser.",
        configure_view,
        view,
        examples="  trimcp view\n  trimcp view 4711 --no-browser",
    ),
    "top": Command(
        "Show clients, requests and tools of a running server in the terminal.",
        configure_top,
        top,
        examples="""\
  trimcp top 4711
  trimcp top 4711 --show logs --plain
  trimcp top 4711 --stacks
  trimcp top /run/user/1000/trimcp/4711.sock --once""",
    ),
}
