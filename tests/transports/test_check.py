"""Every byte transport through the kit that third parties run as well."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from tests.transports import pairs
from tests.transports.pairs import open_descriptors
from trimcp.testing import check_transport
from trimcp.testing.check_transport import MakePair, check_duplex
from trimcp.transports.duplex import Duplex, Frame
from trimcp.transports.memory import memory_pair


@pytest.fixture
def media(tmp_path: Path) -> dict[str, MakePair]:
    return {
        "memory": functools.partial(pairs.memory, 65536),
        "little memory": functools.partial(pairs.memory, 4096),
        "pipes, chosen": functools.partial(pairs.pipes, None),
        "pipes, polled": functools.partial(pairs.pipes, "polled"),
        "pipes, threads": functools.partial(pairs.pipes, "threads"),
        "socketpair": pairs.socketpair,
        "tcp": pairs.tcp,
        "unix": functools.partial(pairs.unix, tmp_path / "socket"),
    }


@pytest.mark.parametrize(
    "name",
    ["memory", "little memory", "pipes, chosen", "pipes, polled", "pipes, threads", "socketpair", "tcp", "unix"],
)
async def test_a_transport_passes_the_kit_and_leaves_no_descriptor(name: str, media: dict[str, MakePair]) -> None:
    async with media[name]():
        pass  # what Trio and Python open once
    before = open_descriptors()
    await check_duplex(media[name])
    with trio.fail_after(60):
        while open_descriptors() > before:
            await trio.sleep(0.001)  # a thread that was left behind closes what it used when it ends


class _Faulty(Duplex):
    """A memory duplex with one fault."""

    def __init__(self, inner: Duplex, fault: str) -> None:
        self._inner = inner
        self._fault = fault

    async def receive(self) -> Sequence[Frame]:
        if self._fault == "no cancel":
            return [b"{}"]
        frames = await self._inner.receive()
        return frames[::-1] if self._fault == "order" else frames

    def try_send(self, data: bytes) -> int:
        taken = self._inner.try_send(data)
        if self._fault == "count":
            return min(len(data), taken + 1)
        return len(data) if self._fault == "no bound" else taken

    async def send_all(self, data: bytes) -> None:
        if self._fault == "no checkpoint" and len(data) < 100:
            assert self._inner.try_send(data) == len(data)
        elif self._fault != "no wait":
            await self._inner.send_all(data)

    async def send_eof(self) -> None:
        if self._fault != "no end":
            await self._inner.send_eof()

    async def aclose(self) -> None:
        if self._fault != "no close":
            await self._inner.aclose()

    @property
    def description(self) -> str:
        return "faulty"


@pytest.mark.parametrize("fault", ["order", "count", "no bound", "no checkpoint", "no wait", "no end", "no close"])
async def test_the_kit_finds_a_fault_and_says_where(fault: str, autojump_clock: trio.testing.MockClock) -> None:
    @asynccontextmanager
    async def make_pair() -> AsyncIterator[tuple[Duplex, Duplex]]:
        left, right = memory_pair(capacity=4096)
        yield _Faulty(left, fault), right

    with pytest.raises((AssertionError, ExceptionGroup, trio.TooSlowError)) as caught:
        await check_duplex(make_pair)
    assert any("the check `" in note for note in caught.value.__notes__)


@pytest.mark.parametrize(
    ("check", "fault", "words"),
    [
        (check_transport._what_try_send_took_arrives, "capacity", "taken without a reader"),
        (check_transport._a_sender_waits_for_the_reader, "capacity", "taken without a reader"),
        (check_transport._the_peers_close_ends_a_send_that_waits, "capacity", "sent without a reader"),
        (check_transport._a_cancelled_receive_takes_nothing, "no cancel", "a cancelled receive returned"),
        (check_transport._a_closed_end_says_who_closed_it, "no close", "could still be used"),
    ],
)
async def test_each_check_says_what_is_wrong(check: check_transport.Check, fault: str, words: str) -> None:
    left, right = memory_pair(capacity=1 << 30 if fault == "capacity" else 4096)
    left.try_send(b"something to receive\n")
    right.try_send(b"something to receive\n")
    with pytest.raises((AssertionError, ExceptionGroup)) as caught, trio.fail_after(60):
        await check(_Faulty(left, fault), _Faulty(right, fault))
    told: BaseException = caught.value
    while isinstance(told, BaseExceptionGroup):
        told = told.exceptions[0]
    assert words in str(told)


async def test_the_kit_spares_a_medium_that_cannot_end_one_direction() -> None:
    @asynccontextmanager
    async def make_pair() -> AsyncIterator[tuple[Duplex, Duplex]]:
        left, right = memory_pair(capacity=4096)
        yield _Faulty(left, "no end"), _Faulty(right, "no end")

    await check_duplex(make_pair, eof=False)
