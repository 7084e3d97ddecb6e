"""Fixtures of this folder: time that is trio's own, for the records of tasks as well."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import trio

from tests.session.peer import MODERN, logged, served
from tests.tasks.workshop import CORE, Client, Workshop, opened
from trimcp.extensions.tasks import lifecycle

__all__ = ["logged"]

EPOCH = 1_800_000_000.0


@pytest.fixture(autouse=True)
def _time() -> Iterator[None]:
    """The time of records runs with the clock of the test; outside of trio it stands still."""

    def now() -> float:
        try:
            return EPOCH + trio.current_time() % 10**6
        except RuntimeError:
            return EPOCH

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lifecycle, "now", now)
        yield


@pytest.fixture
def workshop() -> Workshop:
    return Workshop()


@pytest.fixture(params=[CORE, MODERN])
async def client(request: pytest.FixtureRequest, workshop: Workshop) -> AsyncIterator[Client]:
    """A client of each dialect, in turn."""
    async with served(workshop.server, request.param, opened=False) as peer:
        yield await opened(peer)


@pytest.fixture
async def core(workshop: Workshop) -> AsyncIterator[Client]:
    async with served(workshop.server, CORE, opened=False) as peer:
        yield await opened(peer)


@pytest.fixture
async def modern(workshop: Workshop) -> AsyncIterator[Client]:
    async with served(workshop.server, MODERN, opened=False) as peer:
        yield await opened(peer)
