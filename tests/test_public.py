"""The public names: where they are, that they say what they are, and what their import costs."""

import ast
import importlib
import inspect
import tomllib
from pathlib import Path

import pytest

import trimcp
from tests.programs import run_python

SOURCE = Path(trimcp.__file__)


def type_checking_imports() -> dict[str, str]:
    """Public name to module, as type checkers see it."""
    return {
        alias.asname or alias.name: (node.module or "").removeprefix("trimcp.")
        for node in ast.walk(ast.parse(SOURCE.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("trimcp.")
        for alias in node.names
    }


def test_the_three_lists_of_names_agree() -> None:
    assert type_checking_imports() == trimcp._PLACES
    assert sorted(trimcp._PLACES) == sorted(trimcp.__all__)
    assert len(set(trimcp.__all__)) == len(trimcp.__all__)


@pytest.mark.parametrize("name", trimcp.__all__)
def test_every_name_is_what_its_module_defines_and_says_what_it_is(name: str) -> None:
    value = getattr(trimcp, name)
    assert value is getattr(importlib.import_module(f"trimcp.{trimcp._PLACES[name]}"), name)
    if inspect.isclass(value) or inspect.isfunction(value):
        # Its own words, not those of its base, and not those that attrs writes.
        words = value.__dict__.get("__doc__") if inspect.isclass(value) else value.__doc__
        assert words and not words.startswith(f"{name}("), f"{name} has no docstring"


@pytest.mark.parametrize("name", [name for name in trimcp.__all__ if inspect.isclass(getattr(trimcp, name))])
def test_every_public_part_of_a_public_class_has_a_docstring(name: str) -> None:
    cls = getattr(trimcp, name)
    silent = [
        part
        for part, value in vars(cls).items()
        if not part.startswith("_")
        and (inspect.isfunction(value) or isinstance(value, property | classmethod | staticmethod))
        and not inspect.getdoc(value)
    ]
    assert not silent


def test_a_name_that_is_none_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'trimcp' has no attribute 'Sever'"):
        trimcp.Sever  # noqa: B018


def test_dir_shows_the_public_names() -> None:
    assert set(dir(trimcp)) == {*trimcp.__all__, "__version__"}


HEAVY = ("structlog", "pydantic", "jsonschema_rs", "msgspec", "rich", "cattrs", "cryptography", "docstring_parser")


@pytest.mark.parametrize(
    ("program", "needed"),
    [
        ("import trimcp", set()),
        ("import trimcp; trimcp.Server, trimcp.connect, trimcp.Client, trimcp.Limits, trimcp.Context", set()),
        ("import examples.add", {"jsonschema_rs"}),  # the schemas of its tool
    ],
)
def test_importing_brings_no_library_that_is_not_needed(program: str, needed: set[str]) -> None:
    done = run_python("-c", f"{program}\nimport sys\nprint(*[name for name in {HEAVY!r} if name in sys.modules])")
    assert set(done.stdout.split()) == needed


def test_the_version_stands_in_one_place() -> None:
    settings = tomllib.loads((SOURCE.parents[1] / "pyproject.toml").read_text())
    assert "version" in settings["project"]["dynamic"]
    assert settings["tool"]["hatch"]["version"]["path"] == "trimcp/__init__.py"
