"""How access tokens become principals: the interface of verifiers, and the claims that all of them read.

A verifier is an object with `verify`, or an async function: from the token to a `Principal`, or to None.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol, cast

from trimcp.errors import TrimcpError, UsageError
from trimcp.protocol.principal import Principal

TOKEN_BYTES: Final = 16 * 1024
"""The longest access token that is looked at."""
SCOPES: Final = 256
"""Scopes of one token that are read; the rest is ignored."""
LEEWAY: Final = 60.0
"""Seconds that the clock of an authorization server may differ."""
_CLIENT_CLAIMS: Final = ("client_id", "azp", "cid", "appid")
"""Where authorization servers name the client, the standard's first."""


class InvalidToken(TrimcpError):
    """A verifier refuses a token: the request is answered with 401 and `invalid_token`.

    The text is sent to the client as `error_description`: never put a part of the token into it.
    """


class TokenVerifier(Protocol):
    """Verifies access tokens."""

    async def verify(self, token: str) -> Principal | None:
        """Return the principal of a token; None if the token is not valid.

        Raises:
            InvalidToken: the token is not valid, and the text says why.
            AuthorizationServerUnavailable: it cannot be verified now; the request is answered with 503.
        """
        ...


Verify = Callable[[str], Awaitable[Principal | None]]
"""An async function from an access token to its principal; None for a token that is not valid."""


def verify_of(verifier: TokenVerifier | Verify) -> Verify:
    """Return the function of a verifier.

    Raises:
        UsageError: it is neither an object with `verify` nor a function.
    """
    found: Any = getattr(verifier, "verify", verifier)
    if not callable(found):
        raise UsageError(f"Invalid verifier {type(verifier).__name__}: give a JwtVerifier, or an async function")
    return cast("Verify", found)


def strings(value: str | Sequence[str], name: str) -> tuple[str, ...]:
    """Return one string, or several, as a tuple.

    Raises:
        UsageError: there is none, or one is empty.
    """
    found = (value,) if isinstance(value, str) else tuple(value)
    if not found or not all(map(_is_text, found)):
        raise UsageError(f"Invalid {name}: give a string, or several")
    return found


def check_audience(claim: object, accepted: Sequence[str]) -> None:
    """
    Raises:
        InvalidToken: the token is for another resource, or names none.
    """
    named = [claim] if isinstance(claim, str) else claim if isinstance(claim, list) else []
    if not any(audience in accepted for audience in named):
        raise InvalidToken("The access token is for another resource")


def check_times(claims: Mapping[str, Any], now: float, leeway: float) -> float | None:
    """Check `exp` and `nbf`; return `exp`, or None where the token has none.

    Raises:
        InvalidToken: the token has expired, is not valid yet, or has a time that is no number.
    """
    exp, nbf = claims.get("exp"), claims.get("nbf")
    for time in (exp, nbf):
        if time is not None and not is_number(time):
            raise InvalidToken("The access token has a time that is not a number")
    if exp is not None and exp <= now - leeway:
        raise InvalidToken("The access token has expired")
    if nbf is not None and nbf > now + leeway:
        raise InvalidToken("The access token is not valid yet")
    return None if exp is None else float(exp)


def is_number(value: object) -> bool:
    """Whether a claim is a finite number that is no bool."""
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53


def principal_of_claims(claims: Mapping[str, Any], issuer: str) -> Principal:
    """Make the principal of verified claims: of a JWT, or of the response of an introspection endpoint.

    Raises:
        InvalidToken: they name neither a subject nor a client, or a subject that is no text.
    """
    client = next((claims[name] for name in _CLIENT_CLAIMS if _is_text(claims.get(name))), None)
    subject = claims.get("sub")
    if subject is None:
        subject = client  # a client that acts for itself
    elif not _is_text(subject):  # else all users of a client would be one principal
        raise InvalidToken("The subject of the access token is no text")
    if subject is None:
        raise InvalidToken("The access token names neither a subject nor a client")
    expires_at = claims.get("exp")
    return Principal(
        subject,
        issuer=issuer,
        client=client,
        scopes=scopes_of(claims),
        claims=claims,
        expires_at=float(expires_at) if is_number(expires_at) else None,  # type: ignore[arg-type]
    )


def scopes_of(claims: Mapping[str, Any]) -> frozenset[str]:
    """Return the scopes of a token: `scope` or `scp`, a string with spaces or a list."""
    for name in ("scope", "scp"):
        value = claims.get(name)
        if isinstance(value, str):
            return frozenset(value.split()[:SCOPES])
        if isinstance(value, list):
            return frozenset([each for each in value if _is_text(each)][:SCOPES])
    return frozenset()


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)
