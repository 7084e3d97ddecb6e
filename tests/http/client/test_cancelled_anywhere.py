"""A scope around a client over HTTP may be cancelled at any point, and nothing is left of it."""

from __future__ import annotations

import os

import pytest
import trio
import trio.testing

import trimcp
from tests.http.client.eras import MODERN, Legacy, modern
from tests.http.client.scripted import Script, scripted

STEPS = 120


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 1


def _script(era: str) -> Script:
    return modern() if era == MODERN else Legacy()


@pytest.mark.parametrize("era", ["2025-11-25", MODERN, None])
async def test_a_scope_cancelled_after_any_number_of_steps_leaves_nothing(era: str | None, carrier: str) -> None:
    async def live(url: str) -> None:
        async with trimcp.connect(url, revision=era) as client, client.listen(tools=True):
            await client.call_tool("x")
            await trio.sleep_forever()

    async with scripted(_script(era or MODERN), carrier) as server:
        files: int | None = None
        await trio.testing.wait_all_tasks_blocked()
        tasks = trio.lowlevel.current_statistics().tasks_living
        for steps in range(STEPS):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(live, server.url)
                for _ in range(steps):
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
            with trio.fail_after(60):
                while trio.lowlevel.current_statistics().tasks_living > tasks:
                    await trio.testing.wait_all_tasks_blocked(0.001 if carrier == "tcp" else 0)
            if carrier == "tcp":
                files = files or _open_files()
                assert _open_files() <= files
        assert carrier == "tcp" or all(ask.gone.is_set() for ask in server.asks)
