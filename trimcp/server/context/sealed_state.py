"""Seals `requestState`: the state of a server between the rounds of a request, which the client keeps.

AES-GCM seals the state, so that the client cannot read it, change it, or use it for another request, as another
principal, or after it expires. Several processes may share the keys, and keys may rotate: the first key seals, all keys
open.

basic/patterns/mrtr of 2026-07-28, "Server Requirements".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs
import orjson

from trimcp.errors import InvalidParams
from trimcp.schema.exact_json import decode, encode

NONCE: Final = 12
"""Bytes of the nonce of AES-GCM. A key seals far fewer states than would make one repeat."""
PURPOSE: Final = b"trimcp requestState 1"
"""The purpose of the keys. It is authenticated with each state."""
LIFETIME: Final = 3600.0
"""Seconds until a state expires: as long as a person may take to answer."""


@attrs.define
class State:
    """Holds the questions, the answers and the results of earlier rounds."""

    asked: dict[str, str] = attrs.field(factory=dict)
    """Questions of the last round: key to digest of the question."""
    answers: dict[str, tuple[str, Any]] = attrs.field(factory=dict)
    """Answers obtained: key to digest of the question, and the raw answer."""
    kept: dict[str, Any] = attrs.field(factory=dict)
    """Results of `ctx.once`."""
    rounds: int = 0
    """The number of rounds so far."""


def digest_of_request(method: str, params: Mapping[str, Any]) -> str:
    """Compute the digest that is the same in every round of a request: without answers, state and `_meta`."""
    salient = {k: v for k, v in params.items() if k not in ("_meta", "inputResponses", "requestState")}
    return digest_of([method, salient])


def digest_of(value: Any) -> str:
    """Compute a short digest of a JSON value. The order of keys does not matter."""
    digest = hashlib.sha256(encode(value, option=orjson.OPT_SORT_KEYS)).digest()
    return base64.urlsafe_b64encode(digest[:18]).decode()


class Sealer:
    """Seals states and opens them."""

    def __init__(self, keys: Sequence[bytes], *, clock: Callable[[], float] = time.time) -> None:
        """
        Args:
            keys: of 32 bytes each, the newest first.
            clock: returns seconds since the epoch. Processes that share keys must agree on it.
        """
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._ciphers = [AESGCM(key) for key in keys]
        self._clock = clock

    def seal(self, state: State, *, principal: str | None, request: str) -> str:
        """Seal a state for one principal (its key; None for an anonymous request) and one request (its digest)."""
        inside = {
            "principal": principal,
            "request": request,
            "expires": self._clock() + LIFETIME,
            **attrs.asdict(state, recurse=False),
        }
        nonce = os.urandom(NONCE)
        sealed = self._ciphers[0].encrypt(nonce, encode(inside), PURPOSE)
        return base64.urlsafe_b64encode(nonce + sealed).decode()

    def open(self, text: str, *, principal: str | None, request: str) -> State:
        """Open a state that a client sent back.

        Raises:
            InvalidParams: it was changed, belongs to another principal or another request, or has expired.
        """
        inside = self._decrypted(text)
        if inside["principal"] != principal or inside["request"] != request:
            raise _refused("it belongs to another request")
        if not self._clock() < inside["expires"]:
            raise _refused("it has expired: send the request again without it")
        answers = {key: (answer[0], answer[1]) for key, answer in inside["answers"].items()}
        return State(inside["asked"], answers, inside["kept"], inside["rounds"])

    def _decrypted(self, text: str) -> dict[str, Any]:
        from cryptography.exceptions import InvalidTag

        try:
            data = base64.b64decode(text.encode(), altchars=b"-_", validate=True)
        except (ValueError, binascii.Error):
            raise _refused("this server did not make it") from None
        if len(data) > NONCE:
            for cipher in self._ciphers:
                try:
                    inside: dict[str, Any] = decode(cipher.decrypt(data[:NONCE], data[NONCE:], PURPOSE))
                except InvalidTag:
                    continue
                return inside
        raise _refused("this server did not make it")


def _refused(why: str) -> InvalidParams:
    # The same text for all forged states: an attacker learns nothing from it.
    return InvalidParams(f"Invalid requestState: {why}", {"problems": ["invalid @ $.requestState"]})
