"""Handlers that return garbage: each call gets an error or a result, and 99 healthy calls get right answers."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final

import pytest
import trio
from trio.testing import MockClock

import trimcp
from tests.hostile import client_kinds
from tests.hostile.client_kinds import CLIENT_KINDS, ClientKind
from tests.hostile.crowd import Attack, Town, add, besiege, call_tool, in_time
from tests.hostile.doors import MEMORY, SOCKETS, serving
from tests.hostile.functions import Outcome
from tests.hostile.garbage import GARBAGE, close_coroutines, nested
from tests.hostile.kinds import HOSTILE, KINDS, Kind, misbehaving

pytestmark = pytest.mark.filterwarnings("ignore:Async generator .* was garbage collected:ResourceWarning")

ANNOTATIONS: Final = {
    "nothing": None,
    "list": list[Any],
    "dict": dict[str, Any],
    "int": int,
    "str": str,
    "set": set[str],
}


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    """Closes the coroutines that were returned."""
    yield
    close_coroutines()


def one_after_the_other() -> Callable[[], Awaitable[Any]]:
    """An async function that returns another kind of garbage at each call."""
    left = list(GARBAGE.values())

    async def returns_garbage() -> Any:
        return left.pop()()

    return returns_garbage


def attacks(strike: Callable[[trimcp.Client], Any]) -> list[Attack]:
    """One call for each kind of garbage, of which nothing is expected but that it ends."""
    return [Attack(strike, Outcome.ENDS)] * len(GARBAGE)


@pytest.mark.parametrize("kind", [kind for kind in KINDS.values() if kind.returns], ids=str)
async def test_a_handler_that_returns_garbage(kind: Kind, autojump_clock: MockClock) -> None:
    async with in_time():
        town = Town(deadline=trio.current_effective_deadline())
        call = kind.declare(town.server, one_after_the_other())
        async with serving("memory", town.server) as service:
            await besiege(town, service.connect, attacks(misbehaving(call)))


@pytest.mark.parametrize("annotation", ANNOTATIONS)
async def test_a_tool_that_returns_something_else_than_it_promised(annotation: str, autojump_clock: MockClock) -> None:
    returns_garbage = one_after_the_other()

    async def hostile() -> Any:
        return await returns_garbage()

    hostile.__annotations__["return"] = ANNOTATIONS[annotation]
    async with in_time():
        town = Town()
        town.server.tool(hostile)
        async with serving("memory", town.server) as service:
            await besiege(town, service.connect, attacks(functools.partial(call_tool, name="hostile")))


@pytest.mark.parametrize("door", SOCKETS)
async def test_a_tool_that_returns_garbage_over_a_socket(door: str) -> None:
    async with in_time():
        town = Town()
        town.server.tool(name="hostile")(one_after_the_other())
        async with serving(door, town.server) as service:
            await besiege(town, service.connect, attacks(functools.partial(call_tool, name="hostile")))


@pytest.mark.parametrize("kind", CLIENT_KINDS.values(), ids=str)
@pytest.mark.parametrize("door", MEMORY)
async def test_a_handler_of_a_client_that_returns_garbage(
    door: str, kind: ClientKind, autojump_clock: MockClock
) -> None:
    returns_garbage = one_after_the_other()

    async def hostile(*_: Any) -> Any:
        return await returns_garbage()

    given = {name: hostile for name in kind.given(hostile) if name != "sampling" or kind.name == "sampling"}
    async with in_time():
        town = Town()
        client_kinds.declare(town.server)
        async with serving(door, town.server, {**kind.given(hostile), **given}) as service:
            await besiege(town, service.connect, attacks(misbehaving(kind.call)))


@pytest.mark.parametrize("door", MEMORY)
@pytest.mark.parametrize("answer", ["a coroutine", "an object", "a number without bounds", "a set"])
async def test_what_is_no_yes_is_not_taken_for_consent(door: str, answer: str, autojump_clock: MockClock) -> None:
    async def consent(method: str, params: Any) -> Any:
        return GARBAGE[answer]()

    async def visit(params: Any) -> Any:
        return GARBAGE[answer]()

    async with in_time():
        town = Town()
        client_kinds.declare(town.server)
        for given, tool in (({"consent": consent, "roots": ["/town/hall"]}, "roots"), ({"visit": visit}, "visit")):
            async with serving(door, town.server, given) as service, service.connect() as client:
                attack = Attack(functools.partial(call_tool, name=tool, word=HOSTILE), Outcome.FAILS)
                await attack.make(client)


@pytest.mark.parametrize("door", MEMORY)
async def test_a_result_that_is_nested_too_deep_for_the_client_fails_its_call(
    door: str, autojump_clock: MockClock
) -> None:
    async def hostile() -> list[Any]:
        return nested(200)

    async with in_time():
        town = Town()
        town.server.tool(hostile)
        async with serving(door, town.server) as service, service.connect() as client:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(Attack(functools.partial(call_tool, name="hostile"), Outcome.FAILS).make, client)
                for number in range(99):
                    nursery.start_soon(add, client, "add", number)
            await add(client, "add", 1)
