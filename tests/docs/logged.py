"""Finds where trimcp logs its events: with which levels, and with which keys."""

import ast
from collections.abc import Iterator
from pathlib import Path

import attrs

import trimcp

LEVELS = {"debug": "debug", "info": "info", "access": "info", "warning": "warning", "error": "error"}
"""The functions of the log."""
ROOT = Path(trimcp.__file__).parent


@attrs.frozen
class Logged:
    """One place where an event is logged."""

    where: str
    constant: str | None
    """The name in `trimcp.observability.events`; None for another expression."""
    levels: tuple[str, ...]
    keys: tuple[str, ...]


def places() -> list[Logged]:
    """Every place, by file and line."""
    return [place for path in sorted(ROOT.rglob("*.py")) for place in _places(path) if path.name != "log.py"]


def _places(path: Path) -> Iterator[Logged]:
    tree = ast.parse(path.read_text())
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    functions = {
        node.attr
        for node in ast.walk(tree)
        if _is_log(node) and isinstance(node, ast.Attribute) and not _has_constant(parents[node])
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        constant = _constant(node.args[0])
        if _is_log(node.func):
            assert isinstance(node.func, ast.Attribute)
            levels: tuple[str, ...] = (LEVELS[node.func.attr],)
        elif constant is not None:  # the level is chosen at run time
            levels = tuple(LEVELS[name] for name in LEVELS if name in functions)
        else:
            continue
        keys = [keyword.arg for keyword in node.keywords if keyword.arg is not None]
        for argument in node.args[1:]:
            if isinstance(argument, ast.Dict):  # as `Report` of the listeners takes them
                keys += [str(key.value) for key in argument.keys if isinstance(key, ast.Constant)]
                levels = ("error" if "exc_info" in keys else "warning",)
        where = f"{path.relative_to(ROOT.parent)}:{node.lineno}"
        yield Logged(where, constant, levels, tuple(key for key in keys if key != "exc_info"))


def _is_log(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "log"
        and node.attr in LEVELS
    )


def _has_constant(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and bool(node.args) and _constant(node.args[0]) is not None


def _constant(node: ast.AST) -> str | None:
    is_event = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id.endswith("events")
    return node.attr if is_event and isinstance(node, ast.Attribute) and node.attr.isupper() else None
