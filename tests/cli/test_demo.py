"""`trimcp demo`: on plain lines in a process of its own, and on a terminal that is made up."""

import io
import os
import re
import subprocess
import sys

import pytest
from rich.console import Console

from tests.programs import ROOT, run_python
from trimcp.cli import demo_screens as screens


def test_the_demonstration_runs_to_its_end_and_shows_what_it_promises() -> None:
    done = run_python("-m", "trimcp", "demo", "--plain")
    for expected in (
        r"connected in \d+\.\d\d s: process .*python.* \(pid \d+\)",
        r"speaks 2026-07-28",
        r"tools: price, bake, ferment, cool, cut, grind, add, tree",
        r"-> \{'bread': 'spelt', 'loaves': 3, 'each': 5\.1, 'total': 15\.3\}",
        r"bake\(wheat, 40 loaves\) +50 %  loaf 2\d",
        r"bake\(wheat, 40 loaves\) +done +40 loaves of wheat",
        r"grind\(200 kilos\), sync, in a thread +done +[0-9a-f]{12}",
        r"ferment\(hours=12\): the client left after 0\.6 s",
        r"server's stderr \| ferment: stopped after \d+\.\d\d s, reason: cancelled",
        r"server's stderr \| cool: stopped after \d+\.\d\d s, reason: deadline",
        r"cool\(hours=1\): .*\(code -31003\), data \{'reason': 'deadline'\}",
        r"is_error=True, 'a loaf cannot be cut into 0 slices'",
        r"is_error=True, 'Invalid arguments for cut: expected integer @ \$\.slices'",
        r"cut\(loaves=3, slices=12\) -> 36",
        r"├── register  \d requests",
        r"tools/call  id \d+  \d\.\d+ s  running",
        r"one call after the other +[\d,]+ calls/s",
        r"32 calls in flight +[\d,]+ calls/s",
        r"the server has exited with status 0",
    ):
        assert re.search(expected, done.stdout), f"{expected} is not in\n{done.stdout}"
    assert done.stderr == ""


def test_authorization_is_shown_from_the_refusal_to_the_renewal() -> None:
    done = run_python("-m", "trimcp", "demo", "--auth", "--plain")
    shown = iter(done.stdout.splitlines())
    for expected in (
        r"HTTP 401",
        r"WWW-Authenticate: Bearer resource_metadata=\"http://127\.0\.0\.1:\d+/\.well-known/.*scope=\"recipes\"",
        r"a person signs in, and agrees to: recipes$",
        r"the authorization server got: POST /register",
        r"the authorization server got: GET /authorize",
        r"the authorization server got: POST /token",
        r"read\(\) -> .* for .* with the scopes recipes$",
        r"a person signs in, and agrees to: recipes recipes:write$",
        r"the authorization server got: GET /authorize",
        r"change\(salt=12\) -> 12 grams of salt",
        r"the authorization server got: POST /token",
        r"read\(\) -> .* with the scopes recipes, recipes:write$",
        r"2 sign-ins of a person",
    ):
        assert any(re.search(expected, line) for line in shown), (
            f"{expected} is not there in its order in\n{done.stdout}"
        )
    assert "note=" in done.stderr and len(done.stderr.splitlines()) == 1, "the warning of the development server alone"
    assert "eyJ" not in done.stdout + done.stderr, "no token is shown"


def test_the_server_of_the_demonstration_is_an_ordinary_file() -> None:
    call = '{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n'
    done = run_python("-m", "trimcp", "run", ROOT / "trimcp" / "cli" / "demo_server.py", stdin=call)
    assert done.stdout == '{"jsonrpc":"2.0","id":1,"result":{}}\n'


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="signals of this kind are POSIX's")
def test_ctrl_c_ends_the_demonstration_without_a_traceback() -> None:
    import signal

    with subprocess.Popen(
        [sys.executable, "-m", "trimcp", "demo", "--plain"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        for line in process.stdout:
            if "25 %" in line:  # in the middle of five calls
                break
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
        process.stdout.read()
    assert process.returncode == 130
    assert "Traceback" not in said


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_moving_bars_and_anything_else_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert type(screens.open_screen(plain=False)) is screens.Screen
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert isinstance(screens.open_screen(plain=False), screens._RichScreen)
    assert type(screens.open_screen(plain=True)) is screens.Screen


def test_without_rich_a_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", Terminal())
    monkeypatch.setattr(screens.importlib.util, "find_spec", lambda name: None)
    assert type(screens.open_screen(plain=False)) is screens.Screen


def test_bars_move_with_the_reports_and_end_with_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = Terminal()
    monkeypatch.setattr(sys, "stdout", shown)
    screen = screens._RichScreen()
    monkeypatch.setattr(screen, "_console", Console(file=shown, width=100, color_system=None, highlight=False))
    screen.heading("A part")
    with screen.bars():
        bar = screen.bar("bake(rye)")
        bar.moved(3, 4, "loaf 3")
        screen.stderr_line("[red] is what it says, and no colour")
        bar.done("4 loaves")
    screen.say("one\ntwo")
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.getvalue())
    assert "A part\n" in text
    assert "server's stderr │ [red] is what it says, and no colour" in text
    assert re.search(r"bake\(rye\) .* 100 % .* 4 loaves", text)
    assert "  one\n  two\n" in text


def test_a_plain_bar_says_each_quarter_once(capsys: pytest.CaptureFixture[str]) -> None:
    screen = screens.Screen()
    with screen.bars():
        bar = screen.bar("bake(rye)")
        for number in range(1, 9):
            bar.moved(number, 8, f"loaf {number}")
        bar.moved(9, None, None)
        bar.done("8 loaves")
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[1] for line in lines] == ["25", "50", "75", "100", "done"]
