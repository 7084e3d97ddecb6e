"""Imports point downwards only: the contracts of pyproject.toml, as import-linter checks them."""

import re

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

from tests.programs import ROOT


def test_imports_point_downwards_and_what_is_pure_knows_no_trio(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    status = lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True)
    assert status == EXIT_STATUS_SUCCESS, capsys.readouterr().out


LOW = ("actors", "transports")


def test_trio_lowlevel_stays_in_actors_and_transports() -> None:
    package = ROOT / "trimcp"
    elsewhere = [path for path in package.rglob("*.py") if path.relative_to(package).parts[0] not in LOW]
    # A checkpoint is the one thing in it that has no other name, cancelled or not.
    used = {
        path.name: re.findall(r"trio\.lowlevel\.(?!checkpoint(?:_if_cancelled)?\b)\w+", path.read_text())
        for path in elsewhere
    }
    assert not {name: found for name, found in used.items() if found}
