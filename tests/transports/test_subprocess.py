"""A server that we started: what it is given, what it says, how it ends, and that nothing of it stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from tests.transports.pairs import open_descriptors
from trimcp.errors import ConnectionClosed, ConnectionLost, ServerExited, UsageError
from trimcp.transports.process import group_lives, server_environment
from trimcp.transports.subprocess import ServerProcess, StopDeadlines, server_process, to_our_stderr

HASTY = StopDeadlines(grace=0.05, terminate=0.05, kill=30)
"""For children that will not listen."""
PATIENT = StopDeadlines(grace=60)
"""For children that end by themselves: a machine that is busy may take ten seconds to start Python."""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code)]


ECHO = python(
    """
    import sys
    for line in sys.stdin.buffer:
        sys.stdout.buffer.write(line.upper())
        sys.stdout.buffer.flush()
    """
)
STUBBORN = """
    import signal, sys, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("ready", flush=True)
    while True:
        time.sleep(60)
"""


def is_alive(pid: int) -> bool:
    """Whether the process runs: a zombie, which waits for somebody else to look, does not."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as status:
            return status.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


@asynccontextmanager
async def started(command: Sequence[str]) -> AsyncIterator[ServerProcess]:
    """A server, and the promise that it is gone afterwards and has left no descriptor."""
    with trio.fail_after(120):
        before = open_descriptors()
        async with server_process(command, on_stderr=None, stop=PATIENT) as server:
            yield server
        assert not is_alive(server.pid)
        assert open_descriptors() <= before


async def test_a_server_is_spoken_to_and_ends_with_its_stdin() -> None:
    async with started(ECHO) as server:
        assert server.returncode is None
        assert server.description == f"process {os.path.basename(sys.executable)} (pid {server.pid})"
        data = b"one\ntwo\n"
        assert server.try_send(data) == len(data)
        await server.send_all(b"three\n")
        frames: list[object] = []
        while len(frames) < 3:
            frames += await server.receive()
        assert frames == [b"ONE", b"TWO", b"THREE"]
    assert server.returncode == 0


async def test_after_the_end_of_our_output_its_exit_is_the_end_of_input() -> None:
    async with started(ECHO) as server:
        await server.send_all(b"last")
        await server.send_eof()
        assert await server.receive() == [b"LAST"]
        assert await server.receive() == []
        with pytest.raises(ConnectionClosed):
            server.try_send(b"x")


async def test_a_server_that_dies_says_what_it_wrote_and_then_why() -> None:
    code = """
        import sys
        print("answer", flush=True)
        print("an answer cut sh", end="", flush=True)
        for number in range(30):
            print(f"line {number}", file=sys.stderr)
        sys.exit("because " + "x" * 1000)
    """
    async with started(python(code)) as server:
        frames: list[object] = []
        with pytest.raises(ServerExited) as caught:
            while True:
                frames += await server.receive()
        assert frames == [b"answer", b"an answer cut sh"]
        assert caught.value.returncode == 1
        lines = caught.value.stderr.splitlines()
        assert lines == [*(f"line {number}" for number in range(11, 30)), ("because " + "x" * 1000)[:500]]
        assert server.stderr == caught.value.stderr
        assert str(caught.value).startswith(f"{server.description} exited with status 1: because x")


@pytest.mark.parametrize("name", ["SIGKILL", "SIGSEGV"])
async def test_a_server_that_is_killed_is_noticed_by_whoever_waits(name: str) -> None:
    async with started(ECHO) as server, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def receive() -> None:
            with pytest.raises(ServerExited, match=f"was ended by {name}") as caught:
                await server.receive()
            assert caught.value.returncode == -signal.Signals[name]

        await trio.testing.wait_all_tasks_blocked()
        os.kill(server.pid, signal.Signals[name])


async def test_sending_to_a_server_that_has_died_tells_why() -> None:
    async with started(python("import sys; sys.exit('no licence')")) as server:
        with pytest.raises(ServerExited, match="exited with status 1: no licence"):
            while True:
                await server.send_all(b"x" * 1000)
        with pytest.raises(ServerExited, match="exited with status 1: no licence"):
            server.try_send(b"x")


async def test_try_send_leaves_it_to_send_all_to_learn_why_a_pipe_broke() -> None:
    code = "import os, sys; os.close(0); print('closed', flush=True); os.read(os.pipe()[0], 1)"
    async with started(python(code)) as server:
        assert await server.receive() == [b"closed"]
        assert server.try_send(b"x") == 0
        os.kill(server.pid, signal.SIGKILL)
        with pytest.raises(ServerExited, match="SIGKILL"):
            await server.send_all(b"x")


async def test_an_exit_is_noticed_though_a_grandchild_holds_the_pipes() -> None:
    code = """
        import subprocess, sys
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        print(child.pid, flush=True)
    """
    async with started(python(code)) as server:
        (frame,) = await server.receive()
        assert isinstance(frame, bytes)
        grandchild = int(frame)
        with pytest.raises(ServerExited, match="exited with status 0"):
            await server.receive()
        assert is_alive(grandchild)
    with trio.fail_after(120):
        while is_alive(grandchild):
            await trio.sleep(0.001)


