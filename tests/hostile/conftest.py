"""Fixtures of this folder."""

from collections.abc import Iterator

import pytest

from tests.hostile.functions import forget
from tests.session.peer import logged

__all__ = ["logged"]


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    """Drops what hostile functions have kept alive, once Trio has ended."""
    yield
    forget()
