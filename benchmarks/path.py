"""Measures where the time of a request goes: a session fed from memory, and each step by itself.

    python -m benchmarks.path [--era modern] [--repeats 20] [--profile]

No pipe and no second process: what is left is what trimcp itself, its libraries and Trio's
scheduler cost, in processor time. Each figure is the least of many repeats, which noise can only raise; the rest of
the sum is the session's actors, and the handler's coroutine.
With `--profile`, cProfile's list for the same load, whose share of each function is inflated by
its count of calls.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import time
from collections.abc import Callable, Sequence

import trio

import trimcp
from benchmarks.messages import INITIALIZED, Era, call_template, opening
from benchmarks.report import machine_line, table
from benchmarks.steps import steps_of_a_call
from trimcp.framing.lines import Frame
from trimcp.transports.duplex import Duplex

REQUESTS = 3200
"""In one repeat."""


class Feed(Duplex):
    """A peer with prepared requests, which takes every answer at once."""

    def __init__(self, first: Sequence[bytes], portions: Sequence[Sequence[bytes]]) -> None:
        self._portions = iter([*([frame] for frame in first), *portions])
        self._opened = len(first)
        self.answered = 0
        self.began = 0.0
        self.ended = 0.0

    async def receive(self) -> Sequence[Frame]:
        await trio.lowlevel.checkpoint()
        if self._opened == 0:
            self.began = time.process_time()
        self._opened -= 1
        return next(self._portions, ())

    def try_send(self, data: bytes) -> int:
        self.answered += data.count(b"\n")
        self.ended = time.process_time()
        return len(data)

    async def send_all(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self.try_send(data)

    async def send_eof(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()

    @property
    def description(self) -> str:
        return "feed"


def adder(*, limits: trimcp.Limits | None = None) -> trimcp.Server:
    """The server that is measured."""
    server = trimcp.Server("add", limits=limits)

    @server.tool
    async def add(a: int, b: int) -> int:
        return a + b

    return server


def feed(era: Era, together: int) -> Feed:
    """All requests of one repeat, `together` in each portion."""
    before, after = call_template(era)
    calls = [b"%b%d%b" % (before, id, after.rstrip()) for id in range(1, REQUESTS + 1)]
    first = [opening(era).rstrip()] + ([INITIALIZED.rstrip()] if era == "legacy" else [])
    return Feed(first, [calls[start : start + together] for start in range(0, REQUESTS, together)])


def one_repeat(era: Era, together: int) -> float:
    """Microseconds for a request."""
    duplex = feed(era, together)
    trio.run(adder().serve, duplex)
    expected = REQUESTS + 1
    if duplex.answered != expected:
        raise SystemExit(f"{duplex.answered} answers to {expected} requests")
    return (duplex.ended - duplex.began) / REQUESTS * 1e6


def least(measure: Callable[[], float], repeats: int) -> float:
    """The least of several repeats."""
    return min(measure() for _ in range(repeats))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.path", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--era", choices=["legacy", "modern"], default="legacy")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    era: Era = options.era
    if options.profile:
        profile(era)
        return
    print(machine_line() + f"; {era}, least of {options.repeats}\n")
    single = least(lambda: one_repeat(era, 1), options.repeats)
    batched = least(lambda: one_repeat(era, 32), options.repeats)
    steps = steps_of_a_call(era, options.repeats)
    rows = [[step, f"{cost:.2f}", f"{cost / batched:.0%}"] for step, cost in steps.items()]
    rest = batched - sum(steps.values())
    rows.append(["the actors of the session", f"{rest:.2f}", f"{rest / batched:.0%}"])
    rows.append(["a request, 32 in a portion", f"{batched:.2f}", "100%"])
    rows.append(["a request, one in a portion", f"{single:.2f}", f"{single / batched:.0%}"])
    print(table(("step", "µs", "share"), rows))


def profile(era: Era) -> None:
    """Print cProfile's list for requests that come 32 at a time."""
    one_repeat(era, 32)
    profiler = cProfile.Profile(time.perf_counter)
    profiler.runcall(one_repeat, era, 32)
    pstats.Stats(profiler).sort_stats("tottime").print_stats(35)


if __name__ == "__main__":
    main()