async def test_a_server_that_closes_its_output_and_lives_on_is_the_end_of_input(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trimcp.transports.subprocess.EXIT_PATIENCE", 0.01)
    async with started(python("import os; os.close(1); os.read(0, 1)")) as server:
        assert await server.receive() == []


async def test_a_stubborn_process_that_a_server_left_behind_is_killed() -> None:
    code = f"""
        import subprocess, sys
        stubborn = {textwrap.dedent(STUBBORN)!r}
        child = subprocess.Popen([sys.executable, "-c", stubborn], stdout=subprocess.PIPE)
        child.stdout.readline()
        print(child.pid, flush=True)
    """
    with trio.fail_after(120):
        # It has time to end by itself. What it leaves behind has little.
        async with server_process(python(code), stop=StopDeadlines(grace=60, terminate=0.05)) as server:
            (frame,) = await server.receive()
            assert isinstance(frame, bytes)
        assert server.returncode == 0
        while is_alive(int(frame)):
            await trio.sleep(0.001)


async def test_a_process_that_survives_even_sigkill_is_reported_and_left(monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[str] = []
    monkeypatch.setattr("trimcp.observability.log.warning", lambda event, **keys: logged.append(event))
    with trio.fail_after(120), monkeypatch.context() as patched:
        async with server_process(ECHO, stop=StopDeadlines(0, 0, 0)) as server:
            # No signal reaches it, and it takes its time: as if it were stuck in the kernel.
            patched.setattr("trimcp.transports.subprocess.signal_group", lambda process, number: False)
            os.kill(server.pid, signal.SIGSTOP)
    assert logged == ["server.outlived"]
    os.kill(server.pid, signal.SIGKILL)
    with trio.fail_after(120):
        assert await server._process.wait() == -signal.SIGKILL


async def test_a_pipe_that_fails_though_the_server_lives_is_a_lost_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trimcp.transports.subprocess.EXIT_PATIENCE", 0.01)

    async def fail(max_bytes: int) -> bytes:
        raise ConnectionLost("reading failed")

    async with started(
        python("import os; os.close(0); print('closed', flush=True); os.read(os.pipe()[0], 1)")
    ) as server:
        assert await server.receive() == [b"closed"]
        with pytest.raises(ConnectionLost, match="writing failed: Broken pipe"):
            await server.send_all(b"x")
        monkeypatch.setattr(server._reader, "receive_some", fail)
        with pytest.raises(ConnectionLost, match="reading failed"):
            await server.receive()
        os.kill(server.pid, 35)


async def test_a_signal_without_a_name_is_told_by_its_number() -> None:
    async with started(ECHO) as server:
        os.kill(server.pid, 35)
        with pytest.raises(ServerExited, match="was ended by signal 35"):
            await server.receive()


async def test_a_system_without_room_for_a_process_is_a_lost_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*args: object, **options: object) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(trio.lowlevel, "open_process", refuse)
    before = open_descriptors()
    with pytest.raises(ConnectionLost, match=r"cannot start .*: Resource temporarily unavailable"):
        async with server_process(ECHO):
            pass
    assert open_descriptors() <= before


async def test_a_stubborn_server_and_its_stubborn_child_are_killed() -> None:
    code = f"""
        import subprocess, sys
        stubborn = {textwrap.dedent(STUBBORN)!r}
        child = subprocess.Popen([sys.executable, "-c", stubborn], stdout=subprocess.PIPE)
        child.stdout.readline()
        print(child.pid, flush=True)
        exec(stubborn)
    """
    with trio.fail_after(120):
        before = open_descriptors()
        async with server_process(python(code), stop=HASTY) as server:
            frames: list[object] = []
            while len(frames) < 2:
                frames += await server.receive()
            assert isinstance(frames[0], bytes)
            grandchild = int(frames[0])
        assert server.returncode == -signal.SIGKILL
        while is_alive(grandchild):
            await trio.sleep(0.001)
        assert open_descriptors() <= before


async def test_a_server_that_ignores_its_stdin_is_asked_by_a_signal() -> None:
    code = """
        import os, signal, time
        def leave(*_):  # it may interrupt the print
            os.write(1, b"x" * 200_000)
            os._exit(7)
        signal.signal(signal.SIGTERM, leave)
        print("ready", flush=True)
        while True:
            time.sleep(60)
    """
    with trio.fail_after(120):
        async with server_process(python(code), stop=StopDeadlines(grace=0.01, terminate=60)) as server:
            assert await server.receive() == [b"ready"]
    assert server.returncode == 7


async def test_a_cancel_leaves_no_orphan() -> None:
    with trio.fail_after(120):
        before = open_descriptors()
        with trio.CancelScope() as scope:
            async with server_process(python(STUBBORN), stop=HASTY) as server:
                assert await server.receive() == [b"ready"]
                scope.cancel()
                await trio.sleep_forever()
        assert scope.cancelled_caught
        assert not is_alive(server.pid)
        assert open_descriptors() <= before


async def test_an_exception_leaves_no_orphan_and_passes_as_itself() -> None:
    with trio.fail_after(120):
        with pytest.raises(ValueError, match="ours"):
            async with server_process(ECHO) as server:
                raise ValueError("ours")
        assert not is_alive(server.pid)


async def test_an_interrupt_in_the_middle_of_stopping_still_leaves_no_orphan() -> None:
    class Interrupt(BaseException):
        pass

    async def interrupted(seconds: float) -> bool:
        raise Interrupt

    with trio.fail_after(120):
        with pytest.raises(BaseExceptionGroup) as caught:
            async with server_process(python(STUBBORN)) as server:
                assert await server.receive() == [b"ready"]
                server._exits_within = interrupted  # type: ignore[method-assign]
        assert caught.value.subgroup(Interrupt) is not None
        assert server.returncode == -signal.SIGKILL


async def test_a_server_can_be_cancelled_over_and_over() -> None:
    with trio.fail_after(120):
        before = open_descriptors()
        for delay in (0, 0, 0.001, 0.005, 0.02):
            with trio.move_on_after(delay):
                async with server_process(ECHO) as server:
                    await server.receive()
        assert open_descriptors() <= before


async def test_closing_from_another_task_wakes_a_receive() -> None:
    async with started(ECHO) as server, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def receive() -> None:
            with pytest.raises(ConnectionClosed):
                await server.receive()

        await trio.testing.wait_all_tasks_blocked()
        await server.aclose()
        await server.aclose()
    assert server.returncode == 0


async def test_a_server_may_write_its_last_though_nobody_reads_any_more() -> None:
    code = "import sys; sys.stdin.read(); print('x' * 500_000, flush=True)"
    async with started(python(code)) as server:
        await server.aclose()
    assert server.returncode == 0


async def test_stderr_goes_where_the_user_wants_it(capsys: pytest.CaptureFixture[str]) -> None:
    code = r"import sys; sys.stderr.buffer.write(b'one\r\n\xff\n' + b'x' * 70_000 + b'\nend'); sys.stdin.read()"
    expected = ["one", "\N{REPLACEMENT CHARACTER}", "(a line of more than 65536 bytes was left out)", "end"]
    lines: list[str] = []
    with trio.fail_after(120):
        async with server_process(python(code), on_stderr=lines.append, stop=PATIENT):
            pass
        assert lines == expected
        async with server_process(python(code), stop=PATIENT):
            pass
        assert capsys.readouterr().err.splitlines() == expected


def test_a_program_without_a_stderr_passes_nothing_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    to_our_stderr("nothing")


async def test_a_failing_stderr_callback_is_not_called_again(monkeypatch: pytest.MonkeyPatch) -> None:
    logged: list[str] = []
    monkeypatch.setattr("trimcp.observability.log.error", lambda event, **keys: logged.append(event))
    calls: list[str] = []

    def fail(line: str) -> None:
        calls.append(line)
        raise ValueError("a bug")

    code = "import sys; print('one', file=sys.stderr); print('two', file=sys.stderr); sys.stdin.read()"
    with trio.fail_after(120):
        async with server_process(python(code), on_stderr=fail, stop=PATIENT) as server:
            pass
    assert calls == ["one"]
    assert server.stderr == "one\ntwo"
    assert logged == ["stderr_callback.failed"]


async def test_a_server_is_given_a_small_environment_and_a_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OUR_SECRET_KEY", "secret")
    monkeypatch.setenv("LC_MESSAGES", "C")
    code = """
        import os
        print(os.environ.get("OUR_SECRET_KEY"), os.environ.get("GIVEN"), bool(os.environ.get("PATH")), flush=True)
        print(os.getcwd(), os.getpgrp() == os.getpid(), flush=True)
    """
    with trio.fail_after(120):
        for inherit, secret in ((False, b"None"), (True, b"secret")):
            async with server_process(python(code), env={"GIVEN": "1"}, inherit_env=inherit, cwd=tmp_path) as server:
                frames: list[object] = []
                while len(frames) < 2:
                    frames += await server.receive()
                assert frames == [secret + b" 1 True", os.fsencode(tmp_path) + b" True"]
    assert server_environment()["LC_MESSAGES"] == "C"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["no-such-program-anywhere"], "cannot run 'no-such-program-anywhere': No such file"),
        ([os.devnull], "cannot run '/dev/null': Permission denied"),
        ([], "is a list"),
        ("python server.py", "is a list"),
    ],
)
async def test_a_command_that_cannot_be_run_is_refused_in_words(command: Sequence[str], words: str) -> None:
    before = open_descriptors()
    with pytest.raises(UsageError, match=words):
        async with server_process(command):
            pass
    assert open_descriptors() <= before


async def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere"):
        async with server_process(ECHO, cwd=tmp_path / "nowhere"):
            pass


def test_a_group_of_which_nobody_is_left_does_not_live() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""], process_group=0)
    assert process.wait() == 0
    assert not group_lives(process.pid)
