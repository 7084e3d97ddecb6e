"""What is raised inside of a client's context leaves as itself, also while the scope around it is cancelled."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest
import trio

import trimcp
from tests.http.client.test_own_server import serving
from tests.http.workshop import Workshop


@contextlib.asynccontextmanager
async def opened(kind: str, url: str) -> AsyncIterator[None]:
    """A client, or a group of one."""
    if kind == "group":
        async with trimcp.open_group() as group:
            await group.add("one", url)
            await group.wait_ready("one")
            yield
        return
    revision = "2025-11-25" if kind == "legacy" else None
    async with trimcp.connect(Workshop().server if kind == "memory" else url, revision=revision):
        yield


@pytest.mark.parametrize("kind", ["memory", "modern", "legacy", "group"])
async def test_an_error_raised_while_the_scope_around_it_is_cancelled_is_not_lost(kind: str) -> None:
    async with serving(Workshop()) as url:
        with pytest.raises(ValueError, match="mine"), trio.CancelScope() as scope:
            async with opened(kind, url):
                scope.cancel()
                try:
                    await trio.sleep_forever()
                finally:
                    raise ValueError("mine")


@pytest.mark.parametrize("kind", ["memory", "modern", "legacy", "group"])
async def test_a_cancel_alone_is_a_cancel(kind: str) -> None:
    async with serving(Workshop()) as url:
        with trio.CancelScope() as scope:
            async with opened(kind, url):
                scope.cancel()
                await trio.sleep_forever()
        assert scope.cancelled_caught
