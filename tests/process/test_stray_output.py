"""What is written to stdout by whoever it may be goes to stderr, and the stream stays whole."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.process.children import RUN, SCRIPT, answers_in, call, lines_of, ran, text_of

COMMANDS = pytest.mark.parametrize("command", [RUN, SCRIPT], ids=["trimcp run", "server.run()"])


@COMMANDS
def test_whatever_prints_prints_to_stderr(command: list[str]) -> None:
    tools = ["prints", "writes_to_descriptor_one", "puts", "runs_a_child"]
    done = ran(command, lines_of(*(call(number, tool) for number, tool in enumerate(tools))))
    assert done.returncode == 0, done.stderr
    answers = answers_in(done.stdout)
    assert [text_of(answers[number]) for number in range(4)] == ["printed", "written", "put", "ran"]
    said = done.stderr.decode()
    for text in (
        *("a stray print", "a write without an end of line", "written to descriptor 1"),
        *("put by the C library", "said by a child"),
    ):
        assert text in said


@COMMANDS
def test_a_child_of_a_tool_cannot_read_the_messages(command: list[str]) -> None:
    done = ran(command, lines_of(call(1, "runs_a_child"), call(2, "add", a=1, b=2)))
    assert "read by a child: ''" in done.stderr.decode()
    assert text_of(answers_in(done.stdout)[2]) == "3"


def test_what_a_file_prints_while_it_is_loaded_goes_to_stderr_under_run() -> None:
    done = ran(RUN, lines_of(call(1, "add", a=1, b=2)))
    assert "printed while the file is loaded" in done.stderr.decode()
    assert list(answers_in(done.stdout)) == [1]


def test_what_a_program_prints_before_and_after_run_goes_where_it_was_meant_to(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import trimcp\n"
        "server = trimcp.Server('polite')\n"
        "print('{\"before\": 1}')\n"
        "try:\n"
        "    server.run()\n"
        "finally:\n"
        "    print('{\"after\": 1}')\n"
    )
    done = ran([sys.executable, str(program)], b"")
    assert done.stdout.split(b"\n") == [b'{"before": 1}', b'{"after": 1}', b""]
    assert done.returncode == 0
