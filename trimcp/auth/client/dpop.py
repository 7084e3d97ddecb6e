"""Proofs of possession for tokens (DPoP, RFC 9449): a key, its proofs, and the nonces of servers."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from trimcp.auth.client.urls import origin_of

if TYPE_CHECKING:
    from joserfc.jwk import ECKey

_ORIGINS: Final = 64
"""Origins whose newest nonce is kept; the oldest goes."""
_LONGEST_NONCE: Final = 1024


class DpopKey:
    """A key of ES256 that tokens are bound to. Its repr shows no secret."""

    def __init__(self, value: Mapping[str, Any] | None = None) -> None:
        """`value`: a private JWK that a store kept; a new key is made without one.

        Raises:
            ValueError: the value is no private key for ES256.
        """
        self._key = _new_key() if value is None else _stored_key(value)
        self._public = dict(self._key.as_dict(private=False))
        self._nonces: OrderedDict[str, str] = OrderedDict()

    @property
    def thumbprint(self) -> str:
        """The thumbprint of the public key (RFC 7638), to which tokens are bound."""
        return str(self._key.thumbprint())

    def to_json(self) -> dict[str, Any]:
        """Return the private key as a JWK, for a store."""
        return dict(self._key.as_dict(private=True))

    def proof(self, method: str, url: str, access_token: str | None = None) -> str:
        """Return a fresh proof for one request.

        Args:
            method: of the request.
            url: of the request; its query and fragment are left out of the proof.
            access_token: that goes along, if one does.
        """
        from joserfc import jwt

        claims: dict[str, Any] = {
            "jti": secrets.token_urlsafe(16),
            "htm": method,
            "htu": urlsplit(url)._replace(query="", fragment="").geturl(),
            "iat": int(time.time()),
        }
        if access_token is not None:
            digest = hashlib.sha256(access_token.encode("ascii")).digest()
            claims["ath"] = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        nonce = self._nonces.get(origin_of(url))
        if nonce is not None:
            claims["nonce"] = nonce
        return jwt.encode({"alg": "ES256", "typ": "dpop+jwt", "jwk": self._public}, claims, self._key)

    def keep_nonce(self, url: str, headers: Mapping[str, str]) -> bool:
        """Keep the nonce that a response of that URL names; return whether it names one."""
        nonce = next((value for name, value in headers.items() if name.lower() == "dpop-nonce"), None)
        if not nonce or len(nonce) > _LONGEST_NONCE:
            return False
        origin = origin_of(url)
        self._nonces.pop(origin, None)
        self._nonces[origin] = nonce
        if len(self._nonces) > _ORIGINS:
            self._nonces.popitem(last=False)
        return True


def _new_key() -> ECKey:
    from joserfc.jwk import ECKey

    return ECKey.generate_key("P-256", private=True)


def _stored_key(value: Mapping[str, Any]) -> ECKey:
    from joserfc.errors import JoseError
    from joserfc.jwk import ECKey

    try:
        key = ECKey.import_key(dict(value))
    except (JoseError, ValueError, TypeError, KeyError):
        raise ValueError("no private key for ES256") from None
    if not key.is_private or key.curve_name != "P-256":
        raise ValueError("no private key for ES256")
    return key
