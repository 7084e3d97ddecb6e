"""A server as a program of its own, driven through pipes as a client would, but by no SDK.

It writes and reads newline-delimited JSON-RPC with plain blocking system calls, and prepares
what it sends, so that one core is the server's and the other hardly busy.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from benchmarks.messages import INITIALIZED, Era, call_template, failure_of, opening

PATIENCE = 30.0
"""Seconds that a program may take to end once its input has ended."""


class Unusable(Exception):
    """The program does not do what is measured."""


def cpu_seconds(pid: int) -> float:
    """Processor time of all threads of a process so far, ended ones too, to the nanosecond."""
    return time.clock_gettime((~pid << 3) | 2)  # what clock_getcpuclockid(3) makes of a process id on Linux


def rss(pid: int) -> float:
    """MiB of memory that a process holds."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS"))


class Program:
    """One run of a server's program."""

    def __init__(self, command: Sequence[str], era: Era, *, tool: str, env: Mapping[str, str] | None = None) -> None:
        self.began = time.perf_counter()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env=env,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._out = self._process.stdin.fileno()
        self._in = self._process.stdout.fileno()
        self._era: Era = era
        self._before, self._after = call_template(era, tool)
        self._id = 0
        self._unfinished = b""

    def open(self) -> float:
        """Make the connection ready for calls; return seconds since the start."""
        self._write(opening(self._era))
        self._answer(0)
        opened = time.perf_counter() - self.began
        if self._era == "legacy":
            self._write(INITIALIZED)
        return opened

    def call(self) -> None:
        """Make one call and check its answer."""
        self._id += 1
        self._write(b"%b%d%b" % (self._before, self._id, self._after))
        self._answer(self._id)

    def serial(self, seconds: float) -> dict[str, float]:
        """Load it with one call after another.

        Returns:
            `serial` calls a second, and `serial_cpu`, microseconds of its processor time for each.
        """
        count = 0
        cpu, began = self.cpu_seconds(), time.perf_counter()
        end = began + seconds
        while (now := time.perf_counter()) < end:
            self.call()
            count += 1
        return {"serial": count / (now - began), "serial_cpu": (self.cpu_seconds() - cpu) / count * 1e6}

    def pipelined(self, seconds: float, window: int) -> dict[str, float]:
        """Load it with a window of calls in flight, filled up as answers come.

        Returns:
            `pipelined` calls a second; `cpu`, microseconds of its processor time for each; `p50` and
            `p99`, milliseconds from a call to its answer.
        """
        before, after, loads, clock = self._before, self._after, orjson.loads, time.perf_counter
        sent: dict[int, float] = {}
        latencies: list[float] = []
        cpu, began = self.cpu_seconds(), clock()
        end = began + seconds
        free = window
        now = began
        while True:
            if free and now < end:
                first = self._id + 1
                self._id += free
                ids = range(first, self._id + 1)
                self._write(b"".join([b"%b%d%b" % (before, id, after) for id in ids]))
                sent.update(dict.fromkeys(ids, clock()))
            lines = self._lines()
            now = clock()
            for line in lines:
                answer = loads(line)
                since = sent.pop(answer.get("id"), None)
                if since is not None:
                    latencies.append(now - since)
                    # A look at each would cost more than the floor takes for it.
                    if "error" in answer:
                        raise Unusable(str(answer["error"]))
            free = window - len(sent)
            if now >= end:
                break
        elapsed, used = now - began, self.cpu_seconds() - cpu
        while sent:
            for line in self._lines():
                sent.pop(loads(line).get("id"), None)
        count = len(latencies)
        latencies.sort()
        return {
            "pipelined": count / elapsed,
            "cpu": used / count * 1e6,
            "p50": latencies[count // 2] * 1e3,
            "p99": latencies[count * 99 // 100] * 1e3,
        }

    def cpu_seconds(self) -> float:
        """See `cpu_seconds`."""
        return cpu_seconds(self._process.pid)

    def rss(self) -> float:
        """See `rss`."""
        return rss(self._process.pid)

    def close(self) -> None:
        """End its input, and it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _write(self, data: bytes) -> None:
        try:
            while data:
                data = data[os.write(self._out, data) :]
        except BrokenPipeError as exc:
            raise Unusable("the program has ended") from exc

    def _lines(self) -> list[bytes]:
        while True:
            data = os.read(self._in, 1 << 20)
            if not data:
                raise Unusable("the program has ended")
            lines = (self._unfinished + data).split(b"\n")
            self._unfinished = lines.pop()
            if lines:
                return lines

    def _answer(self, id: int) -> dict[str, Any]:
        """The answer to the one request in flight; what else the server says is passed over."""
        while True:
            for line in self._lines():
                message: dict[str, Any] = orjson.loads(line)
                if message.get("id") == id and "method" not in message:
                    if failure := failure_of(message):
                        raise Unusable(failure)
                    return message
