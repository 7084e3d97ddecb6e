"""Tables of the documentation that are made from the code, so that they cannot say anything else.

On a page a table stands between `<!-- table NAME -->` and `<!-- end of table -->`. A test checks
that each is what the code says; `python -m tests.docs.tables` writes them anew.
"""

import ast
import inspect
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import attrs

import trimcp.errors
import trimcp.protocol.cancelling
import trimcp.session.limits
import trimcp.types.jsonrpc
import trimcp.types.revisions
from tests.docs.pages import PAGES
from trimcp.protocol.cancelling import ANSWERS, CancelReason
from trimcp.session.limits import Limits
from trimcp.types.methods import ROWS
from trimcp.types.revisions import REVISIONS, Revision

BEGIN, END = "<!-- table {} -->\n", "<!-- end of table -->\n"

OWN_CODES = range(-31999, -31000)
"""Outside of what JSON-RPC and MCP reserve."""


def rendered(heads: list[str], rows: Iterator[list[str]] | list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def described(body: list[ast.stmt]) -> dict[str, str]:
    """The names that are assigned in a body, each with the string that follows it, on one line."""
    found: dict[str, str] = {}
    name: str | None = None
    for statement in body:
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            name = statement.target.id
        elif isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name = statement.targets[0].id
        elif name is not None and isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            found[name] = " ".join(str(statement.value.value).split())
        else:
            name = None
    return found


def body_of(module: ModuleType, cls: str | None = None) -> list[ast.stmt]:
    tree = ast.parse(inspect.getsource(module))
    if cls is None:
        return tree.body
    return next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == cls)


def amount(name: str, value: Any) -> str:
    if name.endswith("_bytes"):
        return f"{value // 2**20} MiB" if value % 2**20 == 0 else f"{value // 2**10} KiB"
    return f"{value:g}"


def limits() -> str:
    """Every field of `Limits`."""
    words = described(body_of(trimcp.session.limits, "Limits"))
    return rendered(
        ["limit", "default", "what it bounds, and what happens there"],
        [[f"`{field.name}`", amount(field.name, field.default), words[field.name]] for field in attrs.fields(Limits)],
    )


def exceptions() -> str:
    """Every exception, below the one that it is a kind of."""

    def below(cls: type[Exception], depth: int) -> Iterator[list[str]]:
        first = (inspect.getdoc(cls) or "").split("\n\n")[0]
        yield [f"{'&emsp;' * depth}`{cls.__name__}`", " ".join(first.split())]
        for child in cls.__subclasses__():
            if child.__module__ == cls.__module__:
                yield from below(child, depth + 1)

    return rendered(["exception", "meaning"], below(trimcp.errors.TrimcpError, 0))


def codes() -> str:
    """Every code of an error of our own."""
    words = described(body_of(trimcp.types.jsonrpc))
    own = {name: code for name, code in vars(trimcp.types.jsonrpc).items() if name in words and code in OWN_CODES}
    return rendered(["code", "name", "meaning"], [[str(code), f"`{name}`", words[name]] for name, code in own.items()])


def reasons() -> str:
    """Every reason of a cancel, and what then goes on the wire."""
    words = described(body_of(trimcp.protocol.cancelling, "CancelReason"))
    answers = {reason: "nothing more" if (said := ANSWERS[reason]) is None else f"{said[0]}" for reason in CancelReason}
    answers[CancelReason.INPUT_REQUIRED] = "the `InputRequiredResult`"
    return rendered(
        ["`ctx.cancel_reason`", "why", "the request is answered with"],
        [[f"`{reason.name}`", words[reason.name], answers[reason]] for reason in CancelReason],
    )


def revisions() -> str:
    """What differs between the revisions beyond methods and fields: `Revision`, turned on its side."""
    words = described(body_of(trimcp.types.revisions, "Revision"))

    def cell(value: Any) -> str:
        if isinstance(value, bool):
            return "yes" if value else "no"
        return getattr(value, "value", str(value))

    names = [field.name for field in attrs.fields(Revision) if field.name not in ("version", "order")]
    return rendered(
        ["", *(revision.version for revision in REVISIONS)],
        [
            [words.get(name, f"Its {name}"), *(cell(getattr(revision, name)) for revision in REVISIONS)]
            for name in names
        ],
    )


def methods() -> str:
    """Who may send which method in which revision."""
    who = {"client": "C", "server": "S", "both": "C S"}
    names = dict.fromkeys(row.name for row in ROWS)
    return rendered(
        ["method", *(revision.version for revision in REVISIONS)],
        [
            [
                f"`{name}`",
                *(
                    "".join(who[row.sender] for row in ROWS if row.name == name and row.exists_in(revision))
                    for revision in REVISIONS
                ),
            ]
            for name in names
        ],
    )


TABLES: dict[str, Callable[[], str]] = {
    table.__name__: table for table in (limits, exceptions, codes, reasons, revisions, methods)
}


def filled(page: str) -> str:
    """The page with its tables as they should be."""
    for name, table in TABLES.items():
        begin = BEGIN.format(name)
        before, found, after = page.partition(begin)
        if found:
            page = before + begin + table() + END + after.partition(END)[2]
    return page


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(filled(path.read_text()))
