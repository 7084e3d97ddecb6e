"""`--ask`, `--allow` and `--deny` of the client commands, and `trimcp consent`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Run, Typist

SERVER = """
import trimcp
server = trimcp.Server("notes")

@server.tool
def delete(note: str) -> str:
    "{description}"
    return "deleted " + note

server.run()
"""
Typing = Callable[..., Typist]


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a server; decisions are kept beside it."""
    monkeypatch.setenv("TRIMCP_CONSENT_DIR", str(tmp_path / "consent"))
    path = tmp_path / "notes.py"
    path.write_text(SERVER.format(description="Delete a note."))
    return path


def call(run: Run, notes: Path, *options: str) -> tuple[int, str, str]:
    done = run("call", "delete", "note=milk", *options, "--", sys.executable, str(notes))
    return done.code, done.out, done.err


def test_always_is_remembered_until_the_description_changes_or_it_is_revoked(
    run: Run, notes: Path, typing: Typing
) -> None:
    typing("w", "a")
    code, out, err = call(run, notes, "--ask")
    assert (code, out) == (0, "deleted milk\n")
    assert err.count("Call the tool delete?") == 2  # the second time whole
    assert call(run, notes, "--ask")[0] == 0

    (decision,) = run("consent", "list", "--json").json
    assert (decision["tool"], decision["allowed"]) == ("delete", True)
    assert f"{decision['id']}  allow" in run("consent", "list").out

    notes.write_text(SERVER.format(description="Send all notes away."))
    code, out, err = call(run, notes, "--ask")  # the end of input is a no
    assert (code, out) == (1, "")
    assert "WARNING: Changed since it was allowed: the description" in err
    assert "trimcp: The call of the tool delete was refused" in err

    assert run("consent", "revoke", "0").code == 2
    assert run("consent", "revoke").code == 2
    assert run("consent", "list", "0").code == 2
    assert run("consent", "revoke", "--server", "another").err == "0 decisions are revoked\n"
    assert run("consent", "revoke", decision["id"]).err == "1 decision is revoked\n"
    assert run("consent", "list").err == "no decision is remembered\n"


def test_never_is_remembered(run: Run, notes: Path, typing: Typing) -> None:
    typing("perhaps", "v")
    assert call(run, notes, "--ask")[0] == 1
    assert call(run, notes, "--ask")[2].count("Call the tool") == 0
    assert "deny " in run("consent", "list").out
    assert run("consent", "revoke", "--all").code == 0


def test_without_a_terminal_it_is_no(run: Run, notes: Path) -> None:
    code, out, err = call(run, notes, "--ask")
    assert (code, out) == (1, "")
    assert "was refused" in err


def test_patterns_allow_and_deny(run: Run, notes: Path) -> None:
    assert call(run, notes, "--allow", "del*")[0] == 0
    assert call(run, notes, "--allow", "del*", "--deny", "*")[0] == 1
    assert call(run, notes, "--allow", "read")[0] == 1
    assert call(run, notes, "--deny", "read")[0] == 0
