"""Hostile tools, over every transport: 99 healthy calls in flight beside them get right answers."""

from __future__ import annotations

import functools
from typing import Final

import pytest
import trio
from trio.testing import MockClock

from tests.hostile.crowd import STRIKES, Attack, Town, besiege, call_tool, in_time
from tests.hostile.doors import serving
from tests.hostile.functions import HOSTILE, MOMENT, TELLING, Hostile

pytestmark = pytest.mark.filterwarnings("ignore:Async generator .* was garbage collected:ResourceWarning")

IN_MEMORY: Final = [*(("memory", name) for name in HOSTILE), *(("memory session", name) for name in TELLING)]
OVER_SOCKETS: Final = [
    *(("http", name) for name in HOSTILE),
    *(("http session", name) for name in HOSTILE),
    *(("websocket", name) for name in TELLING),  # a duplex session, as in memory
]


async def withstands(door: str, hostile: Hostile, pause: float) -> None:
    """Checks that a server behind a door withstands one hostile tool."""
    async with in_time():
        town = Town(deadline=trio.current_effective_deadline())
        town.server.tool(hostile.run)
        async with serving(door, town.server) as service:
            attack = Attack.by(functools.partial(call_tool, name=hostile.name), hostile)
            await besiege(town, service.connect, [attack] * STRIKES, pause=pause)


@pytest.mark.parametrize(("door", "name"), IN_MEMORY)
async def test_a_hostile_tool_in_memory(door: str, name: str, autojump_clock: MockClock) -> None:
    await withstands(door, HOSTILE[name], pause=10.0)


@pytest.mark.parametrize(("door", "name"), OVER_SOCKETS)
async def test_a_hostile_tool_over_a_socket(door: str, name: str) -> None:
    hostile = HOSTILE[name]
    await withstands(door, hostile, pause=MOMENT if hostile.lasts else 0.0)
