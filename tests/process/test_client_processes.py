"""A client and the server that it has started: how they find each other, and how either ends."""

from __future__ import annotations

import functools
import os
import signal
import sys
import textwrap
from pathlib import Path
from subprocess import DEVNULL, PIPE

import pytest
import trio
import trio.testing

import trimcp
from tests.process.children import PATIENCE, ROOT, TEMPERAMENTS, is_alive
from tests.transports.pairs import open_descriptors
from trimcp.transports import subprocess

FOUND = {"PYTHONPATH": str(ROOT)}
"""What a server needs of the environment to find trimcp, since it does not get ours."""
COMMAND = [sys.executable, "-m", "trimcp", "run", str(TEMPERAMENTS)]

STUBBORN = """
import os, signal, sys, json
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("pid", os.getpid(), file=sys.stderr, flush=True)
for line in sys.stdin:
    message = json.loads(line)
    if message.get("method") == "initialize":
        result = {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "s", "version": "0"}}
    else:
        result = {}
    if "id" in message:
        if message["method"] in ("initialize", "ping"):
            answer = {"result": result}
        else:
            answer = {"error": {"code": -32601, "message": "no"}}
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **answer}), flush=True)
while True:
    signal.pause()
"""
"""A server by hand that answers the handshake, and ends neither with its stdin nor by SIGTERM."""


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait long for servers that will not listen."""
    deadlines = functools.partial(subprocess.StopDeadlines, grace=0.05, terminate=0.05)
    monkeypatch.setattr(subprocess, "StopDeadlines", deadlines)


class Heard:
    """What a server says on stderr."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._pid = trio.Event()

    def __call__(self, line: str) -> None:
        self.lines.append(line)
        if line.startswith("pid "):
            self._pid.set()

    async def pid(self) -> int:
        """Wait for the line that tells the server's process id."""
        await self._pid.wait()
        return next(int(line.split()[1]) for line in self.lines if line.startswith("pid "))


async def test_a_command_is_connected_to() -> None:
    heard = Heard()
    with trio.fail_after(PATIENCE):
        async with trimcp.connect(COMMAND, env=FOUND, on_stderr=heard) as client:
            assert client.protocol_version == "2026-07-28"
            assert await client.call_tool("add", {"a": 1, "b": 2}, returns=int) == 3
            await client.call_tool("prints")
    assert "a stray print" in heard.lines


