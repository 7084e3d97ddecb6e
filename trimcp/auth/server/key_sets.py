"""The public keys of authorization servers: fetched when a token needs them, kept, and found by `kid` (RFC 7517)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import trio

from trimcp.auth.errors import AuthorizationFailed, AuthorizationServerUnavailable
from trimcp.observability import events, log

if TYPE_CHECKING:
    from joserfc.jwk import ECKey, OKPKey, RSAKey

    PublicKey = RSAKey | ECKey | OKPKey

KEYS: Final = 64
"""Keys of one set that are read; the rest is ignored."""
TRIED: Final = 16
"""Keys that a token without `kid` is tried with."""
FETCH_INTERVAL: Final = 60.0
"""Seconds between two requests for one set, whatever tokens come."""
FIRST_INTERVAL: Final = 5.0
"""The same while no key is known."""
LIFETIME: Final = 3600.0
"""Seconds until a set is fetched again, so that a key that was withdrawn is forgotten."""
FETCH_TIME: Final = 10.0
"""Seconds that one request may take. A client that leaves does not end it, since others wait for the keys."""

_KEY_TYPES: Final = {"RS": ("RSA",), "PS": ("RSA",), "ES": ("EC",), "Ed": ("OKP",)}
_CURVES: Final = {
    "ES256": ("P-256",),
    "ES384": ("P-384",),
    "ES512": ("P-521",),
    "ES256K": ("secp256k1",),
    "Ed25519": ("Ed25519",),
    "Ed448": ("Ed448",),
    "EdDSA": ("Ed25519", "Ed448"),
}

Fetch = Callable[[], Awaitable[Mapping[str, Any]]]
"""Requests a key set; raises `AuthorizationFailed` where that fails."""


class KeySet:
    """The keys of one issuer."""

    def __init__(self, fetch: Fetch | None, clock: Callable[[], float], value: Mapping[str, Any] | None = None) -> None:
        """Prepare a set.

        Args:
            fetch: requests the set; None for one that never changes.
            clock: the time, in seconds.
            value: the set as it is known; None where it is to be fetched.
        """
        self._fetch = fetch
        self._clock = clock
        self._keys: list[PublicKey] | None = None if value is None else read_keys(value)
        self._fetched_at: float | None = None
        self._asked_at: float | None = None
        self._lock = trio.Lock()

    async def find(self, kid: str | None, algorithm: str) -> list[PublicKey]:
        """Return the keys that may have signed a token: of its `kid`, or all that fit the algorithm.

        Raises:
            AuthorizationServerUnavailable: there are no keys, since none could be fetched.
        """
        if self._keys is None or self._is_old:
            await self._refresh()
        found = self._matching(kid, algorithm)
        if not found:
            await self._refresh()
            found = self._matching(kid, algorithm)
        if self._keys is None:
            raise AuthorizationServerUnavailable("The keys of the authorization server cannot be fetched")
        return found

    def _matching(self, kid: str | None, algorithm: str) -> list[PublicKey]:
        keys = [key for key in self._keys or () if _fits(key, algorithm)]
        if kid is not None:
            return [key for key in keys if key.kid == kid][:TRIED]
        return keys[:TRIED]

    async def _refresh(self) -> bool:
        """Fetch the set unless it was asked for a moment ago; return whether it was fetched since the call."""
        if self._fetch is None:
            return False
        asked_before = self._asked_at
        async with self._lock:
            if self._asked_at != asked_before:
                return True  # by another request, while this one waited
            if not self._is_older(self._asked_at, FIRST_INTERVAL if self._keys is None else FETCH_INTERVAL):
                return False
            self._asked_at = self._clock()
            with trio.move_on_after(FETCH_TIME, shield=True):
                try:
                    self._keys = read_keys(await self._fetch())
                except AuthorizationFailed as exc:  # the keys that are there go on
                    log.warning(events.AUTH_KEYS_NOT_FETCHED, reason=str(exc))
                    return False
                self._fetched_at = self._clock()
                return True
        log.warning(events.AUTH_KEYS_NOT_FETCHED, reason=f"no answer in {FETCH_TIME:g} s")
        return False

    @property
    def _is_old(self) -> bool:
        """Whether a request should fetch the set again: one does, and the others use the keys that are there."""
        return self._fetch is not None and not self._lock.locked() and self._is_older(self._fetched_at, LIFETIME)

    def _is_older(self, moment: float | None, seconds: float) -> bool:
        return moment is None or abs(self._clock() - moment) >= seconds


def read_keys(value: Mapping[str, Any]) -> list[PublicKey]:
    """Return the public keys of a set that can verify signatures; others are left out, symmetric ones too."""
    from joserfc.errors import JoseError
    from joserfc.jwk import ECKey, OKPKey, RSAKey

    types: dict[str, type[RSAKey | ECKey | OKPKey]] = {"RSA": RSAKey, "EC": ECKey, "OKP": OKPKey}
    entries = value.get("keys")
    found: list[PublicKey] = []
    for entry in entries[:KEYS] if isinstance(entries, list) else ():
        kty = entry.get("kty") if isinstance(entry, dict) else None
        kind = types.get(kty) if isinstance(kty, str) else None
        if kind is None or entry.get("use") not in (None, "sig"):
            continue
        try:
            found.append(kind.import_key({name: part for name, part in entry.items() if name not in _PRIVATE}))
        except (JoseError, ValueError, TypeError, KeyError, AttributeError):
            log.warning(events.AUTH_KEY_IGNORED, kty=kty)
    return found


_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "key_ops"})


def _fits(key: PublicKey, algorithm: str) -> bool:
    own = key.as_dict(private=False)
    if own.get("alg") not in (None, algorithm):
        return False
    curves: Sequence[str] | None = _CURVES.get(algorithm)
    if key.key_type not in _KEY_TYPES.get(algorithm[:2], ()):
        return False
    return curves is None or own.get("crv") in curves
