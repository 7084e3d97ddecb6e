"""Hostile resources, prompts, completions, providers and middleware: 99 healthy calls beside them get right answers."""

from __future__ import annotations

from typing import Final

import pytest
import trio
from trio.testing import MockClock

from tests.hostile.crowd import STRIKES, Attack, Town, besiege, in_time
from tests.hostile.doors import serving
from tests.hostile.functions import FEW, HOSTILE, TELLING, Hostile
from tests.hostile.kinds import HOSTILE as WORD
from tests.hostile.kinds import KINDS, Kind, answers, misbehaving

pytestmark = pytest.mark.filterwarnings("ignore:Async generator .* was garbage collected:ResourceWarning")

WAYS: Final = ("resource", "prompt", "provider before its yield", "middleware before")
"""One kind for each way from a request to a function: these meet more of the hostile functions than the others."""
IN_MEMORY: Final = [(kind, name) for kind in KINDS for name in (TELLING if kind in WAYS else FEW)]
OVER_HTTP: Final = [(kind, name) for kind in WAYS for name in ("raises_a_stray_cancelled", FEW[-1])]


async def withstands(door: str, kind: Kind, hostile: Hostile, pause: float) -> None:
    """Checks that a server behind a door withstands one hostile function as a handler of that kind."""
    async with in_time():
        town = Town(deadline=trio.current_effective_deadline())
        call = kind.declare(town.server, hostile.run)
        async with serving(door, town.server) as service:
            value = hostile.value if kind.returns else WORD
            attack = Attack(misbehaving(call), hostile.outcome, value)
            await besiege(town, service.connect, [attack] * STRIKES, pause=pause, healthy=answers(call))


@pytest.mark.parametrize(("kind", "name"), IN_MEMORY)
async def test_a_hostile_handler_in_memory(kind: str, name: str, autojump_clock: MockClock) -> None:
    await withstands("memory", KINDS[kind], HOSTILE[name], pause=10.0)


@pytest.mark.parametrize(("kind", "name"), OVER_HTTP)
@pytest.mark.parametrize("door", ["http", "http session"])
async def test_a_hostile_handler_over_http(door: str, kind: str, name: str) -> None:
    await withstands(door, KINDS[kind], HOSTILE[name], pause=0.0)
