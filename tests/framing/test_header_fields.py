"""Header fields as a mapping of text."""

from __future__ import annotations

from typing import Any

import pytest

from trimcp.framing.headers import HeaderFields

FIELDS = HeaderFields({b"authorization": b"Bearer s3cret", b"x-name": "café".encode("latin-1")})


def test_a_name_finds_its_field_in_any_case() -> None:
    assert FIELDS["Authorization"] == FIELDS["AUTHORIZATION"] == "Bearer s3cret"
    assert FIELDS.get("X-Name") == "café"
    assert "x-NAME" in FIELDS
    assert "x-other" not in FIELDS
    assert FIELDS.get("☃") is None
    with pytest.raises(KeyError):
        FIELDS["x-other"]


def test_it_is_a_mapping_that_cannot_be_changed() -> None:
    anything: Any = FIELDS
    assert dict(FIELDS) == {"authorization": "Bearer s3cret", "x-name": "café"}
    assert len(FIELDS) == 2
    assert 7 not in anything
    with pytest.raises(TypeError):
        anything["x-name"] = "other"


def test_its_repr_shows_no_values() -> None:
    assert repr(FIELDS) == "HeaderFields(authorization, x-name)"
