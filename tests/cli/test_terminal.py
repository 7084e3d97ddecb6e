"""Texts of a server on a terminal: nothing that the terminal would obey reaches it."""

from __future__ import annotations

import json
import os
import pty
import sys
from pathlib import Path

import pytest

from tests.programs import ROOT

EVIL = "\x1b[31m\x9b\u202e\u2066\x07"
SERVER = f"""
import trimcp
EVIL = {EVIL!r}
server = trimcp.Server("evil", title=EVIL, instructions=EVIL)

@server.tool(description=" ")
async def blank(text: str = "") -> str:
    return EVIL

@server.tool
async def structured() -> dict[str, str]:
    return {{EVIL: EVIL}}

@server.tool
async def refused() -> str:
    raise trimcp.ToolError(EVIL)

@server.tool
async def failed() -> str:
    print(EVIL)
    raise ValueError(EVIL)

@server.tool
async def wrong() -> str:
    raise trimcp.RequestFailed(-32000, EVIL)

server.run()
"""


def on_terminal(*arguments: str) -> str:
    """Run a command of the client with a terminal as its stdout and stderr; return what it showed."""
    pid, fd = pty.fork()
    if pid == 0:  # pragma: no cover
        os.chdir(ROOT)
        os.execv(sys.executable, [sys.executable, "-m", "trimcp", *arguments])
    shown = b""
    try:
        while data := os.read(fd, 65536):
            shown += data
    except OSError:  # the end of a pseudo-terminal
        pass
    os.waitpid(pid, 0)
    os.close(fd)
    return shown.decode()


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    file: Path = tmp_path_factory.mktemp("evil") / "evil.py"
    file.write_text(SERVER)
    return ["--", "env", f"PYTHONPATH={ROOT}", sys.executable, str(file)]


@pytest.mark.parametrize(
    "command",
    [
        ["list"],
        ["list", "--json"],
        *(
            ["call", name, *json_]
            for name in ("blank", "structured", "refused", "failed", "wrong")
            for json_ in ([], ["--json"])
        ),
        ["read", f"x:{EVIL[1:4]}"],
    ],
    ids=" ".join,
)
def test_no_command_shows_a_raw_character_of_the_server(
    command: list[str], evil: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    shown = on_terminal(*command, *evil)
    assert "Traceback" not in shown or "failed" in command
    assert not set(EVIL[:1] + EVIL[5:]) & set(shown), shown
    if command == ["call", "blank", "--json"]:
        assert json.loads(shown)["content"][0]["text"] == EVIL


def test_a_tool_that_raises_shows_its_own_frames_first(evil: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    lines = on_terminal("call", "failed", *evil).splitlines()
    at = lines.index("    Traceback (most recent call last):")
    assert 'evil.py", line' in lines[at + 1]
    assert "in failed" in lines[at + 1]
