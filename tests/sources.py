"""The source files of trimcp, parsed, for tests that look at the code itself."""

import ast
import functools
import io
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeGuard

import attrs

from tests.programs import ROOT

PACKAGE = ROOT / "trimcp"

Definition = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
"""What may have a docstring."""


def is_string(node: ast.AST) -> TypeGuard[Any]:
    """Whether it is a string, or a part of an f-string."""
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


@attrs.frozen(eq=False)
class SourceFile:
    """One file of trimcp."""

    path: Path
    module: str
    """As it is imported, such as `trimcp.session.reader`."""
    text: str
    tree: ast.Module

    @property
    def package(self) -> str:
        """The part of the tree that it belongs to: `session`, or `errors` for a file at the root."""
        return self.path.relative_to(PACKAGE).parts[0].removesuffix(".py")

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    def definitions(self) -> Iterator[Definition]:
        """The module, its classes and its functions, nested ones too."""
        for node in ast.walk(self.tree):
            if isinstance(node, Definition):
                yield node

    def prose(self) -> Iterator[tuple[int, str]]:
        """The docstrings of all definitions and attributes, and the comments, each with its line."""
        for node in ast.walk(self.tree):
            if (
                isinstance(node, ast.Expr)
                and isinstance(node.value, ast.Constant)
                and isinstance(node.value.value, str)
            ):
                yield node.lineno, node.value.value
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            if token.type == tokenize.COMMENT:
                yield token.start[0], token.string


@functools.cache
def source_files() -> tuple[SourceFile, ...]:
    """All of them, by path."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        text = path.read_text()
        found.append(SourceFile(path, module, text, ast.parse(text)))
    return tuple(found)


def imports_of(source: SourceFile, modules: frozenset[str]) -> set[str]:
    """The modules among `modules` that a file imports anywhere: for types only and in functions too."""
    found: set[str] = set()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{source}:{node.lineno} imports relatively"
            for alias in node.names:
                member = f"{node.module}.{alias.name}"
                found.add(member if member in modules else node.module)
    return (found & modules) - {source.module}


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The strongly connected components of more than one node, by Tarjan's algorithm."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        order[node] = lowest[node] = len(order)
        path.append(node)
        for target in sorted(graph[node]):
            if target not in order:
                visit(target)
                lowest[node] = min(lowest[node], lowest[target])
            elif target in path:
                lowest[node] = min(lowest[node], order[target])
        if lowest[node] == order[node]:
            start = path.index(node)
            component = sorted(path[start:])
            del path[start:]
            if len(component) > 1:
                found.append(component)

    for node in sorted(graph):
        if node not in order:
            visit(node)
    return found
