"""Clients of a server in one revision, and raw answers, for the tests of resources, prompts and completion."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import trimcp
from tests.session.peer import ALL

every_revision = pytest.mark.parametrize("version", ALL)

NOT_FOUND = {version: -32602 if version == "2026-07-28" else -32002 for version in ALL}
"""The code for a resource that there is not, by revision."""


@asynccontextmanager
async def client_of(server: trimcp.Server, version: str = "2026-07-28") -> AsyncIterator[trimcp.Client]:
    """A client in that revision."""
    async with trimcp.connect(server, revision=version) as client:
        assert client.protocol_version == version
        yield client


async def refusal(client: trimcp.Client, method: str, params: dict[str, Any]) -> trimcp.RequestFailed:
    """The error that a request is answered with."""
    with pytest.raises(trimcp.RequestFailed) as caught:
        await client.request(method, params)
    return caught.value


def settings_server() -> trimcp.Server:
    """A server with one resource."""
    server = trimcp.Server("a")

    @server.resource("config://app", title="Settings", mime_type="application/json")
    async def config(ctx: trimcp.Context) -> dict[str, str]:
        """What the program is set to."""
        return {"revision": ctx.protocol_version}

    return server
