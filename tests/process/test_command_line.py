"""`trimcp run`: which server of which file, and what is said where there is none."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.process.children import ROOT, answers_in, call, lines_of, ran, text_of

TWO = """
import trimcp

def made(name):
    server = trimcp.Server(name)

    @server.tool
    def who() -> str:
        return name

    return server

first = made("first")
second = made("second")
number = 7
"""
WHO = lines_of(call(1, "who"))


def run(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "trimcp", "run", *arguments]


@pytest.mark.parametrize("name", ["first", "second"])
def test_a_server_is_named_after_the_file(tmp_path: Path, name: str) -> None:
    file = tmp_path / "two.py"
    file.write_text(TWO)
    done = ran(run(f"{file}:{name}"), WHO)
    assert text_of(answers_in(done.stdout)[1]) == name


def test_two_names_for_one_server_are_one_server(tmp_path: Path) -> None:
    file = tmp_path / "one.py"
    file.write_text(TWO + "del first\nalias = second\n")
    assert text_of(answers_in(ran(run(str(file)), WHO).stdout)[1]) == "second"


def test_a_file_finds_the_modules_beside_it(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text(TWO)
    (tmp_path / "main.py").write_text("from beside import second as server\n")
    done = ran(run("main.py"), WHO, cwd=tmp_path)
    assert text_of(answers_in(done.stdout)[1]) == "second"


def test_what_is_below_the_main_guard_does_not_run(tmp_path: Path) -> None:
    file = tmp_path / "guarded.py"
    file.write_text(TWO + "if __name__ == '__main__':\n    raise SystemExit('ran')\n")
    done = ran(run(f"{file}:first"), WHO)
    assert text_of(answers_in(done.stdout)[1]) == "first"


@pytest.mark.parametrize(
    ("source", "where", "said"),
    [
        (None, "", "there is no file"),
        ("x = 1\n", "", "must have exactly one trimcp.Server"),
        (TWO, "", "and has first, second"),
        (TWO, ":third", "third in"),
        (TWO, ":third", "is missing"),
        (TWO, ":number", "is not a trimcp.Server"),
    ],
    ids=["no file", "no server", "two servers", "whose name", "a name that is not there", "another thing"],
)
def test_what_cannot_be_served_is_said_on_stderr(tmp_path: Path, source: str | None, where: str, said: str) -> None:
    file = tmp_path / "some.py"
    if source is not None:
        file.write_text(source)
    done = ran(run(f"{file}{where}"), WHO)
    assert done.returncode == 2
    assert done.stdout == b""
    assert said in done.stderr.decode()
    assert done.stderr.startswith(b"trimcp: ")
    assert b"Traceback" not in done.stderr


def test_a_file_that_is_no_python_is_said_to_be_none(tmp_path: Path) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("hello")
    done = ran(run(str(file)), WHO)
    assert done.returncode == 2
    assert b"is not a Python file" in done.stderr


def test_an_exception_of_the_file_is_shown_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text("import trimcp\n1 / 0\n")
    done = ran(run(str(file)), WHO)
    assert done.returncode == 1
    assert done.stdout == b""
    assert b"ZeroDivisionError" in done.stderr
    assert b"broken.py" in done.stderr


def test_the_log_level_is_an_option() -> None:
    done = ran([sys.executable, "-m", "trimcp", "--log-level", "debug", "run", str(ROOT / "examples" / "add.py")], b"")
    assert b"session.opened" in done.stderr
    quiet = ran([sys.executable, "-m", "trimcp", "run", str(ROOT / "examples" / "add.py")], b"")
    assert quiet.stderr == b""
