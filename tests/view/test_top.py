"""The views of `trimcp top`: requests, streams with subscriptions, and logs; keys switch between them."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.cli.conftest import Run, run  # noqa: F401 - a fixture
from tests.programs import PATIENCE, ROOT
from tests.view.conftest import shop_served
from tests.view.shop import SECRET
from trimcp.view.places import Watched
from trimcp.view.terminal import lines_of, picture_of, shared

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no Unix sockets")


def watching(sections: dict[str, Any], lines: list[dict[str, Any]]) -> Watched:
    """Return a state as it is received."""
    of_run = {"running": 1, "places": 9, "sessions": 1, "draining": False}
    server = {"name": "shop", "version": "1", "pid": 7, "refused": 0}
    event = {"set": {"server": server, "run:0": of_run, **sections}, "now": 10.0, "gone": [], "lines": lines}
    watched = Watched()
    assert watched.feed(b"event: state\ndata: " + orjson.dumps(event) + b"\n\n")
    return watched


def test_streams_and_subscriptions_are_shown() -> None:
    stream = {"number": 3, "kind": "POST", "sent": 4, "owed": ["7", "8"], "waiting": 2, "bytes": 90}
    lost = {**stream, "carried": "no", "detached": 7.5}
    is_open = {**stream, "number": 5, "carried": "here", "detached": None, "owed": []}
    listen = {"session": 1, "id": "9", "since": 4.0, "granted": False, "lists": ["tools"], "uris": ["a://b"]}
    watched = watching(
        {
            "streams:1": {"session": 1, "client": None, "streams": [lost, is_open], "more": 2},
            "watched:0": {
                "listens": [{**listen, "topics": [], "more": 3}],
                "listens_open": 1,
                "uris": [{"uri": "a://b", "sessions": [1, 2], "more": 1}],
                "uris_watched": 1,
            },
        },
        [],
    )
    shown = [line.split("  ") for line in lines_of(watched, "streams")]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in shown]
    assert ["Event streams: 4"] in cells
    assert ["POST 3", "1", "unnamed", "lost, can be resumed for 2.5 s", "4", "7, 8", "2 (90 bytes)"] in cells
    assert ["POST 5", "1", "unnamed", "open", "4", "2 (90 bytes)"] in cells
    assert ["6.0 s", "1", "id 9", "not granted yet: list of tools, a://b and 3 more"] in cells
    assert ["1, 2 and 1 more", "a://b"] in cells
    assert picture_of(watched, "streams") is not None


def test_the_last_lines_of_the_logs_are_shown() -> None:
    line = {"at": 0.0, "level": "info", "source": "trimcp", "logger": None, "session": 1, "request": None}
    lines = [{**line, "text": f"event.{number}", "keys": {"ms": number}} for number in range(300)]
    watched = watching({}, lines)
    assert len(watched.lines) == 200
    shown = lines_of(watched, "logs")
    assert shown[-1].split()[1:] == ["info", "trimcp", "1", "event.299", "ms=299"]
    assert "event.280" in shown[-20]


def test_a_picture_fits_the_terminal_and_has_something_of_each_table() -> None:
    console = pytest.importorskip("rich.console")
    request = {
        "method": "tools/call",
        "name": "x" * 90,
        "began": 4.0,
        "state": "running",
        "progress": [1, 9, "y " * 90],
    }
    client = {"kind": "session", "client": "z " * 40, "peer": "memory", "revision": None, "more": 0}
    session = {**client, "number": 1, "requests": [request] * 30, "waiting": 0, "refused": 0}
    figures = {"method": "tools/call", "count": 1, "errors": 0, "p50": 1.0, "p95": 1.0, "p99": 1.0}
    wait = {"who": "request 7 tools/call bake", "waits_for": "the client's answer to it", "since": 4.0}
    watched = watching(
        {
            "session:1": session,
            "waits": {"waits": [wait] * 30},
            **{f"tool:{number}": {**figures, "name": f"tool_{number}"} for number in range(30)},
        },
        [],
    )
    for width, height in ((60, 24), (80, 24), (200, 60)):
        screen = console.Console(width=width, height=height)
        picture = screen.render_lines(picture_of(watched, "requests", height), screen.options, pad=False)
        lines = ["".join(segment.text for segment in line) for line in picture]
        assert len(lines) <= height
        assert lines[1] == "r requests  s streams  l logs  q quit"
        for title, kept in (
            ("Requests in flight: 30", 4),
            ("Waits: 30", 4),
            ("Clients: 1", 1),
            ("Tools and methods: 30", 4),
        ):
            at = lines.index(title)
            assert all(lines[at + 1 : at + 2 + kept])
        assert any("tool_3" in line for line in lines)


def test_small_tables_are_whole_and_the_others_share() -> None:
    assert shared([30, 0, 2, 30], 24) == [7, 0, 2, 8]
    assert shared([1, 1], 24) == [1, 1]
    assert shared([5, 5], 3) == [0, 0]


def test_of_the_logs_the_newest_line_is_above() -> None:
    console = pytest.importorskip("rich.console").Console(width=80, height=10)
    line = {"at": 0.0, "level": "info", "source": "trimcp", "logger": None, "session": 1, "request": None}
    lines = [{**line, "text": f"event.{number} {'a long text ' * 9}", "keys": {}} for number in range(30)]
    picture = console.render_lines(picture_of(watching({}, lines), "logs", 10), console.options)
    shown = ["".join(segment.text for segment in line) for line in picture]
    assert "event.29" in shown[4]
    assert next(at for at, text in enumerate(shown) if "event.28" in text) > 5  # long lines are not cut


def shown(run: Run, view: str, wanted: str) -> str:  # noqa: F811
    """Return what the command prints of a view, once the customer of the shop has done something."""
    for _ in range(200):
        done = run("top", "--once", "--show", view)
        assert done.code == 0
        if wanted in done.out:
            return done.out
    raise AssertionError(f"{wanted} was not shown")


def test_a_view_is_chosen_by_an_option(runtime: Path, run: Run) -> None:  # noqa: F811
    with shop_served("--view", "--view-trace"):
        out = shown(run, "streams", "stock://rye")
        assert "Listens: 1\n" in out
        assert "Requests in flight" not in out
        assert SECRET not in shown(run, "logs", "ada came with password=•••")


def test_keys_switch_between_the_views(runtime: Path) -> None:
    pytest.importorskip("rich")
    import pty

    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "120", "LINES": "50"}
    with shop_served("--view"):
        command = [sys.executable, "-m", "trimcp", "top"]
        with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as top:
            os.close(theirs)

            def until(wanted: bytes) -> None:
                seen = b""
                while wanted not in seen:
                    assert select.select([ours], [], [], PATIENCE)[0], seen
                    seen += os.read(ours, 65536)

            until(b"Requests in flight")
            os.write(ours, b"s")
            until(b"Event streams")
            os.write(ours, b"l")
            until(b"came with password")
            os.write(ours, b"r")
            until(b"Requests in flight")
            os.write(ours, b"q")
            assert top.wait(PATIENCE) == 0
    os.close(ours)
