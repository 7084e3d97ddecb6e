"""Hostile functions that serving by HTTP and WebSocket is given: `authenticate`, and the methods of an event store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest
import trio

import trimcp
from tests.hostile.crowd import STRIKES, Attack, Town, besiege, call_tool, in_time
from tests.hostile.doors import SOCKETS, Service, serving
from tests.hostile.functions import (
    FEW,
    HOSTILE,
    MOMENT,
    SYNC,
    TELLING,
    Outcome,
    raises_a_kept_cancelled,
    stray_cancelled,
)
from trimcp.stores.memory import MemorySessionStore

pytestmark = pytest.mark.filterwarnings("ignore:Async generator .* was garbage collected:ResourceWarning")

RAISING: Final = [name for name, (_, outcome) in SYNC.items() if outcome is Outcome.FAILS]
MOST: Final = (*FEW, "shields_itself", "keeps_a_generator_in_a_nursery", "exhausts_the_recursion_limit")
FAILING: Final = [name for name in TELLING if HOSTILE[name].outcome is Outcome.FAILS]
STRAY: Final = "raises_a_stray_cancelled"


# --- authenticate -------------------------------------------------------------------------


def authenticate_by(hostile: Callable[[], Awaitable[Any]]) -> Callable[[trimcp.HttpRequest], Awaitable[None]]:
    """Authenticates no principal, and misbehaves for those who say that they are hostile."""

    async def authenticate(request: trimcp.HttpRequest) -> None:
        if request.field("Authorization") == "hostile":
            await hostile()

    return authenticate


def intrude(door: str, service: Service) -> Callable[[trimcp.Client], Awaitable[Any]]:
    """Makes one more connection, of a hostile client."""

    async def strike(client: trimcp.Client) -> str:
        try:
            async with service.connect(headers={"Authorization": "hostile"}) as intruder:
                return await call_tool(intruder, "add", a=1, b=1)
        except trimcp.TrimcpError as exc:
            raise RuntimeError("the intruder has not come in") from exc

    return strike


@pytest.mark.parametrize(
    ("door", "name"),
    [
        *(("http", name) for name in FAILING),
        *((door, name) for door in SOCKETS if door != "http" for name in FEW[:3]),
    ],
)
async def test_an_authenticate_that_raises_lets_nobody_in(door: str, name: str) -> None:
    async with in_time():
        town = Town()
        async with serving(door, town.server, authenticate=authenticate_by(HOSTILE[name].run)) as service:
            attack = Attack(intrude(door, service), Outcome.FAILS)
            await besiege(town, service.connect, [attack] * STRIKES)


@pytest.mark.parametrize("name", [name for name in TELLING if name not in FAILING and name != "shields_itself"])
@pytest.mark.parametrize("door", ["http", "websocket"])
async def test_an_authenticate_that_waits_or_leaves_something_open_hurts_nobody_else(door: str, name: str) -> None:
    hostile = HOSTILE[name]
    async with in_time():
        town = Town()
        async with serving(door, town.server, authenticate=authenticate_by(hostile.run)) as service:
            outcome = Outcome.IS_LEFT if hostile.outcome is Outcome.HANGS else Outcome.MAY_FAIL
            attack = Attack(intrude(door, service), outcome, "2")
            await besiege(town, service.connect, [attack] * STRIKES, pause=MOMENT if hostile.lasts else 0.0)


# --- routes -------------------------------------------------------------------------------


async def get(service: Service, path: str) -> bytes:
    """Asks for a path on a connection of its own; returns the body of the answer.

    Raises:
        RuntimeError: the status is not 200.
    """
    assert service.address is not None
    async with await trio.open_tcp_stream(*service.address) as stream:
        await stream.send_all(b"GET %b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % path.encode())
        answer = b"".join([part async for part in stream])
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(head.decode())
    return body


@pytest.mark.parametrize("name", MOST)
async def test_a_route_that_misbehaves(name: str) -> None:
    hostile = HOSTILE[name]
    async with in_time():
        town = Town()

        @town.server.route("/hostile")
        async def misbehave(request: trimcp.HttpRequest) -> Any:
            return await hostile.run()

        @town.server.route("/healthy")
        async def behave(request: trimcp.HttpRequest) -> str:
            town.look_for_traces()
            return "healthy"

        async with serving("http", town.server) as service:

            async def strike(client: trimcp.Client) -> str:
                return (await get(service, "/hostile")).decode()

            async def healthy(client: trimcp.Client) -> None:
                assert await get(service, "/healthy") == b"healthy"

            attack = Attack(strike, hostile.outcome, hostile.value)
            pause = MOMENT if hostile.lasts else 0.0
            await besiege(town, service.connect, [attack] * STRIKES, healthy=healthy, pause=pause)


# --- an event store -----------------------------------------------------------------------


class HostileStore:
    """Does the same in each method, before anything is awaited."""

    def __init__(self, do: Callable[[], Any]) -> None:
        self._do = do
        self.calls = 0

    def append(self, *args: Any, **kwargs: Any) -> Any:
        """Keeps nothing."""
        self.calls += 1
        return self._do()

    replay = finish = forget = append


class AsyncHostileStore:
    """Misbehaves in each method, and keeps nothing."""

    def __init__(self, do: Callable[[], Awaitable[Any]]) -> None:
        self._do = do
        self.calls = 0

    async def append(self, batches: Any) -> Any:
        """Keeps nothing."""
        self.calls += 1
        return await self._do()

    async def replay(self, session: str, stream: int, after: int) -> Any:
        """Knows nothing."""
        return await self._do()

    async def forget(self, session: str) -> Any:
        """Has nothing to forget."""
        return await self._do()


class HostileSessions(MemorySessionStore):
    """Keeps sessions, and misbehaves where it is told of what becomes of them."""

    def __init__(self, do: Callable[[], Awaitable[Any]]) -> None:
        super().__init__()
        self._do = do
        self.calls = 0

    async def _misbehave(self, *_: Any) -> Any:
        self.calls += 1
        return await self._do()

    update: Any = _misbehave
    touch: Any = _misbehave
    remove: Any = _misbehave


async def of_name(name: str) -> Callable[[], Any]:
    """A sync function that misbehaves."""
    if name == STRAY:
        taken = await stray_cancelled()
        return lambda: raises_a_kept_cancelled(taken)
    return SYNC[name][0]


@pytest.mark.parametrize("name", [STRAY, *RAISING[:4]])
async def test_an_event_store_that_raises_costs_nothing_but_resumption(name: str) -> None:
    async with in_time():
        town = Town()
        store: Any = HostileStore(await of_name(name))
        async with serving("http session", town.server, store=store) as service:
            await besiege(town, service.connect, [])
        assert store.calls


@pytest.mark.parametrize("name", [STRAY, *RAISING[:3]])
async def test_a_replay_that_raises_fails_the_call_that_waits_for_it(name: str) -> None:
    async with in_time():
        town = Town()
        store: Any = HostileStore(await of_name(name))

        @town.server.tool
        async def let_go(ctx: trimcp.Context) -> str:
            """Lets go of its connection, so that the client comes back for what was kept."""
            await ctx.close_stream(retry=MOMENT / 8)
            await trio.sleep(MOMENT / 4)
            return "kept"

        async def strike(client: trimcp.Client) -> str:
            return await call_tool(client, "let_go")

        async with serving("http session", town.server, store=store) as service:
            await besiege(town, service.connect, [Attack(strike, Outcome.IS_LEFT, "kept")] * STRIKES)


@pytest.mark.parametrize("name", MOST)
async def test_an_async_event_store_that_misbehaves_costs_nothing_but_resumption(name: str) -> None:
    async with in_time():
        town = Town()
        store: Any = AsyncHostileStore(HOSTILE[name].run)
        async with serving("http session", town.server, store=store) as service:
            await besiege(town, service.connect, [])
        assert store.calls


@pytest.mark.parametrize("name", MOST)
async def test_a_session_store_that_misbehaves_costs_nothing_but_taking_sessions_up(name: str) -> None:
    async with in_time():
        town = Town()
        store = HostileSessions(HOSTILE[name].run)
        async with serving("http session", town.server, registry=store) as service:
            await besiege(town, service.connect, [])
        assert store.calls
