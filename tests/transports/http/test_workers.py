"""Several processes at one address: they share it and a secret, drain when they are told, and are replaced."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.programs import PATIENCE, ROOT
from trimcp.errors import UsageError
from trimcp.transports.http.workers import run_workers

PROGRAM = """
import functools, os, sys, time
import trio
from trimcp.transports.http import workers
from trimcp.transports.http.asgi import AsgiDoor

class Behind:
    body_limit = 1000

    def __init__(self, worker):
        self.worker = worker

    def refuse(self, request):
        return None

    async def handle(self, request, response):
        if request.path == "/end":
            os._exit(3)
        response.respond(200, (), self.worker.secret.hex().encode())

def work(worker):
    if worker.argument == "broken":
        raise ValueError("a bug")
    behind = Behind(worker)

    async def drain():
        print("drained", flush=True)

    trio.run(functools.partial(workers.serve_worker, AsgiDoor(lambda: behind), worker, drain=drain))

def started(address):
    print("%s:%d" % address, flush=True)

if __name__ == "__main__":
    workers.SHORT_LIFE = float(sys.argv[2])
    sys.exit(workers.run_workers(work, sys.argv[1], workers=2, port=0, started=started))
"""


@contextmanager
def program(folder: Path, argument: str, short_life: float) -> Iterator[subprocess.Popen[str]]:
    path = folder / "program.py"
    path.write_text(textwrap.dedent(PROGRAM))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, str(path), argument, str(short_life)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def ask(address: str, path: str) -> str:
    with urllib.request.urlopen(f"http://{address}{path}", timeout=PATIENCE) as response:
        return str(response.read().decode())


def test_workers_share_an_address_and_a_secret_and_drain_when_told(tmp_path: Path) -> None:
    with program(tmp_path, "", 5) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        secrets = {ask(address, "/secret") for _ in range(4)}
        assert len(secrets) == 1
        assert len(bytes.fromhex(secrets.pop())) == 32
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, err) == (0, "")
        assert "drained" in out


def test_a_worker_that_ends_is_replaced(tmp_path: Path) -> None:
    with program(tmp_path, "", 0) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        for _ in range(3):
            with pytest.raises(ConnectionError):
                ask(address, "/end")
            assert ask(address, "/secret")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0
        assert err.count("worker.ended") == 3


def test_workers_that_cannot_begin_end_the_program(tmp_path: Path) -> None:
    with program(tmp_path, "broken", 60) as process:
        _, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 1
        assert "a bug" in err


def test_there_must_be_a_worker() -> None:
    with pytest.raises(UsageError):
        run_workers(print, workers=0)
