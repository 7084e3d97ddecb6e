"""Every program in examples/ runs to its end by itself, and shows what it is there to show."""

import re

import pytest

from tests.programs import ROOT, run_python

SHOWN = {
    "add.py": [],
    "weather.py": [r"^the almanac was asked 0 times$"],
    "client.py": [
        r"^weather speaks 2026-07-28$",
        r"^tool forecast: The forecast for a city\.$",
        r"^  1 of 3: day 0\n  2 of 3: day 1\n  3 of 3: day 2\nTurin: rain 13, clear 20, clouds 10$",
        r"^is_error=True: a forecast has 1 to 14 days$",
        r"^left early: True$",
        r"^Riga tomorrow: clouds$",
        r"^the almanac was asked \d+ times$",
    ],
    "group.py": [
        r"^adder__add: Add two numbers\.$",
        r"^weather__forecast: The forecast for a city\.$",
        r"^1 \+ 2 = 3$",
        r"^broken I never work$",
        r"^adder is lost: .* was ended by SIGKILL",
        r"^broken has failed: restarts$",
        r"^3 \+ 4 = 7$",
    ],
    "embed.py": [
        r"^sheep: 2\nsheep: 3\n3 in the books\nDrainReport\(finished=1, cancelled=0, lost=0\)\nstopped$",
    ],
    "library.py": [
        r"^template book://\{title\}\{\?words\} - How a book begins; None says that there is no such book\.$",
        r"^Call me Ishmael\.\nnot found: book://ulysses$",
        r"^\['persuasion'\]\n\['harsh'\]$",
        r"^user: Write a kind review of 2 paragraph\(s\)\.$",
    ],
    "flood.py": [
        r"^buffers hold at most \d+ MiB",
        r"^├── admission  6 of 6 places, 1 wait$",
        r"7 requests, 4 of them wait, 5 refused$",
        r"^the flood:   \{'refused, try again in 1000 ms': 5, 'answered': 7\}$",
        r"^the other:   \{'answered': 3\}$",
    ],
}


def test_every_example_is_listed_here() -> None:
    assert {path.name for path in (ROOT / "examples").glob("*.py")} == SHOWN.keys()


@pytest.mark.parametrize("name", SHOWN)
def test_the_example_runs_to_its_end(name: str) -> None:
    # A server finds the end of its input at once.
    done = run_python(ROOT / "examples" / name)
    shown = done.stdout + done.stderr
    for expected in SHOWN[name]:
        assert re.search(expected, shown, re.MULTILINE), f"{expected} is not in\n{shown}"
    assert "Traceback" not in shown
