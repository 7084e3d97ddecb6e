"""The view of programs: found where an editor has started a server over stdio, and shown by `trimcp top`."""

from __future__ import annotations

import hashlib
import os
import re
from importlib import resources
from pathlib import Path

import pytest

import trimcp
from tests.cli.conftest import Run, run  # noqa: F401 - a fixture
from tests.cli.test_run_options import options
from tests.view.conftest import shop_served
from trimcp.cli import viewed
from trimcp.view import sockets
from trimcp.view.places import place_of


def test_a_server_on_stdio_is_found_and_shown(runtime: Path, run: Run) -> None:  # noqa: F811
    with shop_served("--view") as address:
        ((pid, path),) = sockets.running().items()
        assert str(path) == address == str(runtime / f"{pid}.sock")
        assert place_of(None) == place_of(str(pid)) == place_of(address)
        for _ in range(200):
            done = run("top", "--once", str(pid))
            assert done.code == 0
            if "tools/call bake" in done.out:  # the customer of the shop has come
                break
        assert f"shop 2.1  process {pid}" in done.out
        assert "Requests in flight" in done.out
        assert re.search(r"^Waits: \d", done.out, re.MULTILINE)
        done = run("top", "--stacks", str(pid))
        assert done.code == 0
        assert "tools/call bake" in done.out
        assert "bake: await trio.sleep_forever()" in done.out


def test_without_a_view_the_commands_say_what_to_do(runtime: Path, run: Run) -> None:  # noqa: F811
    for command in ("top", "view"):
        done = run(command)
        assert done.code == 2
        assert "no server of yours has a view: start one with trimcp run FILE --view" in done.err


def test_sockets_of_processes_that_are_gone_are_removed(runtime: Path) -> None:
    mine = sockets.own_path()
    mine.touch()
    gone = mine.with_name("4194303.sock")
    gone.touch()
    mine.with_name("notes.txt").touch()
    assert sockets.running() == {os.getpid(): mine}
    assert not gone.exists()


def test_a_directory_that_others_may_write_to_is_refused(runtime: Path) -> None:
    runtime.mkdir()
    runtime.chmod(0o777)
    with pytest.raises(trimcp.UsageError, match="only this user can write to"):
        sockets.own_path()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--view-control"], "--view-control needs a view"),
        (["--view-trace", "--view-control"], "--view-control, --view-trace needs a view"),
        (["--view", "8001", "--http", "0", "--workers", "2"], "--workers has a view for each process"),
    ],
)
def test_options_that_do_not_go_together_are_refused(arguments: list[str], said: str) -> None:
    with pytest.raises(trimcp.UsageError, match=said):
        viewed.check(options(*arguments))


@pytest.mark.parametrize("where", ["shop.py", "70000", "name"])
def test_a_view_needs_a_port_or_a_path(where: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        options("--view", where)
    assert "is neither a port nor the path of a socket: put FILE before --view" in capsys.readouterr().err


def test_the_library_of_the_page_is_the_released_one() -> None:
    page = resources.files("trimcp.view").joinpath("page")
    digest = hashlib.sha256(page.joinpath("htm-preact.js").read_bytes()).hexdigest()
    assert digest == "72284e8e9079c87817145df1110f74e8a2aa040b2fc384922e18dfcb46fc1fd7"
    assert digest in page.joinpath("htm-preact.LICENSE.txt").read_text()
