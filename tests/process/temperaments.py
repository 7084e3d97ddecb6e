"""A server with tools of every temperament, as a file of its own: tests start it in a process.

Its limits are short; the environment variable GRACE makes the one of draining longer.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time

import trio

import trimcp

if __name__ != "__main__":  # as a program it has stdout for itself until it runs
    print("printed while the file is loaded")

server = trimcp.Server(
    "temperaments",
    version="1",
    limits=trimcp.Limits(grace=float(os.environ.get("GRACE", "0.3")), cleanup=0.2, write_timeout=20),
)


def say_started() -> None:
    """Tell the test that a tool runs now."""
    print("started", file=sys.stderr, flush=True)


@server.tool
async def add(a: int, b: int) -> int:
    return a + b


@server.tool
async def after(seconds: float) -> str:
    await trio.sleep(seconds)
    return "done"


@server.tool
async def until(path: str) -> str:
    """Wait for a file, and then for what was about to begin when it was made."""
    say_started()
    while not os.path.exists(path):
        await trio.sleep(0.02)
    await trio.sleep(0.1)
    return "done"


@server.tool
async def forever() -> str:
    say_started()
    await trio.sleep_forever()
    raise AssertionError


@server.tool
def forever_in_a_thread() -> str:
    say_started()
    while True:
        time.sleep(60)


@server.tool
async def shielded(seconds: float) -> str:
    say_started()
    with trio.CancelScope(shield=True):
        await trio.sleep(seconds)
    return "done"


@server.tool
async def cleans_up(seconds: float) -> None:
    say_started()
    try:
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True):
            await trio.sleep(seconds)


@server.tool
async def blocks_the_loop() -> str:
    say_started()
    time.sleep(1000)  # noqa: ASYNC251 - that is its temperament
    return "done"


@server.tool
def prints() -> str:
    print("a stray print")
    sys.stdout.write("a write without an end of line")
    return "printed"


@server.tool
def writes_to_descriptor_one() -> str:
    os.write(1, b"written to descriptor 1\n")
    return "written"


@server.tool
def puts() -> str:
    """What a C library does."""
    library = ctypes.CDLL(None)
    library.puts(b"put by the C library")
    library.fflush(None)
    return "put"


@server.tool
def runs_a_child() -> str:
    code = "import sys; print('said by a child'); print('read by a child:', repr(sys.stdin.read()))"
    subprocess.run([sys.executable, "-c", code], check=True)
    return "ran"


@server.tool
async def dies(status: int) -> str:
    print("this is the end", file=sys.stderr, flush=True)
    os._exit(status)


@server.tool
async def where() -> str:
    return os.getcwd()


if __name__ == "__main__":
    server.run()
