"""Fixtures for pytest-trio. Import those that a test needs, or all of them in `conftest.py`.

    from trimcp.testing.fixtures import client, fake_client, wire

    @pytest.fixture
    def server() -> trimcp.Server:
        return my_project.server

Each uses the fixture `server` of the project. Override `revision` to test one revision, or several by `params`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from trimcp.client.client import Client
from trimcp.server.app import Server
from trimcp.testing.client import open_client
from trimcp.testing.fake_peer import FakePeer, open_fake_client
from trimcp.testing.wire import Wire
from trimcp.types.revisions import LATEST

__all__ = ["client", "fake_client", "revision", "wire"]


@pytest.fixture
def revision() -> str:
    """The revision that the clients speak: the newest."""
    return LATEST.version


@pytest.fixture
def wire(server: Server) -> Wire:
    """The wire between `client` and the server, with its record and its faults."""
    return Wire(server)


@pytest.fixture
async def client(wire: Wire, revision: str) -> AsyncIterator[Client]:
    """A client of the server, over `wire`."""
    async with open_client(wire, revision=revision) as opened:
        yield opened


@pytest.fixture
async def fake_client(server: Server, revision: str) -> AsyncIterator[FakePeer]:
    """A raw peer of the server, in a session that is open."""
    async with open_fake_client(server, revision) as peer:
        yield peer
