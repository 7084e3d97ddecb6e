"""Programs that listen on a port of this machine, for as long as a block lasts."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from tests.process.children import PATIENCE


@contextmanager
def running(command: list[str], port: int) -> Iterator[None]:
    """A server's program, until the end of the block."""
    env = {**os.environ, "PORT": str(port)}
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            trio.run(_listening, port, process)
            yield
        finally:
            process.kill()


async def _listening(port: int, process: subprocess.Popen[bytes]) -> None:
    with trio.fail_after(PATIENCE):
        while process.poll() is None:
            try:
                stream = await trio.open_tcp_stream("127.0.0.1", port)
            except OSError:
                await trio.sleep(0.02)  # there is nothing to wait for but the port itself
            else:
                await stream.aclose()
                return
    raise AssertionError(f"the server ended with {process.returncode}")
