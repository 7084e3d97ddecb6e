"""The manifest and the specification say the same, and the tests that the manifest names are there and run."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests.requirements import manifest, sentences
from tests.requirements.manifest import CHECKOUT, REVISIONS, STATUSES, cases_in, requirements

WORDS = 18
"""The most words of what a requirement says: more would be the specification's own."""


@cache
def cases_of(file: str) -> dict[str, bool]:
    path = CHECKOUT / file
    return cases_in(path) if path.is_file() else {}


def test_every_test_that_is_named_is_there_and_nothing_keeps_it_from_running() -> None:
    named = {test: requirement.id for requirement in requirements() for test in requirement.tests}
    missing = {
        test: id for test, id in named.items() if test.partition("::")[2] not in cases_of(test.partition("::")[0])
    }
    assert missing == {}
    assert [test for test in named if cases_of(test.partition("::")[0])[test.partition("::")[2]]] == []


def test_every_requirement_has_tests_or_a_reason_why_not() -> None:
    for requirement in requirements():
        if requirement.status is None:
            assert requirement.tests, requirement.id
            assert requirement.why is None, requirement.id
        else:
            assert requirement.status in STATUSES, requirement.id
            assert requirement.why, requirement.id
            assert requirement.but is None, requirement.id


def test_every_requirement_says_in_a_few_words_what_is_required_and_where() -> None:
    for requirement in requirements():
        assert requirement.says.endswith("."), requirement.id
        assert len(requirement.says.split()) <= WORDS, requirement.id
        assert requirement.at, requirement.id
        assert len(requirement.tests) == len(set(requirement.tests)), requirement.id


def test_the_file_of_a_requirement_is_that_of_its_name() -> None:
    ids = [requirement.id for requirement in requirements()]
    assert len(ids) == len(set(ids))
    for path in manifest.FILES.glob("*.toml"):
        numbered = [id for id in ids if id.rpartition("-")[0] == path.stem]
        assert sorted(numbered, key=lambda id: int(id.rpartition("-")[2])) == numbered
        assert numbered


def test_no_place_is_claimed_twice() -> None:
    places = Counter(place.rsplit(maxsplit=2)[0] for requirement in requirements() for place in requirement.at)
    assert [place for place, claims in places.items() if claims > 1] == []


@pytest.mark.parametrize("revision", REVISIONS)
def test_every_normative_sentence_has_its_requirement_and_the_other_way_round(revision: str) -> None:
    if not sentences.is_beside(revision):
        pytest.skip("the specification is not beside the checkout")
    found = {sentence.place: sentence.text for sentence in sentences.sentences_of(revision)}
    listed = {place for requirement in requirements() for place in requirement.at if place.startswith(revision)}
    assert {place: text for place, text in found.items() if place not in listed} == {}
    assert listed - found.keys() == set()


# --- what reads the manifest ----------------------------------------------------------


def test_the_summary_counts_every_place_once() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.requirements"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    *_, in_all, _, last = done.stdout.splitlines()
    assert sum(map(int, in_all.split()[2:])) == sum(len(requirement.at) for requirement in requirements())
    assert last.startswith(f"{len(requirements())} requirements")


def test_a_revision_is_listed_by_standing() -> None:
    command = [sys.executable, "-m", "tests.requirements"]
    done = subprocess.run([*command, "2025-11-25", "host"], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    hosts = [r for r in requirements() if r.standing == "host" and "2025-11-25" in r.revisions]
    assert len(done.stdout.splitlines()) == len(hosts) > 0
    assert subprocess.run([*command, "1999"], cwd=CHECKOUT, capture_output=True, check=False).returncode == 2


# --- what finds the sentences ---------------------------------------------------------

PAGE = """\
---
title: A page that MUST not count
---

<Note>One **MUST** read this. Two may be left. [Three](/a#b) `MUST NOT`
go on, e.g. This far.</Note>

## Lists

Clients **MUST** do:

- this, and
  that
  - which is a part of it
- SHOULD not count
- what is said. It MUST be so.

The server **MUST** answer:

```json
{"it": "MUST not count"}
```

- nothing of it

1. First, it SHALL be:
   - small
   - tall
2. Last. {/* it MUST not count */}

| a | b            |
| - | ------------ |
| 1 | is REQUIRED. |
"""


def test_sentences_are_found_wherever_they_stand() -> None:
    found = list(sentences.on_page("r", "p", PAGE))
    assert [sentence.text for sentence in found] == [
        "One MUST read this.",
        "Three MUST NOT go on, e.g. This far.",
        "Clients MUST do: this, and that",
        "Clients MUST do: what is said.",
        "It MUST be so.",
        "The server MUST answer:",
        "First, it SHALL be: small",
        "First, it SHALL be: tall",
        "| 1 | is REQUIRED. |",
    ]
    assert [sentence.keyword for sentence in found][1::6] == ["MUST NOT", "SHALL"]
    assert {sentence.section for sentence in found} == {"", "Lists"}
    assert found[3].place == f"r p 4 MUST {found[3].digest}"


def test_another_link_or_line_break_makes_no_other_sentence() -> None:
    one, other, different = (
        next(sentences.on_page("r", "p", text)).digest
        for text in ("It **MUST** [be](/2025/a) so.", "It MUST\n [be](/2026/b) `so`.", "It MUST not be so.")
    )
    assert one == other != different


def test_what_may_be_skipped_or_fail_is_known(tmp_path: Path) -> None:
    path = tmp_path / "test_it.py"
    path.write_text(
        "import pytest\n"
        "def test_a(): ...\n"
        "@pytest.mark.skipif(True, reason='x')\n"
        "async def test_b(): ...\n"
        "class TestC:\n"
        "    @pytest.mark.parametrize('a', [pytest.param(1, marks=pytest.mark.xfail)])\n"
        "    def test_d(self, a): ...\n"
        "    def helper(self): ...\n"
    )
    assert cases_in(path) == {"test_a": False, "test_b": True, "TestC::test_d": True}
    path.write_text("import pytest\npytestmark = pytest.mark.skip\ndef test_a(): ...\n")
    assert cases_in(path) == {"test_a": True}
