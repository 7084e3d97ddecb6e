"""The two places that the official schemas come from hold the same."""

from typing import Any

import pytest

from tests.node import Unavailable
from tests.official import schemas


def without_prose(schema: Any) -> Any:
    """The schema without its descriptions (but with a property of that name)."""
    if isinstance(schema, dict):
        return {
            name: without_prose(entry)
            for name, entry in schema.items()
            if not (name == "description" and isinstance(entry, str))
        }
    return [without_prose(entry) for entry in schema] if isinstance(schema, list) else schema


@pytest.mark.parametrize("version", sorted(schemas.RELEASED))
def test_the_released_schema_is_that_of_the_specification(version: str) -> None:
    try:
        released, beside = schemas.released(version), schemas.beside(version)
    except Unavailable as why:
        pytest.skip(str(why))
    assert without_prose(released) == without_prose(beside)
