"""Measures each step between the bytes of a call and the bytes of its answer.

    python -m benchmarks.codec [--era modern] [--repeats 30] [--json]

Beside them what the libraries take for as much: orjson alone, and a dict built by hand.
"""

from __future__ import annotations

import argparse
import json

import orjson

from benchmarks.messages import Era, call_template
from benchmarks.report import machine, machine_line, table
from benchmarks.steps import steps_of_a_call, timed


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.codec", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--era", choices=["legacy", "modern"], default="legacy")
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    era: Era = options.era
    costs = steps_of_a_call(era, options.repeats)
    costs["all of these"] = sum(costs.values())
    costs.update(_bare(era, options.repeats))
    if options.json:
        print(json.dumps({"machine": machine(), "era": era, "microseconds": costs}))
        return
    print(f"{machine_line()}; {era}, least of {options.repeats}\n")
    print(table(("step", "µs"), [[step, f"{cost:.2f}"] for step, cost in costs.items()]))


def _bare(era: Era, repeats: int) -> dict[str, float]:
    before, after = call_template(era)
    frame = b"%b4711%b" % (before, after.rstrip())
    answer = {
        "jsonrpc": "2.0",
        "id": 4711,
        "result": {"content": [{"type": "text", "text": "3"}], "structuredContent": {"result": 3}},
    }
    return {
        "orjson.loads of the call": timed(lambda: orjson.loads(frame), repeats),
        "orjson.dumps of the answer": timed(lambda: orjson.dumps(answer), repeats),
    }


if __name__ == "__main__":
    main()
