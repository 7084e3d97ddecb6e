"""The watch of files: once it has started it misses no change, and no server starts before it."""

from __future__ import annotations

import argparse
import os
import types
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.programs import PATIENCE
from trimcp.cli.dev import command as dev
from trimcp.cli.dev import file_server
from trimcp.cli.reload import bridge, command, files
from trimcp.cli.reload.files import watch_files


async def test_a_change_right_after_the_watch_has_started_is_told(tmp_path: Path) -> None:
    send, receive = trio.open_memory_channel[str](1)
    async with trio.open_nursery() as nursery:
        with trio.fail_after(PATIENCE):
            await nursery.start(watch_files, [str(tmp_path)], send)
            (tmp_path / "late.py").write_text("x = 1\n")
            assert await receive.receive() == "late.py"
        nursery.cancel_scope.cancel()


async def test_a_folder_that_is_not_there_fails_the_start(tmp_path: Path) -> None:
    send, _ = trio.open_memory_channel[str](1)
    async with trio.open_nursery() as nursery:
        with pytest.raises(FileNotFoundError):
            await nursery.start(watch_files, [str(tmp_path / "none")], send)


async def reload_listening(where: str) -> None:
    await command._reload_listening(["server"], [where])


async def reload_stdio(where: str) -> None:
    stdin, stdout = os.pipe(), os.pipe()
    try:
        await command._reload_stdio(["server"], [where], stdin[0], stdout[1])
    finally:
        for end in (*stdin, *stdout):
            os.close(end)


async def serve_file(where: str) -> None:
    options = argparse.Namespace(port=0, view_port=0, one_process=False, log_level=None, launched=None, no_browser=True)
    await dev._serve_file(options, f"{where}/small.py", [where])


@pytest.mark.parametrize("serve", [reload_listening, reload_stdio, serve_file])
async def test_no_server_starts_before_the_watch(
    serve: Callable[[str], Awaitable[None]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    async def watch(folders: Sequence[str], changed: Any, *, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        assert list(folders) == [str(tmp_path)]
        await trio.testing.wait_all_tasks_blocked()
        order.append("watched")
        task_status.started()
        await trio.sleep_forever()

    async def run(*_: Any) -> None:
        order.append("started")
        scope.cancel()
        await trio.sleep_forever()

    scope = trio.CancelScope(deadline=trio.current_time() + PATIENCE)

    monkeypatch.setattr(files, "watch_files", watch)
    monkeypatch.setattr(command, "watch_files", watch)
    monkeypatch.setattr(command._Listening, "run", run)
    monkeypatch.setattr(bridge.Bridge, "run", run)
    monkeypatch.setattr(file_server, "FileServer", lambda *_, **options: types.SimpleNamespace(run=run))
    with scope:
        await serve(str(tmp_path))
    assert order == ["watched", "started"]
