"""Loads an MCP server on stdio like `stdio_driver.c`, for machines without a C compiler.

python stdio_driver.py READ_FD WRITE_FD
python stdio_driver.py answer

It costs several times as much for each call, so servers that are fast look slower than they are.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from typing import Any

PORTION = 1 << 16
ID = b"\x01"
EDGE = 256
FIRST_ID = re.compile(rb'\{"jsonrpc":"2\.0","id":(\d+)')
LAST_ID = re.compile(rb',"id":(\d+)\}$')
ANSWER = (
    b'{"jsonrpc":"2.0","id":%d,"result":{"content":[{"type":"text","text":"3"}],"structuredContent":{"result":3}}}\n'
)


class Failed(Exception):
    """The server cannot be measured."""


class Driver:
    """One connection to a server."""

    def __init__(self, read_from: int, write_to: int) -> None:
        self._in, self._out = read_from, write_to
        self._unfinished = b""
        self._lines: list[bytes] = []
        self._template: list[bytes] = []
        self._id = 1
        self._sent: dict[int, float] = {}
        self.last = b""
        self.others = 0
        self.read = 0

    def take_template(self, template: bytes) -> None:
        """Prepare the call that `load` sends."""
        self._template = template.split(ID)

    def write(self, data: bytes) -> None:
        """Write one message with one system call, if the pipe takes it."""
        while data:
            data = data[os.write(self._out, data) :]

    def answer(self) -> int:
        """Return the id of the next answer."""
        while True:
            while not self._lines:
                data = os.read(self._in, PORTION)
                if not data:
                    raise Failed("the server has ended")
                self.read += len(data)
                *lines, self._unfinished = (self._unfinished + data).split(b"\n")
                self._lines = lines[::-1]
            line = self._lines.pop()
            id = id_of(line)
            if id is None:
                self.others += 1
                continue
            edges = line[:EDGE] + line[-EDGE:]
            if b'"error":{' in edges or b'"isError":true' in edges:
                raise Failed(f"not a result: {line[:300]!r}")
            self.last = line
            return id

    def load(self, window: int, calls: int, seconds: float) -> dict[str, float]:
        """Keep calls in flight until enough are answered or the time is over."""
        clock = time.clock_gettime
        latencies: list[float] = []
        self.others = self.read = 0
        cpu, began = time.process_time(), clock(time.CLOCK_MONOTONIC)
        end, first = began + seconds, 0.0
        started = min(window, calls)
        for _ in range(started):
            self._send_call()
        while self._sent:
            id = self.answer()
            now = clock(time.CLOCK_MONOTONIC)
            first = first or now
            latencies.append(now - self._sent.pop(id))
            if started < calls and now < end:
                self._send_call()
                started += 1
        latencies.sort()
        return {
            "calls": len(latencies),
            "seconds": now - began,
            "first": first,
            "last": now,
            "p50": latencies[len(latencies) // 2] * 1e3,
            "p99": latencies[len(latencies) * 99 // 100] * 1e3,
            "others": self.others,
            "bytes": self.read,
            "cpu": time.process_time() - cpu,
        }

    def _send_call(self) -> None:
        self._sent[self._id] = time.clock_gettime(time.CLOCK_MONOTONIC)
        self.write((b"%d" % self._id).join(self._template))
        self._id += 1


def id_of(line: bytes) -> int | None:
    """Return the id of an answer; None for any other message."""
    if b'"method":' in line[:EDGE] or b'"method":' in line[-EDGE:]:
        return None
    if found := FIRST_ID.match(line) or LAST_ID.search(line[-EDGE:]):
        return int(found[1])
    id: int | None = json.loads(line).get("id")
    return id


def answer_everything() -> None:
    """Answer each line at once with a fixed result."""
    unfinished = b""
    while data := os.read(0, PORTION):
        *lines, unfinished = (unfinished + data).split(b"\n")
        for line in lines:
            id = json.loads(line).get("id")
            if id is not None:
                os.write(1, ANSWER % id)


def obey(driver: Driver) -> None:
    """Carry out the commands on stdin."""
    commands, answers = sys.stdin.buffer, sys.stdout.buffer
    for line in commands:
        command, *arguments = line.split()
        answer: dict[str, Any] = {}
        tail = b""
        if command == b"template":
            driver.take_template(commands.read(int(arguments[0])))
        elif command == b"send":
            driver.write(commands.read(int(arguments[0])))
        elif command == b"await":
            while driver.answer() != int(arguments[0]):
                pass
            answer = {"at": time.clock_gettime(time.CLOCK_MONOTONIC)}
        elif command == b"load":
            answer = driver.load(int(arguments[0]), int(arguments[1]), float(arguments[2]))
        elif command == b"last":
            answer, tail = {"bytes": len(driver.last)}, driver.last
        answers.write(json.dumps(answer).encode() + b"\n" + tail)
        answers.flush()


def main() -> None:
    """Load a server, or be one."""
    if sys.argv[1] == "answer":
        answer_everything()
        return
    try:
        obey(Driver(int(sys.argv[1]), int(sys.argv[2])))
    except (Failed, OSError) as exc:
        print(json.dumps({"failed": str(exc)}), flush=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
