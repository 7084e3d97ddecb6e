"""Secrets are found by the names of members, by the schema, and in the options of commands."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimcp.observability.masking import MASK, looks_secret, masked, masked_words


@pytest.mark.parametrize(
    "name",
    [
        *("password", "dbPassword", "db_password", "API_KEY", "apiKey", "X-Api-Key", "private key", "Your PIN"),
        *("authToken", "client-secret", "Authorization", "card number", "OTP", "recovery code", "secretKey"),
        *("pass_phrase", "One-time code", "authCode", "two-factor code"),
    ],
)
def test_names_that_look_secret(name: str) -> None:
    assert looks_secret(name)


@pytest.mark.parametrize(
    "name",
    ["note", "keyboard", "pinned", "spinach", "monkey", "max_tokens", "author", "key", "pass", "code", "zip code", ""],
)
def test_names_that_do_not(name: str) -> None:
    assert not looks_secret(name)


NESTED: dict[str, Any] = {
    "type": "object",
    "properties": {
        "code": {"type": "string", "writeOnly": True},
        "word": {"$ref": "#/$defs/word"},
        "either": {"anyOf": [{"type": "integer"}, {"type": "string", "format": "password"}]},
        "list": {"type": "array", "prefixItems": [{}, {"writeOnly": True}], "items": {"$ref": "#/$defs/word"}},
        "open": {"type": "object", "additionalProperties": {"writeOnly": True}},
        "loop": {"$ref": "#/properties/loop"},
    },
    "allOf": [{"properties": {"also": {"writeOnly": True}}}],
    "$defs": {"word": {"type": "string", "format": "password"}},
}


def test_the_schema_marks_secrets_through_references_and_parts() -> None:
    value = {
        "code": "x",
        "word": "x",
        "either": "x",
        "list": ["x", "x"],
        "open": {"any": "x"},
        "also": {"deep": "x"},
        "loop": "shown",
        "plain": {"token": "x", "name": "shown", "list": [{"password": 1234, "n": 7}], "secret": None},
    }
    assert masked(value, NESTED) == {
        "code": MASK,
        "word": MASK,
        "either": MASK,
        "list": [MASK, MASK],
        "open": {"any": MASK},
        "also": MASK,
        "loop": "shown",
        "plain": {"token": MASK, "name": "shown", "list": [{"password": MASK, "n": 7}], "secret": None},
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@given(JSON, st.dictionaries(st.sampled_from(["properties", "items", "anyOf", "$ref", "allOf"]), JSON, max_size=3))
def test_any_value_and_any_schema_can_be_masked(value: Any, schema: dict[str, Any]) -> None:
    again = masked(value, schema)
    assert masked(again, schema) == again


def test_options_of_commands() -> None:
    words = ["server", "--token", "abc", "--api-key=abc", "--port", "80", "PASSWORD=abc", "--secret", "--verbose"]
    assert masked_words(words) == [
        *("server", "--token", MASK, f"--api-key={MASK}", "--port", "80", f"PASSWORD={MASK}", "--secret", "--verbose")
    ]
