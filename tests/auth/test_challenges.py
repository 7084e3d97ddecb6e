"""What `WWW-Authenticate` says, in all the ways in which servers say it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimcp.auth.challenges import format_challenge, parse_challenges, token_challenge

TOKENS = st.text("abcdefghijklmnopqrstuvwxyzABC0123456789-_.~!#$&'*+^`|%", min_size=1, max_size=12)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)


@pytest.mark.parametrize(
    ("field", "parameters"),
    [
        ('Bearer resource_metadata="https://x/y", scope="a b"', {"resource_metadata": "https://x/y", "scope": "a b"}),
        ('bEaReR  Scope = "a"', {"scope": "a"}),
        ('Bearer realm="a, b", error=invalid_token', {"realm": "a, b", "error": "invalid_token"}),
        (r'Bearer realm="say \"hi\"\\"', {"realm": 'say "hi"\\'}),
        ('Bearer scope="first", scope="second"', {"scope": "first"}),
        ('Negotiate abc==, Bearer scope="a"', {"scope": "a"}),
        ('Basic realm="x", Bearer scope="a", Digest qop="auth"', {"scope": "a"}),
        ('Negotiate, Bearer scope="a"', {"scope": "a"}),
        ("Bearer resource_metadata=https://x/y, scope=a", {"resource_metadata": "https://x/y", "scope": "a"}),
        ('DPoP algs="ES256", error="use_dpop_nonce"', {"algs": "ES256", "error": "use_dpop_nonce"}),
        ("Bearer", {}),
        (', ,Bearer scope="a",', {"scope": "a"}),
        ('Bearer scope="a", error="unfinished', {"scope": "a"}),
    ],
)
def test_the_challenge_for_tokens_is_found(field: str, parameters: dict[str, str]) -> None:
    found = token_challenge(field)
    assert found is not None
    assert dict(found.parameters) == parameters


@pytest.mark.parametrize("field", [None, "", 'Basic realm="x"', "Negotiate abc==", "=", '"', "Bearer=1"])
def test_where_there_is_none_nothing_is_found(field: str | None) -> None:
    assert token_challenge(field) is None


@given(st.text())
def test_any_text_is_read(field: str) -> None:
    parse_challenges(field)


@given(st.text('Bearer=", \\\t\n()a', max_size=60))
def test_any_text_that_is_nearly_a_challenge_is_read(field: str) -> None:
    parse_challenges(field)


@given(st.lists(st.tuples(TOKENS, st.dictionaries(TOKENS.map(str.lower), VALUES, max_size=4)), max_size=4))
def test_what_is_formatted_is_read_again(challenges: list[tuple[str, dict[str, str]]]) -> None:
    field = ", ".join(format_challenge(scheme, parameters) for scheme, parameters in challenges)
    found = parse_challenges(field)
    assert [(each.scheme, dict(each.parameters)) for each in found] == [
        (scheme.lower(), parameters) for scheme, parameters in challenges
    ]


@given(st.text())
def test_a_text_of_another_party_adds_no_field(text: str) -> None:
    field = format_challenge("Bearer", {"error_description": text, "scope": "a"})
    assert field.isascii()
    assert field.isprintable()
    assert [dict(each.parameters).keys() for each in parse_challenges(field)] == [{"error_description", "scope"}]


def test_a_long_field_is_read_in_no_time() -> None:
    for text in ('Bearer a="' + "\\" * 100_000, "Bearer " + "a," * 50_000, "a " * 100_000, 'Bearer a="b",' * 10_000):
        parse_challenges(text)
