"""The command line run in this process, and one server in another for all tests that need one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest

from tests.programs import ROOT
from trimcp.cli import main
from trimcp.cli.terminal import Terminal

SHOP = Path(__file__).with_name("shop.py")


@attrs.frozen
class Done:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON value on stdout."""
        return orjson.loads(self.out)


Run = Callable[..., Done]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command to its end."""

    def run(*arguments: str) -> Done:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert isinstance(ended.value.code, int)
        captured = capsys.readouterr()
        return Done(ended.value.code, captured.out, captured.err)

    return run


@pytest.fixture(autouse=True)
def tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the commands keep tokens: not in the directory of the user."""
    monkeypatch.setenv("TRIMCP_AUTH_DIR", str(tmp_path / "auth"))
    return tmp_path / "auth"


@pytest.fixture(scope="session")
def shop() -> Iterator[str]:
    """A shop to be spoken to; the value is its URL."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "trimcp", "run", str(SHOP), "--http", "127.0.0.1:0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment, text=True) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        assert said.startswith("trimcp: shop on http://"), said
        yield said.split()[-1]
        process.terminate()
        assert process.wait(30) == 0


class Typist:
    """A person at the terminal, who types these lines and then no more."""

    def __init__(self, *lines: str) -> None:
        self.lines = list(lines)

    def read_line(self) -> str | None:
        """What `Terminal` reads."""
        return self.lines.pop(0) if self.lines else None


@pytest.fixture
def typing(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Typist]:
    """Have somebody type at the terminal."""

    def typing(*lines: str) -> Typist:
        typist = Typist(*lines)
        found = Terminal.__init__

        def interactive(self: Terminal, *, verbose: bool = False) -> None:
            found(self, verbose=verbose)
            self.is_interactive = True

        monkeypatch.setattr(Terminal, "__init__", interactive)
        monkeypatch.setattr(Terminal, "_read_line", typist.read_line)
        return typist

    return typing
