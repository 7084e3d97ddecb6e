"""Makes tables of the documentation from the code.

On a page a table stands between `<!-- table NAME -->` and `<!-- end of table -->`. A test compares
them with the code; `python -m tests.docs.tables` writes them again.
"""

import ast
import inspect
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import attrs

import trimcp.errors
import trimcp.limits
import trimcp.observability.events
import trimcp.protocol.cancel_reason
import trimcp.types.jsonrpc
import trimcp.types.revisions
from tests.docs import logged
from tests.docs.pages import PAGES
from trimcp.limits import Limits
from trimcp.observability.instruments import Instruments
from trimcp.observability.log import LEVELS
from trimcp.protocol.cancel_reason import ANSWERS, CancelReason
from trimcp.server.metrics import ServerCollector
from trimcp.types.methods import ROWS
from trimcp.types.revisions import REVISIONS, Revision

BEGIN, END = "<!-- table {} -->\n", "<!-- end of table -->\n"

OWN_CODES = range(-31999, -31000)
"""Codes outside the range that JSON-RPC and MCP reserve."""


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
    return "none" if value in ((), None) else f"{value:g}"


def limits() -> str:
    """Every field of `Limits`."""
    words = described(body_of(trimcp.limits, "Limits"))
    return rendered(
        ["limit", "default", "what it bounds, and what happens there"],
        [[f"`{field.name}`", amount(field.name, field.default), words[field.name]] for field in attrs.fields(Limits)],
    )


def exceptions() -> str:
    """Every exception, below its base class."""

    def below(cls: type[Exception], depth: int) -> Iterator[list[str]]:
        first = (inspect.getdoc(cls) or "").split("\n\n")[0]
        yield [f"{'&emsp;' * depth}`{cls.__name__}`", " ".join(first.split())]
        for child in cls.__subclasses__():
            if child.__module__ == cls.__module__:
                yield from below(child, depth + 1)

    return rendered(["exception", "meaning"], below(trimcp.errors.TrimcpError, 0))


def codes() -> str:
    """Every error code of trimcp."""
    words = described(body_of(trimcp.types.jsonrpc))
    own = {name: code for name, code in vars(trimcp.types.jsonrpc).items() if name in words and code in OWN_CODES}
    return rendered(["code", "name", "meaning"], [[str(code), f"`{name}`", words[name]] for name, code in own.items()])


def reasons() -> str:
    """Every reason of a cancel, and the answer to the request."""
    words = described(body_of(trimcp.protocol.cancel_reason, "CancelReason"))
    answers = {reason: "nothing more" if (said := ANSWERS[reason]) is None else f"{said[0]}" for reason in CancelReason}
    answers[CancelReason.INPUT_REQUIRED] = "the `InputRequiredResult`"
    return rendered(
        ["`ctx.cancel_reason`", "why", "the request is answered with"],
        [[f"`{reason.name}`", words[reason.name], answers[reason]] for reason in CancelReason],
    )


def revisions() -> str:
    """The differences of the revisions beside methods and fields: the fields of `Revision` as rows."""
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
    """The senders of each method in each revision."""
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


def events() -> str:
    """Every event of the log."""
    words = described(body_of(trimcp.observability.events))
    found = logged.places()
    rows = []
    for constant, event in sorted(vars(trimcp.observability.events).items(), key=lambda item: str(item[1])):
        if constant.isupper():
            places = [place for place in found if place.constant == constant]
            levels = [level for level in LEVELS if any(level in place.levels for place in places)]
            keys = dict.fromkeys(f"`{key}`" for place in places for key in place.keys)
            rows.append([f"`{event}`", ", ".join(levels), words[constant], ", ".join(keys)])
    return rendered(["event", "level", "when", "keys"], rows)


class _Idle:
    """A server of which the metrics are asked before it runs."""

    def tree(self) -> tuple[()]:
        return ()


def metrics() -> str:
    """Every metric of the page for Prometheus."""
    families = list(ServerCollector(Instruments().lasting_meter(), _Idle()).collect())
    return rendered(
        ["metric", "kind", "labels", "meaning"],
        [
            [
                f"`{family.name}{'_total' if family.type == 'counter' else ''}`",
                family.type,
                ", ".join(f"`{label}`" for label in getattr(family, "_labelnames", ())),
                family.documentation,
            ]
            for family in families
        ],
    )


TABLES: dict[str, Callable[[], str]] = {
    table.__name__: table for table in (limits, exceptions, codes, reasons, revisions, methods, events, metrics)
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
