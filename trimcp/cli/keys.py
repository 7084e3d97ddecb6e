"""Keys of the terminal as they are pressed, without Enter and without an echo."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def keys_at_once() -> Iterator[None]:
    """Have the terminal at stdin hand over each key at once, and show none, while the context lasts."""
    if sys.platform == "win32":
        yield
        return
    import termios
    import tty

    before = termios.tcgetattr(0)
    tty.setcbreak(0)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


def read_key() -> str:
    """Wait for a key; return it, or no text where there are no more keys. Blocks: to be called in a thread."""
    if sys.platform == "win32":
        import msvcrt

        return msvcrt.getwch()
    return os.read(0, 1).decode("latin-1")
