"""Hostile sampling, elicitation, roots, consent and progress callbacks: the client's other calls get right answers."""

from __future__ import annotations

from typing import Final

import pytest
import trio
from trio.testing import MockClock

from tests.hostile import client_kinds
from tests.hostile.client_kinds import CLIENT_KINDS, ClientKind, progress_of
from tests.hostile.crowd import STRIKES, Attack, Town, besiege, in_time
from tests.hostile.doors import MEMORY, serving
from tests.hostile.functions import FEW, HOSTILE, TELLING, Hostile, Outcome
from tests.hostile.kinds import HOSTILE as WORD
from tests.hostile.kinds import answers, misbehaving

pytestmark = pytest.mark.filterwarnings("ignore:Async generator .* was garbage collected:ResourceWarning")

WAYS: Final = ("sampling", "elicitation")
"""The kinds of which any number run at once, and one after the other."""
MANY: Final = [(kind, name) for kind in CLIENT_KINDS for name in (TELLING if kind in WAYS else FEW)]
PROGRESS: Final = [
    *(("memory", name) for name in TELLING if "nursery" not in name),
    *(("memory session", name) for name in FEW),
]


async def withstands(door: str, kind: ClientKind, hostile: Hostile, pause: float) -> None:
    """Checks that a client withstands one hostile function as a handler of that kind."""
    async with in_time():
        town = Town(deadline=trio.current_effective_deadline())
        client_kinds.declare(town.server)
        async with serving(door, town.server, kind.given(hostile.run)) as service:
            outcome = hostile.outcome
            if outcome is Outcome.HANGS and "session" not in door:
                outcome = Outcome.IS_LEFT  # the rounds of 2026-07-28 are the caller's
            attack = Attack(misbehaving(kind.call), outcome, hostile.value if kind.returns else WORD)
            healthy = None if kind.is_always_hostile else answers(kind.call)
            await besiege(town, service.connect, [attack] * STRIKES, pause=pause, healthy=healthy)


@pytest.mark.parametrize(("kind", "name"), MANY)
@pytest.mark.parametrize("door", MEMORY)
async def test_a_hostile_handler_of_a_client_in_memory(
    door: str, kind: str, name: str, autojump_clock: MockClock
) -> None:
    await withstands(door, CLIENT_KINDS[kind], HOSTILE[name], pause=10.0)


@pytest.mark.parametrize("name", ["raises_a_stray_cancelled", "raises_generator_exit"])
@pytest.mark.parametrize("door", ["http", "http session"])
async def test_a_hostile_handler_of_a_client_over_http(door: str, name: str) -> None:
    await withstands(door, CLIENT_KINDS["sampling"], HOSTILE[name], pause=0.0)


@pytest.mark.parametrize(("door", "name"), PROGRESS)
async def test_a_hostile_progress_callback(door: str, name: str, autojump_clock: MockClock) -> None:
    """It runs in the caller's own task, so a nursery that it leaves there is the caller's own matter."""
    hostile = HOSTILE[name]
    outcome = Outcome.IS_LEFT if hostile.outcome is Outcome.HANGS else hostile.outcome
    async with in_time():
        town = Town(deadline=trio.current_effective_deadline())
        client_kinds.declare(town.server)
        async with serving(door, town.server) as service:
            call = progress_of(hostile.run)
            attack = Attack(misbehaving(call), outcome, WORD)
            await besiege(town, service.connect, [attack] * STRIKES, pause=10.0, healthy=answers(call))
