"""`trimcp replay`: what it prints, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.recording.test_relay import SERVER
from tests.recording.vault import recorded, vault
from trimcp.cli import main
from trimcp.recording.format import entry_line, header_line, read_recording
from trimcp.types.revisions import LATEST


@pytest.fixture
def session(tmp_path: Path) -> Path:
    """A recording of two calls."""
    path = tmp_path / "session.ndjson"

    async def use(client: Any) -> None:
        await client.call_tool("unlock", {"password": "sesame"})
        await client.read_resource("vault://7")

    trio.run(recorded, path, vault(), LATEST.version, use)
    return path


def ran(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[Any, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["replay", *arguments])
    captured = capsys.readouterr()
    return ended.value.code, captured.out, captured.err


def server_file(tmp_path: Path, **replaced: str) -> str:
    file = tmp_path / "server.py"
    program = "import sys; sys.path.insert(0, '.')\n" + SERVER
    for old, new in replaced.items():
        program = program.replace(old, new)
    file.write_text(program)
    return str(file)


def test_a_server_that_does_the_same(session: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = ran(capsys, str(session), server_file(tmp_path))
    assert (code, err) == (0, "")
    assert out == (
        "session 1\n"
        "  same     server/discover\n"
        "  same     tools/call unlock\n"
        "             it was sent with ••• for $.params.arguments.password\n"
        "  same     tools/list\n"
        "  same     resources/read vault://7\n"
        "\n"
        "4 same, 0 different, 0 not compared\n"
        "1 message was sent with ••• in the place of a value: give it by --fill NAME=@FILE\n"
    )


def test_a_server_that_does_not(session: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = server_file(tmp_path, **{"server = vault()": "server = vault(name='cellar')"})
    code, out, _ = ran(capsys, str(session), other, "--session", "1")
    assert code == 7
    assert '"io.modelcontextprotocol/serverInfo"].name\n             - "vault"\n             + "cellar"\n' in out
    assert "\n0 same, 4 different, 0 not compared\n" in out
    code, out, _ = ran(capsys, str(session), other, "--json", "--ignore", "$..name")
    assert code == 0
    code, out, _ = ran(capsys, str(session), other, "--json")
    assert code == 7
    report = json.loads(out)
    assert (report["schema"], report["counts"]["different"]) == (1, 4)
    (first, *_, last) = report["sessions"][0]["requests"]
    assert (first["method"], first["same"]) == ("server/discover", False)
    assert (last["name"], [each["replayed"] for each in last["differences"]]) == ("vault://7", ["cellar"])


def test_a_cut_recording_is_replayed_to_the_cut(
    session: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    *whole, cut, _ = session.read_bytes().splitlines(keepends=True)
    session.write_bytes(b"".join(whole) + cut[: len(cut) // 2])
    code, out, err = ran(capsys, str(session), server_file(tmp_path))
    assert (code, out.splitlines()[-2]) == (0, "3 same, 0 different, 1 not compared")
    assert err == f"trimcp: the last line of {session} is incomplete, and is left out\n"


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (["{path}"], 2, "the following arguments are required: TARGET"),
        (["{path}", "{server}", "more"], 2, "replay takes a FILE and one TARGET: remove more"),
        (["{path}", "{server}", "--revision", "2025-11-25"], 2, "the recording decides on the revision"),
        (["{path}", "{server}", "--session", "9"], 2, "has no session 9"),
        (["{path}", "{server}", "--ignore", "name"], 2, "Invalid path 'name'"),
        (["{path}", "{server}", "--serve"], 2, "--serve is the server itself"),
        (["{path}", "{server}", "--http", "80"], 2, "--http is where --serve listens"),
        (["{server}", "{server}"], 2, "is no recording: make one by `trimcp record`"),
        (["{empty}", "{server}"], 2, "has no request: record a session with one"),
        (["{path}", "tcp://127.0.0.1:9"], 3, "trimcp: "),
    ],
)
def test_wrong_usage_and_no_server(
    session: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, problem: str
) -> None:
    empty = tmp_path / "empty.ndjson"
    empty.write_bytes(header_line("", "1") + entry_line(read_recording(session).entries[-1]))
    names = {"path": session, "server": server_file(tmp_path), "empty": empty}
    ended, out, err = ran(capsys, *(word.format(**names) for word in arguments))
    assert (ended, out) == (code, "")
    assert problem in err


@pytest.fixture
def login(tmp_path: Path) -> Path:
    """A recording of a call with a secret, and of a form with another one."""
    path = tmp_path / "login.ndjson"

    async def use(client: Any) -> None:
        await client.call_tool("unlock", {"password": "open sesame"})
        await client.call_tool("enter")

    trio.run(recorded, path, vault(), "2025-11-25", use)
    return path


def test_masks_are_filled_and_the_values_are_not_shown(
    login: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The server says more than it did, and its sum of the letters tells what it got.
    changed = {"server = vault()": UNLOCKING}
    code, out, _ = ran(capsys, str(login), server_file(tmp_path, **changed))
    assert code == 7
    assert "3 letters" in out
    assert "  an answer to the server was sent with •••, to elicitation/create: $.result.content.phrase\n" in out
    assert "2 messages were sent with •••" in out
    secret = tmp_path / "secret"
    secret.write_text("open sesame\n")
    monkeypatch.setenv("phrase", "the moon is full")
    fills = ["--fill", f"$.params.arguments.password=@{secret}", "--fill", "phrase"]
    code, out, _ = ran(capsys, str(login), server_file(tmp_path, **changed), *fills)
    assert code == 7
    assert "11 letters" in out
    assert "••• opens nothing, 11 letters" in out
    assert "sesame" not in out
    assert "sent with" not in out
    code, out, _ = ran(capsys, str(login), server_file(tmp_path, **changed), *fills, "--json")
    assert "sesame" not in out
    assert not any(request["masked"] for request in json.loads(out)["sessions"][0]["requests"])


UNLOCKING = """
server = vault()
server.remove_tool("unlock")

@server.tool
async def unlock(password: str) -> str:
    return f"{password} opens nothing, {len(password)} letters"
"""


@pytest.mark.parametrize(
    ("fill", "problem"),
    [
        ("pasword=x", "the client has sent no masked pasword. Masked are: $.params.arguments.password"),
        ("password", "--fill password: the environment has no password: set it, or write password=@FILE"),
        ("password:=x", "--fill password: the value is not JSON"),
        ("password=@/no/such", "cannot read /no/such"),
        ("$..[=x", "Invalid path"),
    ],
)
def test_a_fill_that_cannot_be_is_refused(
    login: Path, capsys: pytest.CaptureFixture[str], fill: str, problem: str
) -> None:
    code, _, err = ran(capsys, str(login), "http://127.0.0.1:1/mcp", "--fill", fill)
    assert code == 2
    assert problem in err


def test_a_mock_is_filled_too(login: Path) -> None:
    from trimcp.recording.filling import Fills

    recording = Fills({"text": "open sesame"}).filled(read_recording(login), "server")
    assert "open sesame opens nothing" in str([entry.message for entry in recording.entries])