async def test_the_path_of_a_script_is_connected_to(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with trimcp.connect(TEMPERAMENTS, env=FOUND, cwd=tmp_path, on_stderr=Heard()) as client:
            assert (await client.call_tool("where")).text == str(tmp_path.resolve())
        async with trimcp.connect(str(TEMPERAMENTS), env=FOUND, revision="2024-11-05", on_stderr=Heard()) as client:
            assert client.protocol_version == "2024-11-05"


@pytest.mark.parametrize(
    "target", ["/nothing/here.py", "no-command-of-that-name", [], 7, "gopher://here", "tcp://here"]
)
async def test_what_is_no_target_is_said_to_be_none(target: object) -> None:
    with pytest.raises(trimcp.UsageError):
        async with trimcp.connect(target):
            raise AssertionError


async def test_a_server_that_dies_in_mid_call_is_reported_at_once_with_what_it_said() -> None:
    with trio.fail_after(PATIENCE):
        async with trimcp.connect(COMMAND, env=FOUND, on_stderr=Heard()) as client:
            with pytest.raises(trimcp.ServerExited) as caught:
                await client.call_tool("dies", {"status": 7})
            assert caught.value.returncode == 7
            assert caught.value.stderr.splitlines()[-1] == "this is the end"
            with pytest.raises(trimcp.ServerExited) as again:
                await client.ping()
            assert again.value.returncode == 7


async def test_all_that_wait_for_a_server_that_is_killed_are_told() -> None:
    caught: list[trimcp.ServerExited] = []
    with trio.fail_after(PATIENCE):
        async with trimcp.connect(COMMAND, env=FOUND, on_stderr=Heard()) as client:

            async def wait() -> None:
                with pytest.raises(trimcp.ServerExited) as info:
                    await client.call_tool("forever")
                caught.append(info.value)

            async with trio.open_nursery() as nursery:
                for _ in range(5):
                    nursery.start_soon(wait)
                await trio.testing.wait_all_tasks_blocked()
                server = client.session.duplex
                assert isinstance(server, subprocess.ServerProcess)
                os.kill(server.pid, signal.SIGKILL)
    assert [exited.returncode for exited in caught] == [-signal.SIGKILL] * 5


async def test_a_server_that_cannot_start_says_why() -> None:
    command = [sys.executable, "-c", "import sys; sys.exit('no licence')"]
    with trio.fail_after(PATIENCE), pytest.raises(trimcp.ServerExited, match="no licence") as caught:
        async with trimcp.connect(command, on_stderr=Heard()):
            raise AssertionError
    assert caught.value.returncode == 1


@pytest.mark.usefixtures("hasty")
async def test_a_server_that_will_not_end_is_killed() -> None:
    heard = Heard()
    with trio.fail_after(PATIENCE):
        async with trimcp.connect([sys.executable, "-c", STUBBORN], on_stderr=heard) as client:
            await client.ping()
            pid = await heard.pid()
            assert is_alive(pid)
    assert not is_alive(pid)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("source", [STUBBORN, None], ids=["stubborn", "polite"])
async def test_no_server_outlives_a_client_that_is_cancelled(source: str | None) -> None:
    before = open_descriptors()
    with trio.fail_after(PATIENCE), trio.CancelScope() as scope:
        async with trimcp.connect(
            COMMAND if source is None else [sys.executable, "-c", source], env=FOUND, on_stderr=Heard()
        ) as client:
            server = client.session.duplex
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert isinstance(server, subprocess.ServerProcess)
    assert not is_alive(server.pid)
    assert open_descriptors() <= before


@pytest.mark.usefixtures("hasty")
async def test_no_server_outlives_a_client_that_fails_and_the_failure_comes_as_it_is() -> None:
    with trio.fail_after(PATIENCE), pytest.raises(ZeroDivisionError):
        async with trimcp.connect([sys.executable, "-c", STUBBORN], on_stderr=Heard()) as client:
            server = client.session.duplex
            raise ZeroDivisionError
    assert isinstance(server, subprocess.ServerProcess)
    assert not is_alive(server.pid)


@pytest.mark.usefixtures("hasty")
async def test_no_server_outlives_a_client_that_is_cancelled_while_it_connects() -> None:
    heard = Heard()
    silent = "import os, sys, time; print('pid', os.getpid(), file=sys.stderr, flush=True); time.sleep(1000)"
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:

            async def connect() -> None:
                async with trimcp.connect([sys.executable, "-c", silent], on_stderr=heard):
                    raise AssertionError

            nursery.start_soon(connect)
            pid = await heard.pid()
            nursery.cancel_scope.cancel()
    assert not is_alive(pid)


async def test_a_legacy_server_that_does_not_survive_the_probe_is_opened_again(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "serverInfo": {"name": "old", "version": "0"}}
    source = textwrap.dedent(
        f"""
        import json, sys
        open({str(starts)!r}, "a").write("x")
        first = json.loads(sys.stdin.readline())
        if first["method"] != "initialize":
            sys.exit("expected initialize")
        print(json.dumps({{"jsonrpc": "2.0", "id": first["id"], "result": {hello}}}), flush=True)
        for line in sys.stdin:
            message = json.loads(line)
            if "id" in message:
                print(json.dumps({{"jsonrpc": "2.0", "id": message["id"], "result": {{}}}}), flush=True)
        """
    )
    with trio.fail_after(PATIENCE):
        async with trimcp.connect([sys.executable, "-c", source], on_stderr=Heard()) as client:
            assert client.protocol_version == "2025-06-18"
            await client.ping()
    assert starts.read_text() == "xx"


async def test_clients_of_several_servers_may_be_closed_in_any_order() -> None:
    with trio.fail_after(PATIENCE):
        async with (
            trimcp.connect(COMMAND, env=FOUND, on_stderr=Heard()) as one,
            trimcp.connect(COMMAND, env=FOUND, on_stderr=Heard()) as two,
        ):
            one.close()
            assert (await two.call_tool("add", {"a": 1, "b": 2})).text == "3"
            with pytest.raises(trimcp.ConnectionClosed):
                await one.ping()


async def test_a_client_command_that_gets_sigterm_ends_its_server(tmp_path: Path) -> None:
    script = tmp_path / "deaf.py"
    script.write_text(
        "import os, sys, signal\nprint('pid', os.getpid(), file=sys.stderr, flush=True)\nsignal.pause()\n"
    )
    command = [sys.executable, "-m", "trimcp", "list", "--", sys.executable, str(script)]
    env = {**os.environ, **FOUND}
    with trio.fail_after(PATIENCE):
        process = await trio.lowlevel.open_process(command, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE, env=env)
        assert process.stderr is not None
        said = b""
        while b"\n" not in said:
            said += await process.stderr.receive_some()
        pid = int(said.split()[1])
        assert is_alive(pid)
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 143
        assert not is_alive(pid)
