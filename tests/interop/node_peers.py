"""Released npm packages as programs for tests to run; they are skipped where those are not to be had."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import trio

import trimcp
from tests import node
from tests.process.children import PATIENCE

EVERYTHING: Final = ("@modelcontextprotocol/server-everything", "2026.8.31")
INSPECTOR: Final = ("@modelcontextprotocol/inspector", "0.15.0")


def package(name: str, version: str) -> tuple[str, Path]:
    """Node, and the folder of the package; skips the test where they are not to be had."""
    try:
        return node.node_and_npm()[0], node.installed(name, version)
    except node.Unavailable as why:
        pytest.skip(str(why))


@asynccontextmanager
async def everything(version: str | None = None, **options: Any) -> AsyncIterator[trimcp.Client]:
    """A client of the reference server that has everything."""
    program, folder = package(*EVERYTHING)
    command = [program, str(folder / "dist" / "index.js"), "stdio"]
    with trio.fail_after(PATIENCE):
        async with trimcp.connect(command, revision=version, on_stderr=lambda line: None, **options) as client:
            yield client
