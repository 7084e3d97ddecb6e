"""Measures starts: imports beside Trio's, and first answers beside the floor's.

    python -m benchmarks.startup [--rounds 15] [--parent PATH] [--mcp PYTHON] [--npm FOLDER] [--json]

Each figure is that of a fresh process, with the bytecode of everything in place as it is after an
installation. The programs are started in turns; medians are printed, and medians of the ratios of
starts that followed each other.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Mapping
from typing import Final

from benchmarks.contestants import FLOOR, Contestant, add_options, contestants, with_bytecode
from benchmarks.driven import Driven, Driver, add_driver_options, built_driver
from benchmarks.messages import Era, call_params, request_template
from benchmarks.process import Unusable
from benchmarks.report import Found, OtherWork, machine, machine_line, progress, ratio, table

IMPORTS: Final = {
    "import trio": "import trio",
    "import trimcp": "import trimcp",
    "trimcp.Server": "import trimcp; trimcp.Server",
    "trimcp.connect": "import trimcp; trimcp.connect",
    "import mcp": "import mcp",
}
"""The statement of each import, by its name; one that fails is left out."""

TIMED: Final = "import time; began = time.process_time(); {}; print(time.process_time() - began)"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=(__doc__ or "").splitlines()[0])
    add_options(parser)
    add_driver_options(parser)
    parser.add_argument("--era", choices=["legacy", "modern"], default="legacy")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    others = OtherWork()
    facts, about = machine(), machine_line()
    with with_bytecode() as env, built_driver(options) as driver:
        imports: Found = {name: {} for name in IMPORTS if _imported(IMPORTS[name], env) is not None}
        programs = [one for one in contestants(options) if _started(driver, one, options.era, env)]
        starts: Found = {one.name: {} for one in programs}
        for number in range(options.rounds):
            progress(f"round {number + 1} of {options.rounds}")
            for name in imports:
                imports[name].setdefault("seconds", []).append(_imported(IMPORTS[name], env) or 0.0)
            for one in programs:
                for figure, seconds in _started(driver, one, options.era, env).items():
                    starts[one.name].setdefault(figure, []).append(seconds)
        progress("")
    if options.json:
        print(json.dumps({"machine": facts, "era": options.era, "imports": imports, "starts": starts}))
        return
    print(f"{about}; {others}; {options.era}, {options.rounds} rounds\n")
    print(
        table(
            ("", "ms", "× import trio"), [[name, *_cells(imports, name, "seconds", "import trio")] for name in imports]
        )
    )
    print()
    head = ("from start to", "first answer ms", "× floor", "first call ms", "× floor")
    rows = [[name, *_cells(starts, name, "answer", FLOOR), *_cells(starts, name, "call", FLOOR)] for name in starts]
    print(table(head, rows))


def _imported(statement: str, env: Mapping[str, str]) -> float | None:
    """Seconds of processor time in a fresh interpreter; None if it fails."""
    done = subprocess.run(
        [sys.executable, "-c", TIMED.format(statement)], env=env, capture_output=True, text=True, check=False
    )
    return float(done.stdout) if done.returncode == 0 else None


def _started(driver: Driver, contestant: Contestant, era: Era, env: Mapping[str, str]) -> dict[str, float]:
    """Seconds from the start to the first answer, and to the answer of the first call; empty if it fails."""
    program = Driven(driver, contestant.command, {**env, **contestant.env})
    try:
        program.prepare(request_template(era, "tools/call", call_params(era, contestant.tool)))
        answer = program.open(era)
        return {"answer": answer, "call": program.since_start(program.load(1, calls=1)["last"])}
    except Unusable as exc:
        print(f"{contestant.name}: left out, {exc}", file=sys.stderr)
        return {}
    finally:
        program.close()


def _cells(found: Found, name: str, figure: str, base: str) -> list[str]:
    mine = found[name][figure]
    return [
        f"{statistics.median(mine) * 1e3:.0f}",
        f"{ratio(mine, found[base][figure]):.2f}" if base in found else "–",
    ]


if __name__ == "__main__":
    main()
