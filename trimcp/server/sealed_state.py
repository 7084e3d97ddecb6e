"""`requestState`: what a server remembers between the rounds of a request, kept by the client.

It passes through the client, so it is sealed (AES-GCM): nobody else can read it, change it, use
it for another request, as another principal, or after its time. Keys may be shared by several
processes and rotated: the first seals, all of them open.

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

NONCE: Final = 12
"""Bytes of the nonce of AES-GCM. A key seals far fewer states than would make one repeat."""
PURPOSE: Final = b"trimcp requestState 1"
"""Bound into each state, and what its key is derived for."""
LIFETIME: Final = 3600.0
"""Seconds that a state is good for: as long as a person may take to answer."""


@attrs.define
class State:
    """What is remembered."""

    asked: dict[str, str] = attrs.field(factory=dict)
    """Questions of the last round: key to digest of the question."""
    answers: dict[str, tuple[str, Any]] = attrs.field(factory=dict)
    """Answers obtained: key to digest of the question, and the raw answer."""
    kept: dict[str, Any] = attrs.field(factory=dict)
    """Results of `ctx.once`."""
    rounds: int = 0
    """How many there have been."""


def digest_of_request(method: str, params: Mapping[str, Any]) -> str:
    """A digest of what makes two rounds the same request: all but what each round brings itself."""
    salient = {k: v for k, v in params.items() if k not in ("_meta", "inputResponses", "requestState")}
    return digest_of([method, salient])


def digest_of(value: Any) -> str:
    """A short digest of a JSON value, whatever the order of its keys."""
    digest = hashlib.sha256(orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).digest()
    return base64.urlsafe_b64encode(digest[:18]).decode()


class Sealer:
    """Seals states and opens them."""

    def __init__(self, keys: Sequence[bytes], *, clock: Callable[[], float] = time.time) -> None:
        """
        Args:
            keys: of 32 bytes each, the newest first.
            clock: seconds since the epoch: processes that share keys must agree on it.
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
        sealed = self._ciphers[0].encrypt(nonce, orjson.dumps(inside), PURPOSE)
        return base64.urlsafe_b64encode(nonce + sealed).decode()

    def open(self, text: str, *, principal: str | None, request: str) -> State:
        """Open a state that a client brought back.

        Raises:
            InvalidParams: it was tampered with, is another principal's or another request's, or expired.
        """
        inside = self._decrypted(text)
        if inside["principal"] != principal or inside["request"] != request:
            raise _refused("it belongs to another request")
        if not self._clock() < inside["expires"]:
            raise _refused("it has expired: make the request anew")
        answers = {key: (answer[0], answer[1]) for key, answer in inside["answers"].items()}
        return State(inside["asked"], answers, inside["kept"], inside["rounds"])

    def _decrypted(self, text: str) -> dict[str, Any]:
        from cryptography.exceptions import InvalidTag

        try:
            data = base64.b64decode(text.encode(), altchars=b"-_", validate=True)
        except (ValueError, binascii.Error):
            raise _refused("it is not one of this server's") from None
        if len(data) > NONCE:
            for cipher in self._ciphers:
                try:
                    inside: dict[str, Any] = orjson.loads(cipher.decrypt(data[:NONCE], data[NONCE:], PURPOSE))
                except InvalidTag:
                    continue
                return inside
        raise _refused("it is not one of this server's")


def _refused(why: str) -> InvalidParams:
    # The same for all that is forged: an attacker learns nothing from it.
    return InvalidParams(f"Invalid requestState: {why}", {"problems": ["invalid @ $.requestState"]})
