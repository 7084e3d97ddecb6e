"""What the command line says of itself: its help, and the page of the documentation."""

import re

import pytest

from tests.cli.conftest import Run
from tests.programs import ROOT, run_python
from trimcp.cli import COMMANDS

PAGE = (ROOT / "docs" / "command-line.md").read_text()
PAGES_OF_THEIR_OWN = {"bench": "benchmarking.md", "record": "recording.md", "replay": "recording.md"}


def test_help_names_every_command_and_the_exit_codes(run: Run) -> None:
    told = run("--help").out
    assert all(f"  {name} " in told for name in COMMANDS)
    assert "  130  interrupted by Ctrl-C" in told


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_in_the_documentation(run: Run, name: str) -> None:
    told = run(name, "--help").out
    assert told.startswith(f"usage: trimcp {name}")
    options = set(re.findall(r"--[a-z-]+", told.partition("options:")[2].partition("exit codes:")[0]))
    page = PAGE + (ROOT / "docs" / PAGES_OF_THEIR_OWN.get(name, "command-line.md")).read_text()
    missing = {option for option in options if f"`{option}" not in page} - {"--help", "--its-option"}
    assert not missing
    assert f"trimcp {name}" in PAGE


def test_help_is_there_before_trio_could_be_imported() -> None:
    code = "import sys; from trimcp.cli import main\ntry: main(['--help'])\nfinally: print(sorted(sys.modules))"
    loaded = run_python("-c", code).stdout
    assert "'trimcp.cli.exit_codes'" in loaded
    for heavy in ("trio", "rich", "attrs", "structlog", "orjson"):
        assert f"'{heavy}'" not in loaded


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_examples(run: Run, name: str) -> None:
    told = run(name, "--help").out
    _, found, examples = told.partition("\nexamples:\n")
    assert found
    lines = examples.split("\n\n")[0].splitlines()
    assert lines
    assert all(line.startswith("  ") and f"trimcp {name}" in line for line in lines if line)
