"""Every byte transport through the kit that third parties run as well."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.transports import pairs
from tests.transports.pairs import open_descriptors
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
    with trio.fail_after(5):
        while open_descriptors() > before:  # noqa: ASYNC110
            await trio.sleep(0.001)  # a thread that was left behind closes what it used when it ends


class _Forgetful(Duplex):
    """A duplex that says it took one byte more than it did."""

    def __init__(self, inner: Duplex) -> None:
        self._inner = inner

    async def receive(self) -> Sequence[Frame]:
        return await self._inner.receive()

    def try_send(self, data: bytes) -> int:
        return min(len(data), self._inner.try_send(data) + 1)

    async def send_all(self, data: bytes) -> None:
        await self._inner.send_all(data)

    async def send_eof(self) -> None:
        await self._inner.send_eof()

    async def aclose(self) -> None:
        await self._inner.aclose()

    @property
    def description(self) -> str:
        return "forgetful"


async def test_the_kit_finds_a_transport_that_loses_bytes() -> None:
    @asynccontextmanager
    async def make_pair() -> AsyncIterator[tuple[Duplex, Duplex]]:
        left, right = memory_pair(capacity=4096)
        yield _Forgetful(left), right

    with pytest.raises((AssertionError, ExceptionGroup)) as caught:
        await check_duplex(make_pair)
    assert any("from the first to the second" in note for note in caught.value.__notes__)
