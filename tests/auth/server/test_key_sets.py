"""Keys of issuers as tokens need them: rule 4 of the resource server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from tests.auth.server.minting import Clock, Mint
from trimcp import auth
from trimcp.auth.server.key_sets import KeySet


class Source:
    """A key set that is fetched, as a test wants it."""

    def __init__(self, *mints: Mint) -> None:
        self.mints = list(mints)
        self.fetched = 0
        self.is_down = False
        self.gate = trio.Event()
        self.gate.set()

    async def __call__(self) -> Mapping[str, Any]:
        self.fetched += 1
        await self.gate.wait()
        await trio.lowlevel.checkpoint()
        if self.is_down:
            raise auth.AuthorizationServerUnavailable("down")
        return {"keys": [key for mint in self.mints for key in mint.jwks["keys"]]}


async def test_keys_are_fetched_once() -> None:
    source, clock = Source(Mint("a")), Clock()
    keys = KeySet(source, clock)
    for _ in range(3):
        assert len(await keys.find("a", "ES256")) == 1
    assert source.fetched == 1


async def test_an_unknown_kid_fetches_again_and_at_most_once_a_minute() -> None:
    source, clock = Source(Mint("a")), Clock()
    keys = KeySet(source, clock)
    await keys.find("a", "ES256")
    source.mints.append(Mint("b"))
    for number in range(50):
        assert await keys.find(f"forged-{number}", "ES256") == []
    assert source.fetched == 1  # a moment ago
    clock.now += 61
    assert await keys.find("b", "ES256")
    assert source.fetched == 2
    for number in range(50):
        await keys.find(f"forged-{number}", "ES256")
    assert source.fetched == 2


async def test_requests_that_come_together_share_one_fetch() -> None:
    source, clock = Source(Mint("a")), Clock()
    source.gate = trio.Event()
    keys = KeySet(source, clock)
    found: list[int] = []

    async def find() -> None:
        found.append(len(await keys.find("a", "ES256")))

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(find)
        await wait_all_tasks_blocked()
        source.gate.set()
    assert found == [1] * 10
    assert source.fetched == 1


async def test_old_keys_survive_an_outage() -> None:
    source, clock = Source(Mint("a")), Clock()
    keys = KeySet(source, clock)
    await keys.find("a", "ES256")
    source.is_down = True
    clock.now += 5000
    assert await keys.find("a", "ES256")
    assert await keys.find("b", "ES256") == []
    assert source.fetched == 2


async def test_requests_do_not_wait_for_another_that_fetches_old_keys_again(autojump_clock: MockClock) -> None:
    source, clock = Source(Mint("a")), Clock()
    keys = KeySet(source, clock)
    await keys.find("a", "ES256")
    source.gate = trio.Event()
    clock.now += 5000
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keys.find, "a", "ES256")
        await wait_all_tasks_blocked()
        assert source.fetched == 2
        before = trio.current_time()
        assert await keys.find("a", "ES256")
        assert trio.current_time() == before
        source.mints.append(Mint("b"))
        nursery.start_soon(_set_when_blocked, source.gate)
        assert await keys.find("b", "ES256")  # with a key that the fetch under way brings


async def test_a_key_that_was_withdrawn_is_forgotten_within_an_hour() -> None:
    source, clock = Source(Mint("a"), Mint("b")), Clock()
    keys = KeySet(source, clock)
    await keys.find("a", "ES256")
    source.mints.pop(0)
    clock.now += 3601
    assert await keys.find("a", "ES256") == []


async def test_without_any_key_the_token_cannot_be_verified_now() -> None:
    source, clock = Source(Mint("a")), Clock()
    source.is_down = True
    keys = KeySet(source, clock)
    for _ in range(3):
        with pytest.raises(auth.AuthorizationServerUnavailable):
            await keys.find("a", "ES256")
    assert source.fetched == 1
    source.is_down = False
    clock.now += 5
    assert await keys.find("a", "ES256")


async def test_a_client_that_leaves_does_not_stop_the_fetch() -> None:
    source, clock = Source(Mint("a")), Clock()
    source.gate = trio.Event()
    keys = KeySet(source, clock)
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as leaving:
            nursery.start_soon(_set_after, source.gate, leaving)
            await keys.find("a", "ES256")
    assert await keys.find("a", "ES256")
    assert source.fetched == 1


async def _set_when_blocked(gate: trio.Event) -> None:
    await wait_all_tasks_blocked()
    gate.set()


async def _set_after(gate: trio.Event, leaving: trio.CancelScope) -> None:
    await wait_all_tasks_blocked()
    leaving.cancel()
    await wait_all_tasks_blocked()
    gate.set()


async def test_a_server_that_does_not_answer_holds_nothing_up_for_long(autojump_clock: MockClock) -> None:
    source, clock = Source(Mint("a")), Clock()
    source.gate = trio.Event()
    keys = KeySet(source, clock)
    with pytest.raises(auth.AuthorizationServerUnavailable):
        await keys.find("a", "ES256")
    assert trio.current_time() < 11


@pytest.mark.parametrize(
    "value", [{}, {"keys": 3}, {"keys": [3, None, {}, {"kty": 3}, {"kty": "EC"}, {"kty": "oct", "k": "AA"}]}]
)
def test_what_is_no_key_is_left_out(value: Any) -> None:
    from trimcp.auth.server.key_sets import read_keys

    assert read_keys(value) == []
