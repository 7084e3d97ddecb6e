"""A server with a view in a process of its own, and a directory for sockets."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.programs import PATIENCE, ROOT

SHOP = Path(__file__).with_name("shop.py")
AT = r"the view(?: of \S+)? is at (\S+)\n"


@contextmanager
def printing(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run `trimcp` in a process of its own, whose stderr the test reads."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-m", "trimcp", *command],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def printed(process: subprocess.Popen[bytes], wanted: str) -> re.Match[str]:
    """Read the stderr of a process until it has said something."""
    assert process.stderr is not None
    said = b""
    while not (found := re.search(wanted, said.decode())):
        ready, _, _ = select.select([process.stderr], [], [], PATIENCE)
        data = os.read(process.stderr.fileno(), 65536) if ready else b""
        assert data, f"the process has ended, or says nothing: {said!r}"
        said += data
    return found


@contextmanager
def shop_served(*options: str, file: Path = SHOP) -> Iterator[str]:
    """Run the shop with a view in a process of its own; yields the address of the view, as it is printed."""
    with printing("run", str(file), "--grace", "0.2", *options) as process:
        yield printed(process, AT)[1]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Serve the shop over HTTP, with a view that may act, for the tests of one file."""
    with shop_served("--http", "0", "--view", "0", "--view-control") as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start a browser for the tests of one file."""
    from tests.view.browser import ARGUMENTS, CHROMIUM, playwright

    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the sockets of views are: not in the directory of the user."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return tmp_path / "trimcp"
