"""The supervisor, with workers that are small programs: starts, deaths, rolling, signals, its own death."""

import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from trimcp.errors import UsageError
from trimcp.server.workers import supervisor as supervisors
from trimcp.server.workers.port import SharedPort
from trimcp.server.workers.supervisor import supervise

WORKER = """
import json, os, signal, socket, struct, sys

place = json.loads(os.environ["TRIMCP_WORKER"])
link, listening = socket.socket(fileno=place["link"]), socket.socket(fileno=place["sockets"]["http"][0])
notes = os.path.join(place["directory"], "notes")
ended = []
signal.signal(signal.SIGTERM, lambda number, frame: ended.append(number))


def note(text):
    with open(notes, "a") as file:
        file.write(f"{os.getpid()} {text}\\n")


behaviour = open(os.path.join(place["directory"], "behaviour")).read()
if behaviour == "refuses":
    sys.exit(2)
note("listens")
link.sendall(struct.pack("!BQI", 1, 0, 5) + b"adder")
note("ready")
if behaviour == "dies":
    sys.exit(9)
listening.settimeout(0.01)
link.settimeout(0.01)
while not ended:
    try:
        connection, _ = listening.accept()
        connection.sendall(b"%d" % os.getpid())
        connection.close()
    except TimeoutError:
        pass
    try:
        if not link.recv(1):
            break
    except TimeoutError:
        pass
note("drained")
sys.exit(int(behaviour == "loses"))
"""


class Run:
    """A supervisor that runs in this process."""

    def __init__(self, directory: Path, port: SharedPort) -> None:
        self.directory = directory
        self.address = port.address
        self.code: int | None = None
        self.ended = trio.Event()

    async def run(self, port: SharedPort, count: int) -> None:
        self.code = await supervise([sys.executable, "-c", WORKER], count, {"http": port}, str(self.directory))
        self.ended.set()

    def behave(self, how: str) -> None:
        """Tell the workers that start from now on how to behave."""
        (self.directory / "behaviour").write_text(how)

    def notes(self, text: str) -> list[int]:
        """The processes that have noted this."""
        notes = self.directory / "notes"
        lines = notes.read_text().splitlines() if notes.exists() else []
        return [int(line.split()[0]) for line in lines if line.endswith(f" {text}")]

    async def noted(self, text: str, count: int) -> list[int]:
        """Wait until as many processes have noted this."""
        with trio.fail_after(60):
            while len(self.notes(text)) < count:
                await trio.sleep(0.01)
        return self.notes(text)

    async def answered_by(self) -> int:
        """Connect, and return the process that answers."""
        with trio.fail_after(60):
            async with await trio.open_tcp_stream(*self.address) as stream:
                return int(b"".join([data async for data in stream]))


@asynccontextmanager
async def supervised(directory: Path, count: int = 2, behaviour: str = "serves") -> AsyncIterator[Run]:
    with SharedPort("127.0.0.1", 0) as port:
        run = Run(directory, port)
        run.behave(behaviour)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run.run, port, count)
            yield run
            with trio.fail_after(60):
                await run.ended.wait()


def signal_self(number: int) -> None:
    os.kill(os.getpid(), number)


async def test_workers_share_a_port_and_end_with_the_highest_code(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with supervised(tmp_path, behaviour="loses") as run:
        pids = set(await run.noted("ready", 2))
        answered = set()
        with trio.fail_after(60):
            while answered != pids:
                answered.add(await run.answered_by())
        signal_self(signal.SIGTERM)
        await run.ended.wait()
    assert run.code == 1
    assert set(run.notes("drained")) == pids
    assert capfd.readouterr().err == "trimcp: adder, by 2 workers\n"


async def test_a_worker_that_dies_is_replaced_and_no_connection_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with supervised(tmp_path, count=1) as run:
        [first] = await run.noted("ready", 1)
        os.kill(first, signal.SIGKILL)
        # It is accepted by the successor, also where it comes while none runs.
        assert await run.answered_by() == (await run.noted("ready", 2))[1]
        signal_self(signal.SIGINT)
        signal_self(signal.SIGTERM)
        await run.ended.wait()
    assert f"trimcp: worker {first} ended with -9\n" in capfd.readouterr().err


async def test_a_crash_loop_ends(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(supervisors, "FIRST_PAUSE", 0.001)
        patch.setattr(supervisors, "RESTARTS", 2)
        async with supervised(tmp_path, count=1, behaviour="dies") as run:
            await run.ended.wait()
    assert run.code == 1
    assert len(run.notes("ready")) == 3
    assert "trimcp: stopping: 3 workers in a row have died; see the lines above\n" in capfd.readouterr().err


async def test_a_program_that_is_wrong_ends_the_supervisor_at_once(tmp_path: Path) -> None:
    async with supervised(tmp_path, count=3, behaviour="refuses") as run:
        await run.ended.wait()
    assert (run.code, run.notes("ready")) == (2, [])


async def test_workers_are_rolled_one_by_one_and_a_broken_program_is_not_taken(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with supervised(tmp_path) as run:
        old = await run.noted("ready", 2)
        signal_self(signal.SIGHUP)
        assert await run.noted("drained", 2)
        new = (await run.noted("ready", 4))[2:]
        words = [line.split()[1] for line in (tmp_path / "notes").read_text().splitlines()]
        # Each new one listens before an old one drains, and no two of the old ones drain together.
        assert [word for word in words if word != "ready"] == ["listens"] * 2 + ["listens", "drained"] * 2
        assert set(run.notes("drained")) == set(old)
        run.behave("refuses")
        signal_self(signal.SIGHUP)
        told = ""
        with trio.fail_after(60):
            while "not updated" not in told:
                await trio.sleep(0.01)
                told += capfd.readouterr().err
        assert "trimcp: updated 2 workers\n" in told
        assert await run.answered_by() in new
        signal_self(signal.SIGTERM)
        await run.ended.wait()
    assert run.code == 0


async def test_a_python_that_is_missing_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with SharedPort("127.0.0.1", 0) as port:
        assert await supervise([str(tmp_path / "python")], 2, {"http": port}, str(tmp_path)) == 1
    assert "trimcp: cannot start a worker: " in capfd.readouterr().err


def test_a_port_is_not_shared_with_another_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UsageError, match=f"cannot listen on tcp 127.0.0.1:{port}: Address already in use"):
            SharedPort("127.0.0.1", port)
    with SharedPort("127.0.0.1", 0) as ours:
        [listening] = ours.open()
        with pytest.raises(UsageError, match="Address already in use"):
            SharedPort(*ours.address)
        listening.close()
    with pytest.raises(UsageError, match="cannot listen on"):
        SharedPort("no.such.host.invalid", 0)
