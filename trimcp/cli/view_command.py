"""`trimcp view` opens the view of a running server in a browser; `trimcp top` shows it in the terminal."""

from __future__ import annotations

import argparse
import functools
import importlib.util
import sys
import webbrowser
from typing import TYPE_CHECKING, Final

import trio

from trimcp.cli import Command
from trimcp.errors import ConnectionLost, UsageError
from trimcp.observability.cleaning import escaped
from trimcp.observability.stderr import write_line

if TYPE_CHECKING:
    from trimcp.view.places import Answer, Place, Watched
    from trimcp.view.proxy import Places

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
    watched = Watched()
    is_rich = not options.plain and sys.stdout.isatty() and importlib.util.find_spec("rich") is not None
    async with asked(place, "/events?trace=0") as answer:
        if answer.status != 200:
            raise UsageError(f"the view at {place} refused with {answer.status}: give the URL with its token")
        if options.once:
            while data := await answer.read():
                if watched.feed(data):
                    _print(lines_of(watched))
                    return
        elif is_rich:
            await _live(watched, answer)
        else:
            await _plain(watched, answer)
    raise ConnectionLost("the server has ended")


async def _stacks(place: Place) -> None:
    from trimcp.codec.jsontext import loads
    from trimcp.view.places import asked
    from trimcp.view.terminal import stack_lines

    async with asked(place, "/stacks") as answer:
        if answer.status != 200:
            raise UsageError(f"the view at {place} refused with {answer.status}: give the URL with its token")
        _print(stack_lines(loads(await answer.read_all(), max_containers=2**20)))


async def _plain(watched: Watched, answer: Answer) -> None:
    from trimcp.view.terminal import lines_of

    printed = -INTERVAL
    while data := await answer.read():
        if watched.feed(data) and trio.current_time() - printed >= INTERVAL:
            printed = trio.current_time()
            _print([*lines_of(watched), ""])


async def _live(watched: Watched, answer: Answer) -> None:
    from rich.live import Live

    from trimcp.view.terminal import picture_of

    with Live(auto_refresh=False, screen=True) as live:
        async with trio.open_nursery() as nursery:

            async def refresh() -> None:  # ages go on where nothing else changes
                while True:
                    await trio.sleep(INTERVAL / 2)
                    watched.now += INTERVAL / 2
                    live.update(picture_of(watched), refresh=True)

            nursery.start_soon(refresh)
            while data := await answer.read():
                watched.feed(data)
            nursery.cancel_scope.cancel()


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
        examples="  trimcp top 4711\n  trimcp top 4711 --stacks\n  trimcp top /run/user/1000/trimcp/4711.sock --once",
    ),
}
