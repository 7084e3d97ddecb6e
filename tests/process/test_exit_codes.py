"""What a server leaves behind decides its exit code."""

from __future__ import annotations

import subprocess

import pytest

from tests.process.children import PATIENCE, RUN, SCRIPT, call, environment, lines_of, ran


@pytest.mark.parametrize("command", [RUN, SCRIPT])
def test_a_thread_that_is_left_behind_at_the_end_of_input_is_told_by_the_exit_code(command: list[str]) -> None:
    done = ran(command, lines_of(call(1, "forever_in_a_thread")))
    assert done.returncode == 3
    assert b"ending with 1 threads of sync functions still running" in done.stderr


@pytest.mark.parametrize("redirect", ["<&-", ">&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("command", [RUN, SCRIPT])
def test_a_stdin_or_stdout_that_is_closed_at_the_start_is_one_line(command: list[str], redirect: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {redirect}', "sh", *command],
        capture_output=True,
        timeout=PATIENCE,
        env=environment(),
        check=False,
    )
    assert done.returncode == 2
    if "2>" not in redirect:
        (line,) = done.stderr.splitlines()
        assert line.startswith(b"trimcp: std")
