"""The file of a recording: private, bounded, and never the reason that a session ends."""

from __future__ import annotations

import errno
import io
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from trimcp.errors import UsageError
from trimcp.recording import writer as writing
from trimcp.recording.format import read_recording
from trimcp.recording.writer import RecordingWriter

PING = b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n'
posix = pytest.mark.skipif(os.name != "posix", reason="modes and links of POSIX")


def test_messages_of_any_chunks_are_one_line_each(tmp_path: Path) -> None:
    path = tmp_path / "session.ndjson"
    with RecordingWriter(path) as writer:
        connection = writer.connection()
        for at in range(len(PING)):
            connection.passed("client", PING[at : at + 1])
        connection.passed("server", b"Listening on 8000\n\r\n" + PING + PING[:-1])
        connection.ended()
        connection.ended()
    entries = read_recording(path).entries
    assert [(e.sender, e.kind, e.unreadable, e.event) for e in entries] == [
        ("client", "request", None, None),
        ("server", "other", "Listening on 8000", None),
        ("server", "request", None, None),
        ("server", "request", None, None),  # without its end
        (None, "other", None, "ended"),
    ]
    assert [e.at for e in entries] == sorted(e.at for e in entries)


@posix
def test_it_is_of_its_owner_alone_and_replaces_nothing_unasked(tmp_path: Path) -> None:
    path = tmp_path / "session.ndjson"
    before = os.umask(0)
    try:
        with RecordingWriter(path):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(UsageError, match="exists: name another file, or add --overwrite"), RecordingWriter(path):
        pass
    path.chmod(0o666)
    path.write_bytes(b"x" * 10_000)
    with RecordingWriter(path, overwrite=True):
        pass
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_recording(path).entries == ()


@posix
@pytest.mark.parametrize("overwrite", [False, True])
def test_it_follows_no_link_and_opens_nothing_but_files(tmp_path: Path, overwrite: bool) -> None:
    target = tmp_path / "precious"
    target.write_bytes(b"precious")
    link = tmp_path / "link.ndjson"
    link.symlink_to(target)
    dangling = tmp_path / "dangling.ndjson"
    dangling.symlink_to(tmp_path / "made.ndjson")
    pipe = tmp_path / "pipe.ndjson"
    os.mkfifo(pipe)
    for path in (link, dangling, pipe, tmp_path, tmp_path / "none" / "session.ndjson"):
        with pytest.raises(UsageError), RecordingWriter(path, overwrite=overwrite):
            pass
    assert target.read_bytes() == b"precious"
    assert not (tmp_path / "made.ndjson").exists()


def test_it_stops_before_it_is_larger_than_it_may_be(tmp_path: Path) -> None:
    path, said = tmp_path / "session.ndjson", list[str]()
    with RecordingWriter(path, most_bytes=5000, say=said.append) as writer:
        connection = writer.connection()
        for _ in range(500):
            connection.passed("client", PING)
        connection.ended()
    entries = read_recording(path).entries
    assert path.stat().st_size <= 5000
    assert entries[-1].event == "stopped"
    assert len(entries) > 20
    (line,) = said
    assert line.startswith(f"trimcp: the recording {path} stops here: it has ")
    assert line.endswith("and may have 5000. The session goes on")


class FullDisk(io.BytesIO):
    """Takes so many bytes, and no more."""

    def write(self, data: Any) -> int:
        """Write, or fail as a disk does."""
        if self.tell() > 1000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


def test_a_full_disk_stops_the_recording_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "open_private", lambda path, *, overwrite: FullDisk())
    said = list[str]()
    with RecordingWriter(tmp_path / "session.ndjson", say=said.append) as writer:
        for _ in range(100):
            writer.connection().passed("client", PING)
    assert said == [
        f"trimcp: the recording {writer.path} stops here: No space left on device. The session goes on",
    ]


def test_a_slow_disk_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moves = threading.Event()

    class SlowDisk(io.BytesIO):
        def write(self, data: Any) -> int:
            moves.wait(60)
            return super().write(data)

    monkeypatch.setattr(writing, "open_private", lambda path, *, overwrite: SlowDisk())
    monkeypatch.setattr(writing, "MOST_WAITING", 10_000)
    said = list[str]()
    with RecordingWriter(tmp_path / "session.ndjson", say=said.append) as writer:
        connection = writer.connection()
        for _ in range(1000):
            connection.passed("client", PING)
        assert writer._waiting <= 10_000
        moves.set()
    assert said == [f"trimcp: the recording {writer.path} stops here: its disk is too slow. The session goes on"]


def test_a_message_that_is_too_long_is_a_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "LONGEST", 1000)
    path = tmp_path / "session.ndjson"
    with RecordingWriter(path) as writer:
        connection = writer.connection()
        connection.passed("client", b'{"x": "' + b"y" * 5000 + b'"}\n' + PING)
        connection.oversized("server", 2000)
    assert [(e.sender, e.size) for e in read_recording(path).entries] == [
        ("client", 1000),
        ("client", None),
        ("server", 2000),
    ]


def test_http_sessions_are_numbers_and_their_ids_are_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "session.ndjson"
    initialize = b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}'
    with RecordingWriter(path) as writer:
        for name in ("id-of-one", "id-of-two"):
            opening = writer.exchange("POST", None, initialize)
            opening.answered(200, "application/json", name)
            opening.piece(PING[:10])
            opening.piece(PING[10:])
            opening.ended(left=False)
        asked = writer.exchange("POST", "id-of-one", PING)
        asked.answered(200, "text/event-stream", None)
        asked.piece(b": hello\n\nevent: message\ndata: " + PING + b"\nevent: endpoint\ndata: {}\n\n")
        asked.ended(left=True)
        refused = writer.exchange("POST", "id-of-two", b"")
        refused.answered(404, "text/html", None)
        refused.piece(b"<h1>no</h1>")
        refused.ended(left=False)
        ending = writer.exchange("DELETE", "id-of-two", b"")
        ending.answered(200, "", None)
        ending.ended(left=False)
        stateless = writer.exchange("POST", None, PING)
        stateless.ended(left=False)
    entries = read_recording(path).entries
    assert [(e.session, e.exchange, e.sender, e.event) for e in entries] == [
        (1, 1, "client", None),
        (1, 1, "server", None),
        (2, 2, "client", None),
        (2, 2, "server", None),
        (1, 3, "client", None),
        (1, 3, "server", None),
        (1, 3, None, "left"),
        (2, None, None, "ended"),
        (3, 6, "client", None),
    ]
    assert "id-of" not in path.read_text()
