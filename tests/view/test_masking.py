"""Secrets are found by the names of members, by schemas, by their form, and where a tool repeats them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimcp.codec.jsontext import dumps
from trimcp.view.masking import MASKED, Mask, cut, is_secret_member, is_secret_name, mask_text

SECRET = "abc.def-123456"


@pytest.mark.parametrize(
    "name",
    [
        *("password", "userPassword", "api_key", "apiKey", "X-Api-Key", "accessToken", "client_secret", "PIN"),
        *("sessionId", "CLIENTSECRET", "dbpassword", "authtoken", "connectionString", "ssh_key", "AccountKey", "auth"),
    ],
)
def test_names_of_secrets_are_known(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["progressToken", "maxTokens", "user", "keyboard", "pinned", "secretary", "id"])
def test_other_names_are_not(name: str) -> None:
    assert not is_secret_name(name)


def test_a_number_of_tokens_is_no_secret_and_tokens_are() -> None:
    usage = {"tokens": 5, "pass": 3, "inputTokens": 7}
    assert Mask().masked(usage) == usage
    assert Mask().masked({"tokens": ["one"], "pass": "two"}) == {"tokens": MASKED, "pass": MASKED}
    assert not is_secret_member("password", None)


@pytest.mark.parametrize(
    "value",
    [
        {"credentials": {"user": {"deep": SECRET}}},
        {"accessTokens": [SECRET]},
        {"headers": [{"name": "X-Api-Key", "value": SECRET}]},
        {"headers": [["Authorization", SECRET], ["Accept", "text/plain"]]},
        {"key": "password", "value": SECRET},
        json.dumps({"pin": SECRET}),
        json.dumps(json.dumps({"deep": [{"apiKey": SECRET}]})),
        json.dumps({"inner": json.dumps({"password": f'a"{SECRET}'})}),
        {"password": SECRET, "repeated": base64.b64encode(SECRET.encode()).decode()},
        {"password": f"/{SECRET}", "repeated": f"https://x.example/?q=%2F{SECRET}"},
        {"password": SECRET, "repeated": {SECRET: 1}},
    ],
)
def test_secrets_are_found_in_pairs_in_nested_values_and_in_json(value: Any) -> None:
    masked = dumps(Mask().masked(value)).decode()
    assert SECRET not in masked
    assert base64.b64encode(SECRET.encode()).decode().rstrip("=") not in masked
    assert MASKED in masked


def test_the_declaration_of_a_secret_stays() -> None:
    schema = {"type": "object", "properties": {"password": {"type": "string"}}, "$defs": {"Token": {"type": "string"}}}
    schema["required"] = ["password", "user"]
    assert Mask().masked({"inputSchema": schema}) == {"inputSchema": schema}


def test_json_in_a_text_keeps_its_form() -> None:
    text = '{ "pin":   "12345678", "user": "ada" }'
    assert Mask().masked(text) == '{ "pin":   "' + MASKED + '", "user": "ada" }'
    assert Mask().masked('{ "user":  "ada" }') == '{ "user":  "ada" }'
    assert Mask().masked("[not json") == "[not json"


SCHEMA: dict[str, Any] = {
    "properties": {
        "code": {"type": "string", "writeOnly": True},
        "either": {"anyOf": [{"type": "null"}, {"type": "string", "format": "password"}]},
        "list": {"items": {"$ref": "#/$defs/Door"}},
        "any": {"additionalProperties": {"format": "password"}},
        "pair": {"prefixItems": [{"type": "string"}, {"writeOnly": True}]},
        "choice": {"if": {}, "then": {"patternProperties": {"^k": {"writeOnly": True}}}, "else": {}},
        "tied": {"dependentSchemas": {"a": {"properties": {"a": {"$ref": "#/$defs/A%20lock"}}}}},
    },
    "$defs": {
        "Door": {"properties": {"lock": {"writeOnly": True}}, "allOf": [{"$ref": "#/$defs/Door"}]},
        "A lock": {"format": "password"},
    },
}


def test_the_schema_of_a_tool_says_what_is_secret() -> None:
    value = {"code": "open", "either": "sesame", "list": [{"lock": 1234, "name": "front"}], "any": {"x": "yyyy"}}
    assert Mask().masked(value, SCHEMA) == {
        "code": MASKED,
        "either": MASKED,
        "list": [{"lock": MASKED, "name": "front"}],
        "any": {"x": MASKED},
    }
    assert Mask().masked({"pair": ["front", 5678], "choice": {"k": "oak"}, "tied": {"a": "rope"}}, SCHEMA) == {
        "pair": ["front", MASKED],
        "choice": {"k": MASKED},
        "tied": {"a": MASKED},
    }


def test_a_schema_of_a_part_is_the_root_of_its_own_references() -> None:
    exchange = {"params": {"arguments": {"list": [{"lock": "a-long-secret", "name": "a-long-secret-name"}]}}}
    masked = Mask().masked(exchange, parts={("params", "arguments"): SCHEMA, ("none", "there"): SCHEMA})
    assert masked == {"params": {"arguments": {"list": [{"lock": MASKED, "name": f"{MASKED}-name"}]}}}


def test_a_secret_that_begins_with_another_is_masked_as_a_whole() -> None:
    masked = Mask().masked({"password": "open", "secret": "open-sesame", "text": "open-sesame, or open"})
    assert masked["text"] == f"{MASKED}, or {MASKED}"


def test_of_many_secrets_the_newest_are_looked_for() -> None:
    mask = Mask(most=2)
    for secret in ("first-one", "second-one", "third-one"):
        mask.masked({"password": secret})
    assert mask.masked("first-one second-one third-one") == f"first-one {MASKED} {MASKED}"


def test_a_secret_is_masked_where_a_tool_repeats_it() -> None:
    exchange = {"params": {"password": "hunter22"}, "answer": [{"text": "you said hunter22, twice hunter22"}]}
    masked = Mask().masked(exchange)
    assert masked["answer"] == [{"text": f"you said {MASKED}, twice {MASKED}"}]


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abc.def-123456",
        '{"password": "abc.def-123456"}',
        "https://x.example/?api_key=abc.def-123456&y=1",
        "token=abc.def-123456",
        "eyJhbGciOiJIUzI1.abc.def-123456",
        "Authorization: Token abc.def-123456",
        "Cookie: sid=abc.def-123456; theme=dark",
        '{"cookie": "abc.def-123456"}',
        r"{\"private_key\": \"abc.def-123456\"}",
        '{"password": "an open end, abc.def-123456',
        r'{"password": "a quote: \" abc.def-123456"}',
        "AWS_SECRET_ACCESS_KEY=abc.def-123456",
        "login --password abc.def-123456 --user ada",
        "tokens: [abc.def-123456, x]",
        "postgres://ada:abc.def-123456@db.example/x",
        "https://x.example/?X-Amz-Signature=abc.def-123456&y=1",
        "https://x.example/callback?code=abc.def-123456",
        "Your new password is abc.def-123456.",
        "the API key is 'abc.def-123456', keep it",
        "I got in: the secret was\n`abc.def-123456`",
        "Send it as Bearer abc.def-123456 to the server",
        "-----BEGIN RSA PRIVATE KEY-----\nabc.def-123456\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_texts_lose_what_looks_like_a_secret(text: str) -> None:
    masked = mask_text(text)
    assert "abc.def-123456" not in masked
    assert MASKED in masked


@pytest.mark.parametrize("part", ["token is ", "token ", "secret is a1", "is a1"])
def test_the_time_of_sentences_grows_with_their_length_alone(part: str) -> None:
    assert mask_text(part * (200_000 // len(part)))


@pytest.mark.parametrize("part", ["a-", "eyJ-", 'token:"', "password=[", "://a:", "-----BEGIN PRIVATE KEY-----", "\\"])
def test_the_time_grows_with_the_length_of_a_text_alone(part: str) -> None:
    # Where it grew with the square, these would take minutes.
    assert mask_text(part * (200_000 // len(part)))


@pytest.mark.parametrize(
    "text",
    [
        "two loaves of rye, the basic kind",
        "The password is required, and the token is invalid or was revoked",
        "the token is base64-encoded, the secret is SHA-256 hashed",
        "the password is 12-characters long, and was changed 2026-07-28",
        "a token is 20260728 at most",
        "the tokenizer is bert2024x",
        "the token is invalid,try2",
    ],
)
def test_texts_without_secrets_stay(text: str) -> None:
    assert mask_text(text) == text


def test_a_list_shows_the_beginning_of_a_text() -> None:
    assert cut("x" * 500) == "x" * 200 + "…"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
)


@given(JSON, st.text("abcdefghij", min_size=12, max_size=20), st.sampled_from(["password", "token", "apiKey"]))
def test_no_secret_is_left_wherever_it_is(value: Any, secret: str, name: str) -> None:
    masked = Mask().masked({"first": {name: [{"deep": secret}]}, "then": value, "last": f"it was {secret}!"})
    assert secret.encode() not in dumps(masked)


def test_deep_values_and_rings_of_references_end() -> None:
    deep: Any = "bottom"
    for _ in range(100):
        deep = [deep]
    assert b"bottom" not in dumps(Mask().masked(deep))
    ring = {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}}}
    assert Mask().masked({"a": 1}, ring) == {"a": 1}
