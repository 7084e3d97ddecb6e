"""What of the specification is tested: `python -m tests.requirements [revision [standing]]`.

Without arguments, counts by revision; with them, the requirements of a revision, one a line.
"""

from __future__ import annotations

import sys

from tests.requirements.manifest import REVISIONS, requirements, summary


def main(arguments: list[str]) -> int:
    """Print what was asked for; return the exit status."""
    if not arguments:
        print(summary())
        return 0
    revision, *standings = arguments
    if revision not in REVISIONS:
        print(f"no revision {revision!r}; there are {', '.join(REVISIONS)}", file=sys.stderr)
        return 2
    for requirement in requirements():
        if revision in requirement.revisions and (not standings or requirement.standing in standings):
            note = requirement.why or requirement.but
            print(
                f"{requirement.id:18}{requirement.standing:16}{requirement.says}"
                + ("" if note is None else f" ({note})")
            )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
