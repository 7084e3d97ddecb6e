"""A server whose stderr takes nothing: the log drops lines, and the server serves and ends as ever."""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import subprocess
from collections.abc import Iterator

import pytest

from tests.process.children import (
    PATIENCE,
    RUN,
    SCRIPT,
    answers_in,
    call,
    environment,
    initialize,
    lines_of,
    ran,
    text_of,
)

GARBAGE = b"".join(b"no message %d\n" % number for number in range(1000))
LOUD = {"TRIMCP_LOG": "debug"}  # what is below `warning` is not throttled


@pytest.fixture
def full_pipe() -> Iterator[int]:
    """The writing end of a pipe that has no room."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, bytes(fcntl.fcntl(writing, fcntl.F_GETPIPE_SZ)))
    except BlockingIOError:
        os.set_blocking(writing, True)
    yield writing
    os.close(writing)
    os.close(reading)


@pytest.mark.parametrize("command", [RUN, SCRIPT])
def test_a_stderr_that_nothing_reads_stops_neither_answers_nor_the_end(command: list[str], full_pipe: int) -> None:
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=full_pipe, env=environment(**LOUD)
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(lines_of(*initialize("2025-11-25")) + GARBAGE + lines_of(call(1, "add", a=1, b=2)))
        server.stdin.flush()
        answer = next(line for line in server.stdout if b'"text":"3"' in line)
        assert text_of(answers_in(answer)[1]) == "3"
        server.send_signal(signal.SIGTERM)
        assert server.wait(PATIENCE) == 0


@pytest.mark.parametrize("kind", ["full disk", "closed", "socket", "broken pipe"])
def test_a_stderr_that_takes_no_lines_stops_nothing(kind: str) -> None:
    ours, theirs = socket.socketpair()
    reading, writing = os.pipe()
    os.close(reading)
    stderr = {"socket": theirs.fileno(), "broken pipe": writing}.get(kind)
    redirect = {"full disk": "2>/dev/full", "closed": "2>&-"}.get(kind, "")
    with ours, theirs:
        done = subprocess.run(
            ["sh", "-c", f'exec "$@" {redirect}', "sh", *RUN],
            input=lines_of(*initialize("2025-11-25")) + GARBAGE + lines_of(call(1, "prints"), call(2, "add", a=1, b=2)),
            stdout=subprocess.PIPE,
            stderr=stderr,
            timeout=PATIENCE,
            env=environment(**LOUD, GRACE="30"),
            check=False,
        )
    os.close(writing)
    assert done.returncode == 0
    assert b'"text":"3"' in done.stdout


def test_a_flood_of_one_kind_is_ten_lines_and_their_number_is_told() -> None:
    done = ran(RUN, lines_of(*initialize("2025-11-25")) + GARBAGE)
    assert done.returncode == 0
    assert 10 <= done.stderr.count(b"event=message.refused") <= 20
    cancels = [{"jsonrpc": "2.0", "method": "notifications/cancelled", "params": [number]} for number in range(600)]
    done = ran(RUN, lines_of(*initialize("2025-11-25"), *cancels))
    assert 10 <= done.stderr.count(b"event=message.ignored") <= 20


@pytest.mark.parametrize("level", ["debug", "warning"])
def test_texts_of_a_peer_are_cut_and_clean_in_the_log(level: str) -> None:
    evil = "\x1b[31m\x9b\u202e\n\u2066" + "x" * 100_000
    version = "2025-11-25"
    done = ran(
        RUN,
        lines_of(
            *initialize(version),
            {"jsonrpc": "2.0", "id": 1, "method": evil},
            {"jsonrpc": "2.0", "method": evil},
            {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": evil, "reason": evil}},
            {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": evil, "progress": 1}},
            {"jsonrpc": "2.0", "id": evil, "result": {}},
            {"jsonrpc": "2.0", "id": evil, "method": "ping"},
            {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": evil, "arguments": {evil: evil}}},
        ),
        TRIMCP_LOG=level,
    )
    assert all(len(line) < 4096 for line in done.stderr.splitlines())
    log = done.stderr.decode()
    assert not [character for character in log if character in "\x1b\x9b\u202e\u2066"]
