"""`trimcp completion`, and the answers to shells: commands, options, servers, tools and arguments."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import SHOP, Run
from tests.programs import PATIENCE, ROOT


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with a script, and a configuration file that names the shop."""
    entry = {
        "command": sys.executable,
        "args": ["-m", "trimcp", "run", str(SHOP)],
        "env": {"PYTHONPATH": str(ROOT)},
    }
    (tmp_path / "mcp.json").write_text(json.dumps({"mcpServers": {"shop": entry}}))
    (tmp_path / "server.py").touch()
    return tmp_path


PATIENT = f"from trimcp.cli import completion_command, main\ncompletion_command.PATIENCE = {PATIENCE}\nmain()"
"""The command line; a shell does not wait so long for a server that starts."""


def completions(line: str, place: Path) -> list[str]:
    """What the shell is told for the end of a line."""
    answer = place / "answer"
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    answer.touch()
    command = [sys.executable, "-c", PATIENT]
    subprocess.run(command, env=environment, cwd=place, check=True, timeout=PATIENCE, capture_output=True)
    return [text for text in answer.read_text().split("\n") if text]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("trimcp in", ["install", "inspect"]),
        ("trimcp call --c", ["--config", "--cwd"]),
        ("trimcp run server.py --rel", ["--reload", "--reload-dir"]),
        ("trimcp install server.py --host cu", ["cursor"]),
        ("trimcp call s", ["server.py"]),
        ("trimcp call --config mcp.json ", ["shop"]),
        ("trimcp list server.py t", ["tools", "templates"]),
        # Nothing is started that is not in a file of the user.
        ("trimcp call server.py ", []),
    ],
)
def test_what_needs_no_server(place: Path, line: str, expected: list[str]) -> None:
    assert completions(line, place) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("trimcp call shop p", ["place", "pay"]),
        ("trimcp call shop place tags=a ", ["order=", "tags=", "note=", "ratio="]),
    ],
)
def test_tools_and_arguments_of_a_configured_server(place: Path, line: str, expected: list[str]) -> None:
    command, _, rest = line.partition(" shop ")
    assert completions(f"{command} shop --config mcp.json {rest}", place) == expected


def test_bash_gets_the_candidates(run: Run, place: Path) -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash")
    program = place / "trimcp"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m trimcp "$@"\n')
    program.chmod(0o755)
    (place / "completion.bash").write_text(run("completion", "bash").out)
    script = """
source completion.bash
COMP_LINE="trimcp dem" COMP_POINT=10 COMP_TYPE=9 COMP_WORDS=(trimcp dem) COMP_CWORD=1
_python_argcomplete trimcp
echo "${COMPREPLY[@]}"
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": f"{place}:{os.environ['PATH']}"}
    done = subprocess.run(
        [bash, "-c", script], env=environment, cwd=place, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.stdout.strip() == "demo", done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_there_is_a_script_for_each_shell(run: Run, shell: str) -> None:
    done = run("completion", shell)
    assert done.code == 0
    assert "trimcp" in done.out
    program = shutil.which(shell)
    if program is not None:
        option = "--no-execute" if shell == "fish" else "-n"
        checked = subprocess.run([program, option], input=done.out, text=True, capture_output=True, check=False)
        assert checked.returncode == 0, checked.stderr


def test_argcomplete_must_be_there(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "argcomplete.shell_integration", None)
    done = run("completion", "bash")
    assert done.code == 2
    assert "pip install '.[completion]'" in done.err
