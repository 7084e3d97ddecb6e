"""Checks proofs of possession (DPoP, RFC 9449, sections 4.3, 7 and 8), and that none is used twice."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import attrs

from trimcp.auth.client.urls import origin_of
from trimcp.auth.server.signatures import ASYMMETRIC, InvalidSignature, read_part, verified_claims
from trimcp.auth.server.verifiers import is_number
from trimcp.errors import TrimcpError

ALGORITHMS: Final = ("ES256", "ES384", "ES512", "EdDSA", "Ed25519", "RS256", "PS256")
PROOF_BYTES: Final = 8192
"""The longest proof that is looked at."""
WINDOW: Final = 300.0
"""Seconds that `iat` of a proof may be away from now."""
JTI_LENGTH: Final = 256
USED: Final = 2**17
"""Proofs that are remembered; further ones are refused until the oldest is out of its window."""
NONCE_SECONDS: Final = 300
"""Seconds until another nonce is handed out; one before the newest is still accepted."""
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})


class InvalidProof(TrimcpError):
    """A proof is refused. The text goes to the client and holds no part of the proof."""


class NonceWanted(TrimcpError):
    """A proof lacks the nonce of the server, or has an old one."""


class TooManyProofs(TrimcpError):
    """As many proofs are remembered as may be: another try may succeed later."""


@attrs.frozen
class CheckedProof:
    """Holds what a valid proof says."""

    thumbprint: str
    """Of its key."""
    use: str
    """Names this proof: no other proof of any key has the same name."""


class ProofChecker:
    """Checks the proofs that come to one server, and remembers them for their window."""

    def __init__(
        self,
        *,
        nonces: bool = False,
        algorithms: Collection[str] = ALGORITHMS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`nonces`: whether proofs must have a nonce of the server, so that none can be made in advance."""
        assert set(algorithms) <= set(ASYMMETRIC)
        self.algorithms: tuple[str, ...] = tuple(algorithms)
        self._nonces = nonces
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._used: OrderedDict[bytes, float] = OrderedDict()

    def share_nonces(self, secret: bytes) -> None:
        """Derive nonces from a secret that all nodes of a server have, so that each accepts those of the others."""
        self._secret = secret

    @property
    def nonce(self) -> str | None:
        """The nonce that proofs must have now; None where they need none."""
        return self._nonce_of(self._slot) if self._nonces else None

    @property
    def _slot(self) -> int:
        return int(self._clock() // NONCE_SECONDS)

    def _nonce_of(self, slot: int) -> str:
        digest = hmac.digest(self._secret, str(slot).encode(), "sha256")
        return base64.urlsafe_b64encode(digest[:18]).decode()

    def check(self, proof: str, method: str, urls: Collection[str], access_token: str | None = None) -> str:
        """Check one proof; return the thumbprint of its key. See `examine`."""
        return self.examine(proof, method, urls, access_token).thumbprint

    def examine(self, proof: str, method: str, urls: Collection[str], access_token: str | None = None) -> CheckedProof:
        """Check one proof, and that it was not used here before.

        Args:
            proof: the value of the `DPoP` header field.
            method: of the request.
            urls: of the request, as clients may know it; from the configuration, never from `Host`.
            access_token: that came along; None at a token endpoint.

        Raises:
            InvalidProof: the proof is none, or is for another request, or was used before.
            NonceWanted: it has no nonce of the server, or an old one.
            TooManyProofs: it cannot be remembered.
        """
        claims, thumbprint = self._verified(proof)
        if claims.get("htm") != method:
            raise InvalidProof("The DPoP proof is for another method")
        htu = claims.get("htu")
        if not isinstance(htu, str) or _normal(htu) not in {_normal(url) for url in urls}:
            raise InvalidProof("The DPoP proof is for another URL")
        iat, now = claims.get("iat"), self._clock()
        if not is_number(iat) or abs(now - float(iat or 0)) > WINDOW:
            raise InvalidProof("The DPoP proof is too old, or of the future")
        if access_token is not None:
            digest = hashlib.sha256(access_token.encode()).digest()
            expected = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            ath = claims.get("ath")
            if not isinstance(ath, str) or not hmac.compare_digest(ath.encode(), expected.encode()):
                raise InvalidProof("The DPoP proof is for another access token")
        if self._nonces:
            nonce, slot = claims.get("nonce"), self._slot
            if nonce not in (self._nonce_of(slot), self._nonce_of(slot - 1)):
                raise NonceWanted("The DPoP proof needs the nonce of the server")
        return CheckedProof(thumbprint, self._use_once(thumbprint, claims.get("jti")))

    def _verified(self, proof: str) -> tuple[dict[str, Any], str]:
        from joserfc.errors import JoseError
        from joserfc.jwk import ECKey, OKPKey, RSAKey

        invalid = InvalidProof("The DPoP proof is not valid")
        if len(proof) > PROOF_BYTES:
            raise invalid
        try:
            header = read_part(proof, 0)
        except InvalidSignature:
            raise invalid from None
        algorithm, jwk = header.get("alg"), header.get("jwk")
        types: dict[str, type[ECKey | OKPKey | RSAKey]] = {"EC": ECKey, "OKP": OKPKey, "RSA": RSAKey}
        if header.get("typ") != "dpop+jwt" or algorithm not in self.algorithms or not isinstance(jwk, dict):
            raise invalid
        kind = types.get(jwk["kty"]) if isinstance(jwk.get("kty"), str) else None
        if kind is None or _PRIVATE & jwk.keys():
            raise invalid
        try:
            key = kind.import_key({name: value for name, value in jwk.items() if name not in ("use", "key_ops")})
            return verified_claims(proof, key, algorithm), str(key.thumbprint())
        except (InvalidSignature, JoseError, ValueError, TypeError, KeyError):
            raise invalid from None

    def _use_once(self, thumbprint: str, jti: object) -> str:
        if not isinstance(jti, str) or not 0 < len(jti) <= JTI_LENGTH:
            raise InvalidProof("The DPoP proof needs a jti")
        now = self._clock()
        while self._used and next(iter(self._used.values())) <= now:
            self._used.popitem(last=False)
        key = hashlib.sha256(f"{thumbprint}:{jti}".encode(errors="surrogatepass")).digest()
        if key in self._used:
            raise InvalidProof("The DPoP proof was used before")
        if len(self._used) >= USED:
            raise TooManyProofs("Too many DPoP proofs: try again later")
        self._used[key] = now + 2 * WINDOW  # a proof of the future is valid for that long
        return key.hex()


def _normal(url: str) -> str | None:
    """Return a URL in the form to compare; None if it is invalid.

    Scheme and host are in lower case, without default port and query; ws is http, wss is https.
    """
    try:
        parts = urlsplit(url)
        scheme = {"ws": "http", "wss": "https"}.get(parts.scheme.lower(), parts.scheme.lower())
        origin = origin_of(parts._replace(scheme=scheme).geturl())
    except ValueError:
        return None
    return f"{origin}{unquote(parts.path) or '/'}"
