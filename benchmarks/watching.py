"""Measures what it costs a call to be counted, recorded and traced, in instructions of the processor.

    python -m benchmarks.watching [--era modern] [--together 32] [--calls 500 2500] [MODE ...]
    python -m benchmarks.watching --also viewer [--pin …] [MODE ...]

Valgrind's callgrind counts the instructions of a session that is fed from memory, once with few calls and once with
many: the slope is the cost of a call, without start and end. Instructions do not depend on other work of the machine.
`without` is the code without its hooks: the lines that are there for meters and traces are taken out. The state for a
page is not in these figures: making it takes at most 2.5 % of the time of a server (`trimcp.view.publisher.PAUSE`).
`--also viewer` measures all of it, at a server in a process of its own: see `benchmarks.viewer`.
"""

from __future__ import annotations

import argparse
import gc
import inspect
import os
import re
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import trio

import trimcp
from benchmarks.driven import add_driver_options
from benchmarks.messages import INITIALIZED, Era, call_template, opening
from benchmarks.path import Feed, adder
from benchmarks.process import Unusable
from benchmarks.report import machine_line, progress, table
from benchmarks.viewer import MOST, viewer_cost

MODES: Final = {
    "without": "no hooks in the code",
    "off": "nothing is served or asked for",
    "counted": "a view is served, no page looks",
    "recorded": "a page looks: messages and logs are recorded",
    "steps": "a page looks at the tasks: steps are measured too",
    "metrics": "Prometheus's counters",
    "otel": "spans and histograms of the SDK, which are not exported",
}
FULL: Final = 32
"""Calls in flight at a server at full load."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.watching", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("modes", nargs="*", metavar="MODE", help=f"of {', '.join(MODES)}; all, if not given")
    parser.add_argument("--era", choices=["legacy", "modern"], default="modern")
    parser.add_argument("--together", type=int, default=1, help="calls that are read at once")
    parser.add_argument("--calls", type=int, nargs=2, default=(500, 2500), metavar=("FEW", "MANY"))
    parser.add_argument("--worker", nargs=2, metavar=("MODE", "CALLS"), help=argparse.SUPPRESS)
    parser.add_argument(
        "--also", choices=["viewer"], help="measure one viewer of a server at full load; alone, if no MODE"
    )
    add_driver_options(parser)
    options = parser.parse_args()
    if options.worker:
        serve_calls(options.worker[0], int(options.worker[1]), options.era, options.together)
        return
    if options.also:
        show_viewer(options)
    modes = options.modes or ([] if options.also else [*MODES])
    if modes:
        show_modes(modes, options)


def show_viewer(options: argparse.Namespace) -> None:
    """Measure and print what a viewer costs; with exit code 1 where it is too much."""
    before, after = viewer_cost(options, options.era, FULL)
    share = after / before - 1
    print(f"{machine_line()}; {options.era}, {FULL} calls in flight on stdio\n")
    print(f"one viewer: {before:.1f} µs of the server for a call without it, {after:.1f} with it: {share:+.1%}\n")
    if share > MOST:
        raise SystemExit(f"a viewer costs more than {MOST:.0%} of the calls")


def show_modes(modes: Sequence[str], options: argparse.Namespace) -> None:
    """Measure and print the instructions of modes."""
    costs: dict[str, float] = {}
    few, many = options.calls
    for mode in modes:
        progress(mode)
        runs = [instructions(mode, calls, options) for calls in (few, many)]
        costs[mode] = (runs[1] - runs[0]) / (many - few)
        print(f"{mode}: {costs[mode]:,.0f}", file=sys.stderr, flush=True)
    progress("")
    print(f"{machine_line()}; {options.era}, {options.together} calls at once\n")
    base = costs.get("off")
    rows = [
        [MODES[mode], f"{cost:,.0f}", "" if base is None else f"{cost / base - 1:+.2%}"] for mode, cost in costs.items()
    ]
    print(table(("a call where", "instructions", "of `off`"), rows))


def instructions(mode: str, calls: int, options: argparse.Namespace) -> int:
    """Count the instructions of a process that serves so many calls."""
    words = ["--era", options.era, "--together", str(options.together), "--worker", mode, str(calls)]
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder, "counts")
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={found}", sys.executable, "-m", __spec__.name]
        env = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONMALLOC": "pymalloc"}
        done = subprocess.run([*command, *words], env=env, capture_output=True, text=True, check=False)
        counted = re.search(r"^(?:summary|totals): (\d+)", found.read_text() if found.exists() else "", re.MULTILINE)
    if counted is None:
        raise Unusable(f"callgrind counted nothing: {done.stderr[-500:]}")
    return int(counted[1])


# --- the process that is counted ----------------------------------------------------------


def serve_calls(mode: str, calls: int, era: Era, together: int) -> None:
    """Serve so many calls from memory in one mode."""
    if mode == "without":
        take_hooks_out()
    server = adder()
    before, after = call_template(era)
    lines = [b"%b%d%b" % (before, id, after.rstrip()) for id in range(1, calls + 1)]
    first = [opening(era).rstrip()] + ([INITIALIZED.rstrip()] if era == "legacy" else [])
    duplex = Feed(first, [lines[start : start + together] for start in range(0, calls, together)])

    async def serve() -> None:
        watch(server, mode)
        gc.disable()  # one full collection more or less would be more than what is measured
        trio._core._run._r.seed(0)  # Trio shuffles the tasks of a pass: each run in the same way
        await server.serve(duplex)

    trio.run(serve)
    if duplex.answered != calls + 1:
        raise SystemExit(f"{duplex.answered} answers to {calls + 1} requests")


def watch(server: trimcp.Server, mode: str) -> None:
    """Switch on what a mode measures."""
    from trimcp.actors.steps import StepWatch
    from trimcp.view.figures import Figures
    from trimcp.view.trace import Trace

    instruments = server._runs.instruments
    if mode in ("counted", "recorded", "steps"):
        instruments.add_meter(Figures())
    if mode in ("recorded", "steps"):
        trace = Trace()
        instruments.add_meter(trace)
        instruments.add_trace(trace)
        trace.logs.open()
    if mode == "steps":
        StepWatch().start()
    if mode == "metrics":
        instruments.lasting_meter()
    if mode == "otel":
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.trace import TracerProvider

        from trimcp.telemetry import OpenTelemetry

        meters = MeterProvider([InMemoryMetricReader()])
        server.use_telemetry(OpenTelemetry(tracer_provider=TracerProvider(), meter_provider=meters))


def take_hooks_out() -> None:
    """Compile the functions of a call's path again, without the lines that are there for meters and traces."""
    from trimcp.session.request import InboundRequest
    from trimcp.session.router import Router

    _without(InboundRequest, "_send_answer", "    self.answer = frame\n")
    before = Router._on_left
    _without(
        Router,
        "_on_left",
        "    count_ended = self._instruments.ended\n    if count_ended is not None:\n"
        "        read_clock = self._read_clock\n        count_ended(request, read_clock())\n",
    )
    handlers = {kind: Router._on_left if each is before else each for kind, each in Router.handlers.items()}
    Router.handlers = handlers


def _without(owner: type[Any], name: str, lines: str) -> None:
    """Replace a method by the same method without some of its lines."""
    function = getattr(owner, name)
    source = textwrap.dedent(inspect.getsource(function))
    if lines not in source:
        raise Unusable(f"{owner.__name__}.{name} has other hooks by now: change the benchmark")
    made: dict[str, Any] = {}
    exec(compile(source.replace(lines, ""), inspect.getfile(function), "exec"), function.__globals__, made)
    setattr(owner, name, made[name])


if __name__ == "__main__":
    main()
