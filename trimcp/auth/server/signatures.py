"""Signed tokens as they are read: the header first, then the signature by joserfc (RFC 7515)."""

from __future__ import annotations

import base64
import binascii
import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import orjson

from trimcp.errors import UsageError

if TYPE_CHECKING:
    from joserfc.jws import JWSRegistry

ASYMMETRIC: Final = (
    "ES256",
    "RS256",
    "PS256",
    "ES384",
    "RS384",
    "PS384",
    "ES512",
    "RS512",
    "PS512",
    "EdDSA",
    "Ed25519",
)
"""The algorithms that may be accepted: none with a shared secret, and never `none`."""
HEADER_BYTES: Final = 8192


class InvalidSignature(Exception):
    """A token is no JWT, or its signature is not that of the key."""


def check_algorithms(names: Iterable[str]) -> tuple[str, ...]:
    """
    Raises:
        UsageError: one is none of `ASYMMETRIC`, or there is none.
    """
    found = tuple(names)
    unknown = [name for name in found if name not in ASYMMETRIC]
    if unknown or not found or isinstance(names, str):
        raise UsageError(f"Invalid algorithms {unknown or found}: choose from {', '.join(ASYMMETRIC)}")
    return found


def read_part(token: str, number: int) -> dict[str, Any]:
    """Return the header (0) or the claims (1) of a compact JWT, neither verified.

    Raises:
        InvalidSignature: it is no compact JWT.
    """
    parts = token.split(".")
    if len(parts) != 3 or len(parts[0]) > HEADER_BYTES or not token.isascii():
        raise InvalidSignature
    part = parts[number]
    try:
        value = orjson.loads(base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        raise InvalidSignature from None
    if not isinstance(value, dict):
        raise InvalidSignature
    return value


def verified_claims(token: str, key: Any, algorithm: str) -> dict[str, Any]:
    """Verify the signature of a token by one key; return its claims.

    Raises:
        InvalidSignature: the signature is another key's, or the token is malformed.
    """
    from joserfc import jwt
    from joserfc.errors import JoseError

    try:
        return jwt.decode(token, key, algorithms=[algorithm], registry=_registry(algorithm)).claims
    except (JoseError, ValueError, TypeError, RecursionError):
        raise InvalidSignature from None


@functools.cache
def _registry(algorithm: str) -> JWSRegistry:
    from joserfc.errors import UnsupportedAlgorithmError
    from joserfc.jws import JWSRegistry

    class Registry(JWSRegistry):
        max_header_length = HEADER_BYTES

        def get_alg(self, name: str) -> Any:
            # Without the warning that EdDSA has a newer name: authorization servers still use the old one.
            if name != algorithm:
                raise UnsupportedAlgorithmError(f"Algorithm {name!r} is not {algorithm!r}")
            return self.algorithms[name]

    # Header parameters that are not of RFC 7515 are usual; none of them takes part in the choice of the key.
    return Registry(algorithms=[algorithm], strict_check_header=False)
