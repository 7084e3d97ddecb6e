"""At the end of its input a server answers everything it was asked, and ends."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.process.children import (
    PATIENCE,
    RUN,
    answers_in,
    call,
    child,
    environment,
    initialize,
    lines_of,
    ran,
    text_of,
)
from trimcp.types.revisions import REVISIONS, Era

LEGACY = [revision.version for revision in REVISIONS if revision.era is Era.LEGACY]


def test_every_request_is_answered_though_the_input_has_ended() -> None:
    calls = [call(number, "add", a=number, b=number) for number in range(300)]
    done = ran(RUN, lines_of(*calls, call(1000, "after", seconds=0.2)), GRACE="30")
    answers = answers_in(done.stdout)
    assert [text_of(answers[number]) for number in range(300)] == [str(2 * number) for number in range(300)]
    assert text_of(answers[1000]) == "done"
    assert done.returncode == 0


@pytest.mark.parametrize("version", LEGACY)
def test_a_whole_session_of_the_legacy_era_may_be_piped_in(version: str) -> None:
    done = ran(RUN, lines_of(*initialize(version), {**call(1, "add", a=1, b=2)}), GRACE="30")
    answers = answers_in(done.stdout)
    assert answers["init"]["result"]["protocolVersion"] == version
    assert text_of(answers[1]) == "3"


def test_a_last_line_without_its_end_is_a_message_too() -> None:
    done = ran(RUN, lines_of(call(1, "add", a=1, b=2)).rstrip(b"\n"), GRACE="30")
    assert text_of(answers_in(done.stdout)[1]) == "3"


def test_no_input_at_all_is_an_end_like_any_other() -> None:
    done = ran(RUN, b"")
    assert (done.returncode, done.stdout) == (0, b"")


def test_what_takes_longer_than_the_grace_is_answered_with_an_error() -> None:
    done = ran(RUN, lines_of(call(1, "forever"), call(2, "add", a=1, b=2)))
    answers = answers_in(done.stdout)
    assert answers[1]["error"]["data"]["reason"] == "shutdown"
    assert text_of(answers[2]) == "3"
    assert done.returncode == 0


def test_files_serve_as_stdin_and_stdout(tmp_path: Path) -> None:
    requests, answers = tmp_path / "requests.jsonl", tmp_path / "answers.jsonl"
    requests.write_bytes(lines_of(*(call(number, "add", a=number, b=1) for number in range(50)), call(99, "prints")))
    with requests.open("rb") as stdin, answers.open("wb") as stdout:
        done = subprocess.run(
            RUN,
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
            env=environment(GRACE="30"),
            check=False,
        )
    assert done.returncode == 0, done.stderr
    found = answers_in(answers.read_bytes())
    assert [text_of(found[number]) for number in range(50)] == [str(number + 1) for number in range(50)]
    assert text_of(found[99]) == "printed"
    assert b"a stray print" in done.stderr


def test_one_of_the_two_may_be_a_file_and_the_other_a_pipe(tmp_path: Path) -> None:
    requests = tmp_path / "requests.jsonl"
    requests.write_bytes(lines_of(call(1, "add", a=1, b=1)))
    with requests.open("rb") as stdin:
        done = subprocess.run(
            RUN, stdin=stdin, capture_output=True, timeout=PATIENCE, env=environment(GRACE="30"), check=False
        )
    assert text_of(answers_in(done.stdout)[1]) == "2"


def test_the_null_device_serves_as_both() -> None:
    done = subprocess.run(
        RUN,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=PATIENCE,
        env=environment(),
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_server_without_stdin_says_so() -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&-', "sh", *RUN],
        capture_output=True,
        timeout=PATIENCE,
        env=environment(),
        check=False,
    )
    assert done.returncode == 2
    assert b"stdin is not open" in done.stderr
    assert b"Traceback" not in done.stderr


async def test_a_client_that_leaves_in_mid_call_ends_the_server_and_what_it_asked_is_a_loss() -> None:
    async with child(RUN) as server:
        await server.send(call(1, "add", a=1, b=2))
        await server.receive()
        assert server.process.stdout is not None
        assert server.process.stdin is not None
        await server.process.stdout.aclose()
        await server.send(call(2, "add", a=1, b=2), call(3, "forever"))
        await server.process.stdin.aclose()
        assert await server.exit_code() == 1
        assert "Traceback" not in server.stderr
