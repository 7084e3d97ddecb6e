"""Checks `pyright --verifytypes --outputjson` on stdin: at least 99 % complete, no type ambiguous or unknown."""

import json
import sys
from typing import Any

LEAST = 0.99
ABSENT = {"start": {"line": -1}}


def complaints(report: dict[str, Any]) -> list[str]:
    """What is missing, a line each; the causes first, then what follows from them."""
    lines = [
        f"{problem.get('file', '')}:{problem.get('range', ABSENT)['start']['line'] + 1}: {symbol['name']}: "
        + " ".join(problem["message"].split())
        for symbol in report["symbols"]
        for problem in symbol["diagnostics"]
    ]
    return sorted(set(lines), key=lambda line: ("partially unknown" in line, line))


def main() -> int:
    """Print the score and what is missing; 0 if it is enough."""
    report = json.load(sys.stdin)["typeCompleteness"]
    counts = report["exportedSymbolCounts"]
    silent = report["missingFunctionDocStringCount"] + report["missingClassDocStringCount"]
    print(*complaints(report), sep="\n")
    print(
        f"{report['completenessScore']:.1%} complete: {counts['withKnownType']} known, "
        f"{counts['withAmbiguousType']} ambiguous, {counts['withUnknownType']} unknown; {silent} without a docstring"
    )
    enough = report["completenessScore"] >= LEAST and counts["withKnownType"] > 0
    return 0 if enough and not counts["withAmbiguousType"] + counts["withUnknownType"] else 1


if __name__ == "__main__":
    sys.exit(main())
