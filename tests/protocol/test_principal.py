"""Principals: what they are made of, what is the same sender, and what is kept out of their repr."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import trimcp
from trimcp.protocol.principal import Principal, key_of, principal_of

SENDERS = st.tuples(st.text(), st.none() | st.text())


def test_a_principal_reads_as_its_subject_and_hides_its_claims() -> None:
    claims = {"sub": "ada", "email": "ada@secret.example"}
    ada = trimcp.Principal("ada", client="editor", scopes={"read", "write"}, claims=claims, expires_at=2e9)
    assert f"{ada}" == str(ada) == "ada"
    assert "secret" not in repr(ada)
    assert ada.scopes == frozenset({"read", "write"})
    assert ada.claims["email"] == "ada@secret.example"


def test_a_principal_cannot_be_changed() -> None:
    claims = {"admin": False}
    ada: Any = Principal("ada", claims=claims)
    claims["admin"] = True
    assert not ada.claims["admin"]
    with pytest.raises(TypeError):
        ada.claims["admin"] = True
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        ada.subject = "eve"
    assert {ada: 1}[Principal("ada")] == 1


@given(SENDERS, SENDERS)
def test_the_key_is_the_same_for_the_same_subject_and_client_alone(one: Any, other: Any) -> None:
    first, second = Principal(one[0], client=one[1]), Principal(other[0], client=other[1], scopes={"a"})
    assert (first.key == second.key) == (one == other)
    assert key_of(first) == first.key
    assert key_of(None) is None


def test_the_key_is_what_other_processes_make_of_the_same_sender() -> None:
    # Kept in sealed states and stores: a change of it shuts out those who have one.
    assert Principal("ada").key == "3:ada"
    assert Principal("ada", client="editor").key == "3:ada:editor"


def test_what_authenticate_may_return() -> None:
    ada = Principal("ada", client="editor")
    assert principal_of(ada) is ada
    assert principal_of("ada") == Principal("ada")
    assert principal_of(None) is None
    with pytest.raises(trimcp.UsageError, match="not bytes"):
        principal_of(b"ada")


@pytest.mark.parametrize("given", [{"subject": b"ada"}, {"client": 7}, {"scopes": "read write"}])
def test_a_principal_of_the_wrong_types_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(trimcp.UsageError, match="of a Principal"):
        Principal(**{"subject": "ada", **given})


def test_a_challenge_has_one_value_or_several() -> None:
    plain = trimcp.Unauthenticated()
    assert (plain.status, plain.challenge, plain.challenges) == (401, "Bearer", ("Bearer",))
    both = trimcp.Unauthenticated("no", challenge=['Bearer realm="a, b"', "Basic"], status=403)
    assert (both.status, both.challenges) == (403, ('Bearer realm="a, b"', "Basic"))
    assert both.challenge == 'Bearer realm="a, b", Basic'
    assert trimcp.Unauthenticated(status=403, challenge=()).challenges == ()


@pytest.mark.parametrize(
    "given",
    [
        {"challenge": ()},
        {"challenge": "Bearer\r\nset-cookie: a=b"},
        {"challenge": ["Bearer", "realm=\u2603"]},
        {"challenge": " "},
        {"status": 200},
    ],
)
def test_a_challenge_that_cannot_be_sent_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(trimcp.UsageError, match="of Unauthenticated"):
        trimcp.Unauthenticated(**given)
