"""Fixtures of this folder."""

import pytest

from tests.http.raw import DOORS
from tests.session.peer import logged

__all__ = ["logged"]


@pytest.fixture(params=DOORS)
def door(request: pytest.FixtureRequest) -> str:
    """The door that the server is behind."""
    return str(request.param)
