"""The server under test on HTTP, in a process of its own, behind either door.

For peers outside of this process: the official suite, and released clients.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.process.children import environment

SERVER: Final = Path(__file__).with_name("everything_server.py")
PATIENCE: Final = 60.0
"""Seconds that a server has for its end, once it has been asked for it."""
DOORS: Final = {"direct": [], "hypercorn": ["--hypercorn"]}
"""The arguments that choose the door."""


@contextmanager
def serving(door: str, program: Sequence[str | Path] = (SERVER,)) -> Iterator[str]:
    """Serve while the context lasts; the value is the server's URL.

    Raises:
        AssertionError: it did not start, and this is what it wrote.
    """
    command = [sys.executable, *map(str, program), "--port", "0", *DOORS[door]]
    with tempfile.TemporaryFile() as errors:
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment())
        assert server.stdout is not None
        with server.stdout as output:
            try:
                url = os.fsdecode(output.readline()).strip()
                if not url:
                    server.wait(PATIENCE)
                    errors.seek(0)
                    raise AssertionError(f"the server did not start: {os.fsdecode(errors.read())}")
                yield url
            finally:
                server.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    server.wait(PATIENCE)
                server.kill()
                server.wait()
