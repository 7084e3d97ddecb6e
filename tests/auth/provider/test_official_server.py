"""A client signs in at a protected server of the official package."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

import trimcp
from tests.auth.provider.running import PATIENCE, Person
from trimcp import auth

pytest.importorskip("mcp.server.auth.provider")
pytest.importorskip("uvicorn")

pytestmark = pytest.mark.interop

PROGRAM = Path(__file__).with_name("official_protected.py")


@asynccontextmanager
async def official() -> AsyncIterator[str]:
    """Run the server in a process of its own; its URL."""
    async with trio.open_nursery() as nursery:
        run = functools.partial(
            trio.run_process,
            [sys.executable, str(PROGRAM)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            check=False,
        )
        process = await nursery.start(run)
        with trio.fail_after(PATIENCE):
            line = b""
            while not line.endswith(b"\n"):
                piece = await process.stdout.receive_some()
                assert piece, "the server has ended"
                line += piece
            yield line.decode().strip()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("revision", ["2026-07-28", "2025-11-25"])
async def test_a_sign_in_with_a_listener_serves_the_next_client_too(revision: str) -> None:
    person, store = Person(), auth.MemoryStore()
    async with official() as url:
        for _ in range(2):
            hook = auth.OAuth(open_url=person.open, store=store)
            async with trimcp.connect(url, auth=hook, revision=revision) as client:
                clients, tokens = map(int, (await client.call_tool("counts")).text.split())
                assert clients == 1
                assert tokens >= 1
    assert person.sign_ins == 1
