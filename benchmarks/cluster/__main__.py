"""Run a simulation from the command line, and print a table. The exit code is 1 if an invariant was violated."""

from __future__ import annotations

import argparse
import functools
import sys
import tempfile
from pathlib import Path

import trio

from benchmarks.cluster.balancer import Faults
from benchmarks.cluster.chaos import KINDS
from benchmarks.cluster.simulation import Report, Settings, simulate

SHOWN = 20
"""Violations to print."""


def parsed(words: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster", description=__doc__)
    default = Settings()
    parser.add_argument("--nodes", type=int, default=default.nodes, help="processes of `trimcp run`")
    parser.add_argument("--workers", type=int, help="worker processes of each node; needs a store that it can share")
    parser.add_argument("--sessions", type=int, default=default.sessions, help="clients with a session")
    parser.add_argument("--modern", type=int, default=default.modern, help="clients of 2026-07-28, at least 10")
    parser.add_argument("--tasks", type=int, default=default.tasks, help="tasks at once, of both revisions")
    parser.add_argument("--seconds", "--duration", type=float, default=default.seconds, help="time of the disturbances")
    parser.add_argument("--rate", type=float, default=default.rate, help="calls a second, of all clients together")
    parser.add_argument("--store", help="sqlite (default), valkey (started here), or a value for `trimcp run --store`")
    parser.add_argument("--chaos", default=",".join(KINDS), help="kinds of disturbance, or `none`")
    parser.add_argument("--every", type=float, default=default.every, help="seconds between disturbances")
    parser.add_argument("--freeze", default="1-20", metavar="A-B", help="seconds that a node is frozen")
    parser.add_argument("--lease", type=float, default=default.lease, help="seconds until a silent node is dead")
    parser.add_argument("--seed", type=int, help="of the random numbers of the clients and of the disturbances")
    bad = parser.add_argument_group("a balancer that misbehaves")
    bad.add_argument("--holds-heads", action="store_true", help="it keeps a head until the body begins")
    bad.add_argument("--cuts-idle", type=float, metavar="SECONDS", help="it cuts streams that are quiet")
    bad.add_argument("--picks-dead", action="store_true", help="it answers 502 where a node refuses the connection")
    parser.add_argument("--files", type=Path, help="where to keep the log of the nodes, the effects and all violations")
    parser.add_argument("options", nargs="*", help="after --: further options of `trimcp run`")
    return parser.parse_args(words)


def settings_of(options: argparse.Namespace) -> Settings:
    """Return the settings that the options ask for."""
    least, _, most = options.freeze.partition("-")
    return Settings(
        nodes=options.nodes,
        workers=options.workers,
        sessions=options.sessions,
        modern=max(options.modern, Settings().squares),
        tasks=options.tasks,
        seconds=options.seconds,
        rate=options.rate,
        store=options.store,
        kinds=() if options.chaos == "none" else tuple(options.chaos.split(",")),
        every=options.every,
        lease=options.lease,
        freeze_seconds=(float(least), float(most or least)),
        faults=Faults(options.holds_heads, options.cuts_idle, options.picks_dead),
        options=tuple(options.options),
        seed=options.seed,
    )


def show(report: Report) -> None:
    """Print the table and the violations."""
    width = max(len(name) for name, _ in report.rows)
    for name, value in report.rows:
        print(f"{name:<{width}}  {value}")
    print(f"{'violations':<{width}}  {len(report.violations)}")
    for violation in report.violations[:SHOWN]:
        print(f"  {violation}")


def main() -> None:
    """Simulate, print, and exit."""
    options = parsed()
    with tempfile.TemporaryDirectory(prefix="trimcp-cluster-") as temporary:
        directory = options.files or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        report = trio.run(functools.partial(simulate, settings_of(options), directory))
        (directory / "violations").write_text("".join(f"{violation}\n" for violation in report.violations))
    show(report)
    sys.exit(bool(report.violations))


if __name__ == "__main__":
    main()
