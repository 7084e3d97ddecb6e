"""Every store of trimcp passes the checks that a store of a user runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.stores.valkey import ValkeyProcess
from trimcp.stores import MemoryStore, SQLite, Store, Valkey
from trimcp.testing.check_store import CHECKS, Check, check_store

LEASE = 2.0  # a shorter one runs out on a machine that is busy
EACH = pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)


@EACH
async def test_the_store_in_memory(check: Check) -> None:
    @asynccontextmanager
    async def handles() -> AsyncIterator[tuple[Store, Store]]:
        store = MemoryStore(shared=True, lease=LEASE)
        async with store.open():
            yield store, store

    await check_store(handles, checks=[check])


@EACH
async def test_the_store_in_a_file(check: Check, tmp_path: Path) -> None:
    @asynccontextmanager
    async def handles() -> AsyncIterator[tuple[Store, Store]]:
        store, other = (SQLite(tmp_path / "state.db", lease=LEASE) for _ in range(2))
        async with store.open(), other.open():
            yield store, other

    await check_store(handles, checks=[check])


@EACH
async def test_the_store_in_valkey(check: Check, valkey: ValkeyProcess) -> None:
    @asynccontextmanager
    async def handles() -> AsyncIterator[tuple[Store, Store]]:
        # On a busy machine an answer may take longer than the deadline of a server.
        store, other = (Valkey(valkey.url, lease=LEASE, deadline=5.0) for _ in range(2))
        async with store.open(), other.open():
            yield store, other

    await check_store(handles, checks=[check])
