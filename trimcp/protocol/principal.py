"""The principal of a request: the authenticated sender, and what the sender may do.

A principal belongs to one request and never to a connection or session: the next request may bring
another token, with other scopes. `Principal.key` is what two requests of one sender share.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

import attrs

from trimcp.errors import UsageError

NO_CLAIMS: Final[Mapping[str, Any]] = MappingProxyType({})


def _check_text(principal: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str) and (value is not None or attribute.name == "subject"):
        raise UsageError(f"Invalid {attribute.name} of a Principal: give a string, not {type(value).__name__}")


def _frozen_scopes(scopes: Iterable[str]) -> frozenset[str]:
    if isinstance(scopes, str):
        raise UsageError("Invalid scopes of a Principal: give a set of strings, such as set(text.split())")
    return frozenset(scopes)


def _read_only(claims: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(dict(claims)) if claims else NO_CLAIMS


@attrs.frozen
class Principal:
    """The authenticated sender of one request. An `authenticate` function returns it.

        trimcp.Principal("ada", client="editor", scopes={"read", "write"}, claims=claims, expires_at=claims["exp"])

    `str()` gives the subject. Claims take no part in the repr and in comparisons, since they may be secret.

    Raises:
        UsageError: the subject, the client or the scopes have another type.
    """

    subject: str = attrs.field(validator=_check_text)
    """The user that sends the request: the `sub` of a token, or a user's name."""
    issuer: str | None = attrs.field(default=None, kw_only=True, validator=_check_text)
    """The authorization server that knows the subject: the `iss` of a token; None if there is none."""
    client: str | None = attrs.field(default=None, kw_only=True, validator=_check_text)
    """The program that acts for the subject, such as an OAuth client's id; None where it is not known."""
    scopes: frozenset[str] = attrs.field(default=frozenset(), kw_only=True, converter=_frozen_scopes)
    """What the request is allowed to do, in the words of the program."""
    claims: Mapping[str, Any] = attrs.field(default=NO_CLAIMS, kw_only=True, converter=_read_only, repr=False, eq=False)
    """Other facts about the sender, such as the claims of a token."""
    expires_at: float | None = attrs.field(default=None, kw_only=True)
    """When the principal stops being valid, in seconds since the epoch; None for never. Connections and streams end
    then; the `authenticate` function checks single requests."""

    @property
    def key(self) -> str:
        """A stable key of issuer, subject and client: equal for all requests of one sender, in every process."""
        # The length keeps pairs apart that would read alike, such as ("a:b", None) and ("a", "b").
        key = f"{len(self.subject)}:{self.subject}"
        if self.client is not None:
            key = f"{key}:{self.client}"
        # A key without an issuer begins with a digit.
        return key if self.issuer is None else f"@{len(self.issuer)}:{self.issuer}:{key}"

    def __str__(self) -> str:
        return self.subject


def principal_of(found: object) -> Principal | None:
    """Make a principal of the result of an `authenticate` function: a `Principal`, a subject alone, or None.

    Raises:
        UsageError: it returned something else.
    """
    if found is None or isinstance(found, Principal):
        return found
    if isinstance(found, str):
        return Principal(found)
    raise UsageError(
        f"Invalid result of authenticate: return a Principal, its subject as a string, or None, "
        f"not {type(found).__name__}"
    )


def principal_of_key(key: str, scopes: Iterable[str] = ()) -> Principal:
    """Return the principal with this key: subject, issuer and client; with some scopes, without claims.

    Raises:
        ValueError: it is not the key of a principal.
    """
    issuer, rest = None, key
    if key.startswith("@"):
        issuer, rest = _split(key[1:])
    subject, rest = _split(rest)
    return Principal(subject, issuer=issuer, client=rest or None, scopes=frozenset(scopes))


def _split(text: str) -> tuple[str, str]:
    """Split a text after its first part, whose length it begins with."""
    length, _, rest = text.partition(":")
    part, rest = rest[: int(length)], rest[int(length) :]
    return part, rest.removeprefix(":")


def key_of(principal: Principal | None) -> str | None:
    """Return the key of a principal; None for an anonymous request."""
    return None if principal is None else principal.key
