"""`trimcp record FILE -- COMMAND` between a client and a server in processes of their own."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

import trimcp
from tests.process.children import ROOT, child, ran
from tests.recording.test_replaying import visit
from tests.recording.vault import CANARY, PATIENCE, fill_in, model, outcome, replayed, vault
from trimcp.recording.format import read_recording

ERAS = pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
SERVER = """\
from tests.recording.vault import vault
server = vault()
"""
ECHO = """\
import sys
for line in sys.stdin.buffer:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
print("farewell", file=sys.stderr, flush=True)
sys.exit(7)
"""
STUBBORN = """\
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (os.write(2, b"SIGTERM\\n"), os._exit(3)))  # it may interrupt a print
print('{"jsonrpc": "2.0", "method": "ready"}', flush=True)
for _ in sys.stdin: pass
print("EOF", file=sys.stderr, flush=True)
time.sleep(100)
"""
LAST_WORDS = """\
import sys
print('{"jsonrpc": "2.0", "method": "ready"}', flush=True)
for _ in sys.stdin: pass
print('{"jsonrpc": "2.0", "method": "last/words"}', flush=True)
"""


def recording_of(path: Path, *command: str, options: tuple[str, ...] = ()) -> list[str]:
    return [sys.executable, "-m", "trimcp", "record", str(path), *options, "--", *command]


def python(program: str) -> tuple[str, str, str]:
    return sys.executable, "-c", program


@ERAS
async def test_a_whole_session_is_recorded_and_replayed(tmp_path: Path, revision: str) -> None:
    path, file = tmp_path / "session.ndjson", tmp_path / "server.py"
    file.write_text(SERVER)
    command = recording_of(path, sys.executable, "-m", "trimcp", "run", str(file))
    with trio.fail_after(PATIENCE):
        async with trimcp.connect(
            command, revision=revision, env={"PYTHONPATH": str(ROOT)}, elicitation=fill_in, sampling=model
        ) as client:
            await visit(client)
    assert CANARY not in path.read_text()
    recording = read_recording(path)
    assert recording.entries[-1].event == "ended"
    assert all(same for _, same in outcome(await replayed(recording, vault())))


def test_bytes_stderr_and_exit_code_pass_through(tmp_path: Path) -> None:
    path = tmp_path / "session.ndjson"
    data = b'{"jsonrpc":"2.0","method":"x"}\r\n\n  \x00\xff not JSON \n{"no":"end"}'
    done = ran(recording_of(path, *python(ECHO)), data)
    assert (done.stdout, done.stderr, done.returncode) == (data, b"farewell\n", 7)
    entries = read_recording(path).entries
    assert [entry.sender for entry in entries if entry.message == {"no": "end"}] == ["client", "server"]
    assert [entry.unreadable for entry in entries if entry.unreadable is not None] == ["  \x00\ufffd not JSON "] * 2


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_on_a_signal_the_server_may_finish(tmp_path: Path, number: signal.Signals) -> None:
    path = tmp_path / "session.ndjson"
    async with child(recording_of(path, *python(LAST_WORDS))) as recorder:
        assert (await recorder.receive())["method"] == "ready"
        recorder.signal(number)
        assert (await recorder.receive())["method"] == "last/words"
        assert await recorder.exit_code() == 0
    assert [entry.message["method"] for entry in read_recording(path).entries[:-1]] == ["ready", "last/words"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
async def test_a_second_signal_reaches_a_server_that_does_not_finish(tmp_path: Path) -> None:
    async with child(recording_of(tmp_path / "session.ndjson", *python(STUBBORN))) as recorder:
        assert (await recorder.receive())["method"] == "ready"
        recorder.signal(signal.SIGTERM)
        await recorder.says("EOF")
        recorder.signal(signal.SIGTERM)
        await recorder.says("SIGTERM")
        assert await recorder.exit_code() == 3


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
async def test_the_session_outlives_a_recording_that_cannot_be_written(tmp_path: Path) -> None:
    path = tmp_path / "session.ndjson"
    # The limit on the size of files has the effect of a full disk, on this process alone.
    limited = f"""\
import os, resource
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
os.execv({sys.executable!r}, {recording_of(path, *python(ECHO))!r})
"""
    line = b'{"jsonrpc":"2.0","method":"x","params":{"text":"' + b"y" * 3000 + b'"}}\n'
    done = ran(python(limited), line * 20)
    assert (done.stdout, done.returncode) == (line * 20, 7)
    said = f"trimcp: the recording {path} stops here: File too large. The session goes on"
    assert sorted(done.stderr.decode().splitlines()) == ["farewell", said]
    assert read_recording(path).is_cut


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["record", "{path}"], "no server to record: write `trimcp record FILE -- COMMAND`"),
        (["record", "{path}", "--"], "no server to record"),
        (["record", "{path}", "--", "/no/such/program"], "cannot run '/no/such/program'"),
        (["record", "{path}", "--http", "1", "--", "x"], "--http is for a server at a URL"),
        (["record", "{path}", "http://127.0.0.1/mcp"], "no server to record"),
        (["record", "{path}", "--max-size", "7", "--", "x"], "'7' is not a size of at least 4096 bytes"),
        (["run", "server.py", "--record", "{path}", "--overwrite", "--reload"], "--overwrite is for one process"),
        (["run", "server.py", "--overwrite"], "--overwrite needs a recording"),
        (["list", "x", "--overwrite"], "--overwrite needs a recording"),
    ],
)
def test_wrong_usage_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: Any, problem: str
) -> None:
    from trimcp.cli import main

    monkeypatch.chdir(tmp_path)
    (tmp_path / "server.py").write_text(SERVER)
    with pytest.raises(SystemExit) as ended:
        main([word.format(path=tmp_path / "session.ndjson") for word in arguments])
    assert ended.value.code == 2
    assert problem in capsys.readouterr().err


async def test_a_server_records_itself_and_a_client_too(tmp_path: Path) -> None:
    file = tmp_path / "server.py"
    file.write_text(SERVER)
    here, there = tmp_path / "client.ndjson", tmp_path / "server.ndjson"
    server = ["--", sys.executable, "-m", "trimcp", "run", str(file), "--record", str(there)]
    call = [
        sys.executable,
        "-m",
        "trimcp",
        "call",
        "unlock",
        f"password={CANARY}",
        "--record",
        str(here),
        "--inherit-env",
    ]
    done = ran([*call, *server], b"")
    assert (done.returncode, done.stdout.decode()) == (0, f"{CANARY} opens nothing\n")
    for path in (here, there):
        assert CANARY not in path.read_text()
        methods = [entry.message.get("method") for entry in read_recording(path).entries if entry.kind == "request"]
        assert methods == ["server/discover", "tools/list", "tools/call"]
    assert ran([*call, *server], b"").returncode == 2
    replay = [sys.executable, "-m", "trimcp", "replay", str(here), "--json", "--", *server[1:6]]
    done = ran(replay, b"")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["counts"] == {"same": 3, "different": 0, "not compared": 0}
