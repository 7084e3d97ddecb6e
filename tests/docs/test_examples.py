"""Every program in examples/ runs to its end by itself, and prints the expected lines."""

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
    "protected.py": [
        r"^without a token: 401 Bearer$",
        r"^a person signs in\nada may notes\na person signs in\nwritten: buy milk$",
        r"^an hour later: ada may notes, notes:write\nsign-ins: 2$",
    ],
    "notes.py": [
        r"^added note://1\nfound Shopping - bread, milk\nnow bread\nthere is no note 7: search for it$",
    ],
    "files.py": [
        r"^files \['todo.txt'\]\nfiles:///todo.txt is now: bread, milk\nother folders are not served$",
    ],
    "long_job.py": [
        r"^2000 of 2000: 303 primes\n303 primes up to 2000$",
        r"^left early: True$",
        r"^the job was cancelled: True$",
        # The call that was left early ends when its thread does.
        r"^the task has an id: True\n(?:the job was cancelled: True\n)?669 primes up to 5000, completed$",
        r"^the task is cancelled$",
    ],
    "summarise.py": [
        r"^Send this prompt of the server to the model\? \| │ Trio is a library",
        r"^Trio is a library for concurrency\.$",
        r"^User rejected sampling request$",
    ],
    "booking.py": [
        r"^Ada, 2 persons, 20:00$",
        r"^Nothing is booked\.$",
        r"^There is no table for 9\.$",
        r"^Another time, then\.\nbooked: \['Ada'\]$",
    ],
    "host.py": [
        r"^weather__forecast: The forecast for a city\.$",
        r"^adder__add: 3\nweather__forecast: refused$",
        r"^plugin__translate: HELLO\nplugin__translate: AGAIN$",
        r"^    WARNING: Changed since it was allowed: the description$",
        r"^plugin__translate: refused\nremembered: plugin translate True\n5 decisions in the audit log$",
    ],
    "web_app.py": [
        r"^ResourceUpdated - bread\nthe model adds number 2\nthe page: 2 to do: bread, milk\nstopped$",
    ],
    "chat.py": [
        r"^Cook: Who is hungry\?\nAda: Is there bread\?\nBob: On the table\.\nAda: Thank you!$",
        r"^all heard the same: True$",
    ],
    "sessions.py": [
        r"^200 sessions are open\nall answers are right: True$",
        r"^\d+ KiB for a session and its client$",
    ],
    "flood.py": [
        r"^buffers hold at most \d+ MiB",
        r"^├── admission  6 of 6 places, 1 wait$",
        r"7 requests, 4 of them wait, 5 refused$",
        r"^the flood:   \{'refused, try again in 1000 ms': 5, 'answered': 7\}$",
        r"^the other:   \{'answered': 3\}$",
    ],
}

ARGUMENTS = {"sessions.py": ["200"]}


def test_every_example_is_listed_here() -> None:
    assert {path.name for path in (ROOT / "examples").glob("*.py")} == SHOWN.keys()


@pytest.mark.parametrize("name", SHOWN)
def test_the_example_runs_to_its_end(name: str) -> None:
    # A server gets the end of its input at once.
    done = run_python(ROOT / "examples" / name, *ARGUMENTS.get(name, ()))
    shown = done.stdout + done.stderr
    for expected in SHOWN[name]:
        assert re.search(expected, shown, re.MULTILINE), f"{expected} is not in\n{shown}"
    assert "Traceback" not in shown
