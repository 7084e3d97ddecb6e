"""One store as each node sees it: a test can cut a node off from it, slow it down, or let it hang."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import trio

from trimcp.stores.bus import Bus, Gap
from trimcp.stores.session_store import StoredSession
from trimcp.stores.store import Store

PARTS = ("sessions", "events", "subscriptions", "secrets", "tasks", "nodes", "replay", "admission")


class Link:
    """The way of one node to the store."""

    def __init__(self) -> None:
        self.is_down = False
        self.is_frozen = False
        self.seconds = 0.0
        """That each call takes."""
        self.calls: list[str] = []
        self._thawed = trio.Event()

    async def passed(self, call: str) -> None:
        """Let a call pass, late or never."""
        self.calls.append(call)
        while self.is_frozen:
            await self._thawed.wait()
        if self.is_down:
            raise ConnectionError("the store is down")
        if self.seconds:
            await trio.sleep(self.seconds)

    def freeze(self) -> None:
        """Let no call pass, and none fail."""
        self.is_frozen = True

    def thaw(self) -> None:
        """Let the calls pass that wait."""
        self.is_frozen = False
        self._thawed.set()
        self._thawed = trio.Event()


class Part:
    """One part of the store behind a link."""

    def __init__(self, name: str, inner: Any, link: Link) -> None:
        self._name, self._inner, self._link = name, inner, link

    def __getattr__(self, name: str) -> Any:
        inner = getattr(self._inner, name)
        if not callable(inner):
            return inner

        async def call(*args: Any, **options: Any) -> Any:
            await self._link.passed(f"{self._name}.{name}")
            return await inner(*args, **options)

        call.__name__ = name
        return call


class LinkedBus(Bus):
    """The bus behind a link. It drops messages while the link is down, and tells of a gap when it is up again."""

    def __init__(self, inner: Bus, link: Link) -> None:
        self._inner, self._link = inner, link
        self.lost = 0
        self.is_down = False
        """Whether the bus alone takes no messages."""

    async def publish(self, message: bytes, *, to: int | None = None) -> None:
        await self._link.passed("bus.publish")
        if self.is_down:
            raise ConnectionError("the bus is down")
        await self._inner.publish(message, to=to)

    def subscribe(self, incarnation: int) -> AbstractAsyncContextManager[trio.MemoryReceiveChannel[bytes | Gap]]:
        return self._subscribed(incarnation)

    @asynccontextmanager
    async def _subscribed(self, incarnation: int) -> AsyncIterator[trio.MemoryReceiveChannel[bytes | Gap]]:
        give, take = trio.open_memory_channel[bytes | Gap](10_000)
        async with self._inner.subscribe(incarnation) as messages, trio.open_nursery() as nursery:

            async def pass_on() -> None:
                has_lost = False
                async for message in messages:
                    if self._link.is_down or self._link.is_frozen:
                        has_lost = True
                        self.lost += 1
                        continue
                    if has_lost:
                        give.send_nowait(Gap())
                        has_lost = False
                    give.send_nowait(message)

            nursery.start_soon(pass_on)
            yield take
            nursery.cancel_scope.cancel()


class LinkedStore(Store):
    """A shared store, as one node sees it."""

    is_shared = True

    def __init__(self, inner: Store) -> None:
        self.link = Link()
        self._inner = inner
        for name in PARTS:
            setattr(self, name, Part(name, getattr(inner, name), self.link))
        self.bus = LinkedBus(inner.bus, self.link)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        async with self._inner.open():
            yield

    async def load_session(self, id: str) -> StoredSession | None:
        await self.link.passed("load_session")
        return await self._inner.load_session(id)
