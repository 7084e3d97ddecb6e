"""The server itself, and what several of its parts send. The parts declare on it when they are imported."""

from __future__ import annotations

import base64
import io
import wave
from typing import Final

import trimcp

server = trimcp.Server(
    "everything",
    version="1.0.0",
    title="Everything",
    instructions="A server for conformance tests: it has whatever the protocol has.",
)

PNG: Final = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
"""One pixel."""


def _silence() -> bytes:
    """A hundredth of a second of nothing."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(1)
        sound.setframerate(8000)
        sound.writeframes(b"\x80" * 80)
    return file.getvalue()


WAV: Final = _silence()
PAUSE: Final = 0.05
"""Seconds between two messages of one call."""
