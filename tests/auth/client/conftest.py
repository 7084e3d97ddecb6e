"""Fixtures of this folder."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.auth.client.world import World, names_of, opened
from tests.session.peer import logged

__all__ = ["logged"]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """An MCP server and an authorization server in memory."""
    made = World()
    with opened(made):
        async with names_of(made):
            yield made
