"""The lazy face of `trimcp.types`."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import trimcp.types
from trimcp.types import content

ROOT = Path(trimcp.types.__file__).parent


def type_checking_imports() -> dict[str, str]:
    """Name → module, as type checkers see it."""
    tree = ast.parse((ROOT / "__init__.py").read_text())
    return {
        alias.name: (node.module or "").rpartition(".")[2]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("trimcp.types.")
        for alias in node.names
    }


def test_the_three_lists_hold_the_same_names() -> None:
    homes = dict(trimcp.types._HOME_OF)
    assert homes == type_checking_imports()
    assert sorted(homes) == sorted(trimcp.types.__all__)
    assert len(set(trimcp.types.__all__)) == len(trimcp.types.__all__)


@pytest.mark.parametrize("name", trimcp.types.__all__)
def test_every_name_is_what_its_module_defines(name: str) -> None:
    module = importlib.import_module(f"trimcp.types.{trimcp.types._HOME_OF[name]}")
    assert getattr(trimcp.types, name) is getattr(module, name)


def test_every_class_of_the_package_is_exported_and_has_a_docstring() -> None:
    for info in pkgutil.iter_modules(trimcp.types.__path__):
        module = importlib.import_module(f"trimcp.types.{info.name}")
        assert module.__doc__
        for name, value in vars(module).items():
            if isinstance(value, type) and value.__module__ == module.__name__ and name != "SpecField":
                assert name in trimcp.types.__all__, name
                assert value.__doc__
                assert not value.__doc__.startswith("Method generated")


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        trimcp.types.Nonsense  # noqa: B018
    assert "TextContent" in dir(trimcp.types)


def test_importing_the_package_makes_none_of_the_classes() -> None:
    code = "import sys, trimcp.types; print([m for m in sys.modules if m.startswith('trimcp.types.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parents[1])
    assert done.stdout.strip() == "[]"


def test_classes_are_written_without_their_tag() -> None:
    assert content.TextContent("hi").type == "text"
    assert content.TextContent("hi") == content.TextContent(text="hi", type="text")
