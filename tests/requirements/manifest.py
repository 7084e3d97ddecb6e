"""The manifest: each thing that the specification requires, and what holds trimcp to it.

One file of `parts/` for each part of the specification, one table for each requirement:

    [tools-5]
    says = "…"       what is required, in our words
    at = […]         where it stands: revision, page, its number among the normative sentences of the
                     page, its keyword, and a digest of its words, by which we notice when they change
    tests = […]      the tests that would fail if trimcp did otherwise
    but = "…"        what of it they leave to somebody else, if anything

A sentence that several revisions have, or several pages of one, is one requirement at several places.
What trimcp is not held to has, instead of tests or beside them, a `status` and a reason, `why`:

    host             it binds the program, its author, the model, a person, or another party

`sentences` finds the sentences in the pages; `test_manifest` compares the two.
"""

from __future__ import annotations

import ast
import functools
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import attrs

CHECKOUT = Path(__file__).parents[2]
FILES = Path(__file__).with_name("parts")

STATUSES = ("host",)
REVISIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28")
TESTED, IN_PART = "tested", "tested in part"


@attrs.frozen(kw_only=True)
class Requirement:
    """One thing that is required."""

    id: str
    says: str
    at: list[str]
    tests: list[str] = attrs.field(factory=list)
    but: str | None = None
    status: str | None = None
    why: str | None = None

    @property
    def standing(self) -> str:
        """What there is to say of it in a word or three."""
        return self.status or (TESTED if self.but is None else IN_PART)

    @property
    def revisions(self) -> list[str]:
        """The revisions that require it, once for each place."""
        return [place.split()[0] for place in self.at]


@functools.cache
def requirements() -> tuple[Requirement, ...]:
    """All of them, in the order of the files and the tables.

    Raises:
        TypeError: a table has a key that is none.
    """
    return tuple(
        Requirement(id=id, **table)
        for path in sorted(FILES.glob("*.toml"))
        for id, table in tomllib.loads(path.read_text()).items()
    )


def counts() -> dict[str, Counter[str]]:
    """How many sentences of each revision are tested, or why they are not."""
    counted: dict[str, Counter[str]] = {revision: Counter() for revision in REVISIONS}
    for requirement in requirements():
        for revision in requirement.revisions:
            counted[revision][requirement.standing] += 1
    return counted


def summary() -> str:
    """The counts as a table."""
    standings = (TESTED, IN_PART, *STATUSES)
    rows = [["", *REVISIONS]]
    counted = counts()
    rows += [[standing, *(str(counted[revision][standing]) for revision in REVISIONS)] for standing in standings]
    rows.append(["in all", *(str(counted[revision].total()) for revision in REVISIONS)])
    lines = [f"{row[0]:16}" + "".join(f"{cell:>12}" for cell in row[1:]) for row in rows]
    tests = {test for requirement in requirements() for test in requirement.tests}
    return "\n".join([*lines, "", f"{len(requirements())} requirements, {len(tests)} tests"])


# --- the tests that are named ---------------------------------------------------------


def cases_in(path: Path) -> dict[str, bool]:
    """The tests of a file, and whether something may keep each from running: a mark for skipping, or for failing."""
    tree = ast.parse(path.read_text())
    marked = any(_excuses(node.value) for node in tree.body if _is_pytestmark(node))
    return dict(_cases(tree.body, "", marked=marked))


def _cases(body: list[ast.stmt], prefix: str, *, marked: bool) -> Iterator[tuple[str, bool]]:
    for node in body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            inside = marked or any(map(_excuses, node.decorator_list))
            yield from _cases(node.body, f"{prefix}{node.name}::", marked=inside)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield f"{prefix}{node.name}", marked or any(map(_excuses, node.decorator_list))


def _is_pytestmark(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and any(
        isinstance(target, ast.Name) and target.id == "pytestmark" for target in node.targets
    )


def _excuses(node: ast.expr) -> bool:
    """Whether there is a `skip`, `skipif` or `xfail` in an expression."""
    return any(isinstance(part, ast.Attribute) and part.attr in ("skip", "skipif", "xfail") for part in ast.walk(node))
