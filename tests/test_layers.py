"""Imports point downwards only and never in a circle; Trio's low level stays in the layers that wrap it."""

import re

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

from tests.programs import ROOT
from tests.sources import cycles, imports_of, source_files

KNOWN_CYCLES: set[str] = set()
"""Modules that may still be in an import cycle; the aim is none."""


def test_imports_point_downwards_and_pure_packages_do_not_import_trio(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    status = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    assert status == EXIT_STATUS_SUCCESS, capsys.readouterr().out


def test_no_modules_import_each_other_in_a_circle_not_even_for_types() -> None:
    modules = frozenset(source.module for source in source_files())
    graph = {source.module: imports_of(source, modules) for source in source_files()}
    found = cycles({module: targets - KNOWN_CYCLES for module, targets in graph.items() if module not in KNOWN_CYCLES})
    edges = [f"{a} imports {b}" for cycle in found for a in cycle for b in sorted(graph[a] & set(cycle))]
    assert not found, "\n".join(edges)


@pytest.mark.parametrize(
    ("graph", "found"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}, [["a", "b", "c"]]),
        ({"a": {"b"}, "b": {"a", "c"}, "c": {"d"}, "d": {"c"}}, [["c", "d"], ["a", "b"]]),
    ],
)
def test_cycles_are_found(graph: dict[str, set[str]], found: list[list[str]]) -> None:
    assert cycles(graph) == found


LOW = ("actors/", "transports/", "http/h1/")


def test_trio_lowlevel_stays_in_actors_transports_and_the_http_engine() -> None:
    package = ROOT / "trimcp"
    elsewhere = [path for path in package.rglob("*.py") if not path.relative_to(package).as_posix().startswith(LOW)]
    # A checkpoint is the one thing in it that has no other name, cancelled or not.
    used = {
        path.name: re.findall(r"trio\.lowlevel\.(?!checkpoint(?:_if_cancelled)?\b)\w+", path.read_text())
        for path in elsewhere
    }
    assert not {name: found for name, found in used.items() if found}
