"""What needs Unix sockets or shared ports says so on Windows, in one line. The tests play Windows elsewhere."""

from __future__ import annotations

import os
import sys

import pytest

import trimcp
from tests.cli.conftest import Run, run  # noqa: F401 - a fixture
from trimcp.errors import UsageError

PORT = "Windows has no views on Unix sockets: give --view a port, and view and top the printed URL"


@pytest.fixture(autouse=True)
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    for name in ("getuid", "geteuid"):
        monkeypatch.delattr(os, name, raising=False)


@pytest.mark.parametrize("words", [["view"], ["view", "4711"], ["top"], ["top", "4711"], ["top", "C:/view.sock"]])
def test_the_commands_want_a_url(words: list[str], run: Run) -> None:  # noqa: F811
    done = run(*words)
    assert done.code == 2
    assert PORT in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("where", [None, "view.sock"])
async def test_a_view_wants_a_port(where: str | None) -> None:
    server = trimcp.Server("shop")
    async with server.running():
        with pytest.raises(UsageError, match="give --view a port"):
            await server.serve_view(where)


def test_dev_says_how_to_serve_a_file(run: Run) -> None:  # noqa: F811
    done = run("dev", "server.py")
    assert done.code == 2
    assert "Windows shares no ports between processes: write trimcp dev -- python FILE" in done.err
    assert "Traceback" not in done.err
