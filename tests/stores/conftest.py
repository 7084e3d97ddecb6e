"""Fixtures of this folder."""

from collections.abc import Iterator

import pytest

from tests.stores.valkey import ValkeyProcess, running_valkey


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyProcess]:
    with running_valkey() as server:
        yield server
