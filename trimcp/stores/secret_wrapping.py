"""Wraps secrets with a key of the operator's, so that they are not in a store in clear."""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path
from typing import Final

from trimcp.errors import UsageError

VARIABLE: Final = "TRIMCP_STORE_KEY"
"""The environment variable with the key, in base64."""
KEY_BYTES: Final = 32
NONCE: Final = 12
"""Bytes of the nonce of AES-GCM. A key wraps one secret in each rotation."""
PURPOSE: Final = b"trimcp secret 1"
"""Authenticated with each wrapped secret."""
PLAIN, WRAPPED = b"\0", b"\1"


class SecretWrapping:
    """Turns secrets into bytes for a store, and back: AES-256-GCM with a key, or in clear without one."""

    def __init__(self, key_file: str | os.PathLike[str] | None = None) -> None:
        """
        Args:
            key_file: has 32 bytes in base64. If not given, the environment variable TRIMCP_STORE_KEY has them. Without
                it secrets are kept in clear.

        Raises:
            UsageError: the file cannot be read, or there are not 32 bytes.
        """
        self._key = _read(key_file)

    def wrap(self, secret: bytes) -> bytes:
        """Return the bytes that a store keeps."""
        if self._key is None:
            return PLAIN + secret
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        nonce = os.urandom(NONCE)
        return WRAPPED + nonce + AESGCM(self._key).encrypt(nonce, secret, PURPOSE)

    def unwrap(self, kept: bytes) -> bytes:
        """Return the secret. Secrets in clear are read with a key too, until the next rotations replace them.

        Raises:
            UsageError: the secret was wrapped with another key, or there is no key.
        """
        if kept[:1] == PLAIN:
            return kept[1:]
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if self._key is None:
            raise UsageError(f"The secrets of the store are wrapped: give their key in {VARIABLE}, or as a file")
        try:
            return AESGCM(self._key).decrypt(kept[1 : 1 + NONCE], kept[1 + NONCE :], PURPOSE)
        except InvalidTag:
            raise UsageError(
                "The secrets of the store are wrapped with another key: give that key, or remove the secrets from "
                "the store"
            ) from None


def _read(key_file: str | os.PathLike[str] | None) -> bytes | None:
    place = VARIABLE if key_file is None else os.fspath(key_file)
    try:
        text = os.environ.get(VARIABLE) if key_file is None else Path(key_file).read_text()
        key = None if text is None else base64.b64decode(text.strip(), validate=True)
    except (OSError, ValueError, binascii.Error) as exc:
        raise UsageError(f"The key in {place} cannot be read ({exc}): give {KEY_BYTES} bytes in base64") from None
    if key is not None and len(key) != KEY_BYTES:
        raise UsageError(f"The key in {place} has {len(key)} bytes: give {KEY_BYTES} bytes in base64")
    return key
