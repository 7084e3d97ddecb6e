"""Fixtures of the project: its server, and those of the kit, in both eras."""

from __future__ import annotations

import pytest

import trimcp
from tests.testing.project import library
from trimcp.testing.fixtures import client, fake_client, wire

__all__ = ["client", "fake_client", "revision", "server", "wire"]


@pytest.fixture
def server() -> trimcp.Server:
    return library.server


@pytest.fixture(params=["2025-11-25", "2026-07-28"])
def revision(request: pytest.FixtureRequest) -> str:
    return str(request.param)
