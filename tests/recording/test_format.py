"""A recording is read as it was written; broken files are refused with the line, and cut ones read to the cut."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimcp.errors import UsageError
from trimcp.recording import format as recording_format
from trimcp.recording.format import Entry, entry_line, header_line, read_recording
from trimcp.recording.steps import flattened, steps_of

HEADER = header_line("2026-11-29T09:00:00+00:00", "1")

numbers = st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
contents = st.one_of(
    st.fixed_dictionaries({"message": json_values}),
    st.fixed_dictionaries({"unreadable": st.text()}),
    st.fixed_dictionaries({"size": st.integers(0, 2**40)}),
)
times = st.integers(0, 10**12).map(lambda micro: micro / 10**6)
exchanges = st.none() | st.integers(1, 10**6)
entries = st.one_of(
    st.builds(
        lambda at, session, exchange, sender, content: Entry(
            at=at, session=session, exchange=exchange, sender=sender, **content
        ),
        times,
        st.integers(0, 1000),
        exchanges,
        st.sampled_from(("client", "server")),
        contents,
    ),
    st.builds(
        lambda at, session, exchange, event: Entry(at=at, session=session, exchange=exchange, event=event),
        times,
        st.integers(0, 1000),
        exchanges,
        st.sampled_from(("ended", "left", "stopped")),
    ),
)


def written(path: Path, *lines: bytes) -> Path:
    path.write_bytes(b"".join(lines))
    return path


@given(written=st.lists(entries, max_size=6), cut=st.integers(0, 400))
def test_what_is_written_is_read_and_a_cut_file_to_its_last_whole_line(
    written: list[Entry], cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("recording") / "session.ndjson"
    lines = [entry_line(entry) for entry in written]
    path.write_bytes(HEADER + b"".join(lines))
    found = read_recording(path)
    assert found.entries == tuple(written)
    assert not found.is_cut
    steps_of(flattened(found.entries))  # takes whatever is no message, too

    data = HEADER + b"".join(lines)[: max(0, sum(map(len, lines)) - cut)]
    path.write_bytes(data)
    whole = data.count(b"\n") - 1
    assert read_recording(path).entries[:whole] == tuple(written[:whole])


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"{nonsense\n", "line 2: not JSON"),
        (b"[]\n", "line 2: not a JSON object"),
        (b'{"at": "now", "session": 1, "from": "client", "message": {}}\n', 'line 2: "at" is of the wrong type'),
        (b'{"at": 1, "session": 1, "from": "nobody", "message": {}}\n', 'line 2: "from" is not one of client, server'),
        (b'{"at": 1, "session": 1, "message": {}}\n', 'needs "at", and either "from" or "event"'),
        (b'{"at": 1, "session": 1, "from": "client"}\n', 'needs "message", "unreadable" or "size"'),
        (b'{"at": true, "session": 1, "event": "ended"}\n', '"at" is of the wrong type'),
        (b'{"at": 1, "session": 1, "event": ' + b"[" * 5000 + b"\n", "line 2: not JSON"),
        (b'{"at": 1, "session": 1, "from": "client", "message": ' + b"[" * 500 + b"]" * 500 + b"}\n", "nested deeper"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: bytes, problem: str) -> None:
    path = written(tmp_path / "session.ndjson", HEADER, line, entry_line(Entry(at=1, session=1, event="ended")))
    with pytest.raises(UsageError, match=problem.replace("[", r"\[")) as refused:
        read_recording(path)
    assert "session.ndjson" in str(refused.value)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is no recording: make one by `trimcp record`"),
        (b"\x00\xff\xfe", "is no recording"),
        (HEADER[:20], "is no recording"),
        (json.dumps({"schema": 2, "recording": "mcp"}).encode() + b"\n", "has the format 2, and this trimcp reads 1"),
        (json.dumps({"schema": True, "recording": "mcp"}).encode() + b"\n", "is no recording"),
    ],
)
def test_what_is_no_recording_is_refused(tmp_path: Path, data: bytes, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        read_recording(written(tmp_path / "session.ndjson", data))


def test_a_file_that_is_not_there_or_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*: No such file"):
        read_recording(tmp_path / "none.ndjson")
    monkeypatch.setattr(recording_format, "LONGEST_LINE", 1000)
    path = written(tmp_path / "long.ndjson", HEADER, b" " * 2000)
    with pytest.raises(UsageError, match="a line of more than 1000 bytes"):
        read_recording(path)
    monkeypatch.setattr(recording_format, "MOST_BYTES", 2000)
    path = written(
        tmp_path / "large.ndjson", HEADER, *(entry_line(Entry(at=1, session=1, event="ended")) for _ in range(99))
    )
    with pytest.raises(UsageError, match="more than 2000 bytes"):
        read_recording(path)


def test_messages_belong_to_the_request_they_came_for() -> None:
    def entry(at: float, sender: str, message: Any, exchange: int | None = None) -> Entry:
        return Entry(at=at, session=1, sender=sender, message={"jsonrpc": "2.0", **message}, exchange=exchange)  # type: ignore[arg-type]

    call = {"method": "tools/call", "params": {"name": "x", "_meta": {"progressToken": 7}}}
    report = {"method": "notifications/progress", "params": {"progressToken": 7, "progress": 1}}
    said = {"method": "notifications/message", "params": {"level": "info", "data": 1}}
    session = steps_of(
        [
            entry(0, "client", {"id": 1, **call}, 1),
            entry(1, "client", {"id": 1, "method": "ping"}, 2),  # a host that gives all requests one id
            entry(2, "server", said, 1),
            entry(3, "server", report),
            entry(4, "server", {"id": 1, "result": {"of": "ping"}}, 2),
            entry(5, "server", {"id": 1, "result": {"of": "call"}}, 9),  # by a stream that was resumed
            entry(6, "server", {"id": 99, "result": {}}),
            entry(7, "client", {"id": "q", "result": {"role": "user"}}),
        ]
    )
    call_step, ping = session.steps
    assert [reply.at for reply in call_step.replies] == [2, 3, 5]
    assert ping.answer is not None
    assert ping.answer.message["result"] == {"of": "ping"}
    assert list(session.answers) == ['"q"']
