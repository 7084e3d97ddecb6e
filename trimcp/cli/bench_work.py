"""The work of `trimcp bench`: makes operations of its options, or of a file with a mix.

    --call@3 add a:=1 b:=2          an operation, with the weight 3

    [[operation]]                   the same in a file of --mix
    call = "add"
    arguments = {a = 1, b = 2}
    weight = 3

Arguments are read as `trimcp call` reads them, so the schemas of the tools are needed: they are asked for on the first
session of a run.
"""

from __future__ import annotations

import argparse
import math
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs

from trimcp.bench import quantities
from trimcp.bench.operations import Operation
from trimcp.cli.arguments import arguments_of, did_you_mean, texts_of
from trimcp.errors import UsageError

if TYPE_CHECKING:
    from trimcp.client.client import Client
    from trimcp.types.tools import Tool

KINDS: Final = ("call", "list", "read", "prompt", "ping")
LISTS: Final = {
    "tools": "tools/list",
    "prompts": "prompts/list",
    "resources": "resources/list",
    "templates": "resources/templates/list",
}
PAYLOAD: Final = "{payload}"
"""Stands in an argument for a text of each size of `--payload`."""
MEMBERS: Final = frozenset({*KINDS, "arguments", "weight", "progress", "name"})
_WEIGHTED: Final = re.compile(rf"(--(?:{'|'.join(KINDS)}))(@[\d.]+)")
_LETTERS: Final = "The quick brown fox jumps over the lazy dog. "


@attrs.frozen
class Wanted:
    """One operation as it was asked for."""

    kind: str
    words: tuple[str, ...]
    """The tool, URI or prompt, and its arguments as words."""
    arguments: Mapping[str, Any] | None = None
    """The arguments as they are, in place of words."""
    weight: float = 1.0
    wants_progress: bool = False
    name: str | None = None


def split_weights(words: list[str]) -> list[str]:
    """Return the words of a command line with `--call@3` as `--call @3`, which argparse can read."""
    split: list[str] = []
    for word in words:
        found = _WEIGHTED.fullmatch(word)
        split += found.groups() if found else (word,)
    return split


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what to request."""
    work = parser.add_argument_group("the requests (each may be repeated; --call@3 gives a weight)")
    for kind, nargs, metavar, text in (
        ("call", "+", ("TOOL", "NAME=VALUE"), "call a tool, with arguments as trimcp call takes them"),
        ("read", "+", ("URI", ""), "read a resource"),
        ("prompt", "+", ("PROMPT", "NAME=TEXT"), "get a prompt"),
        ("list", "*", ("KIND", ""), "get a page of tools (the default), prompts, resources or templates"),
        ("ping", "*", ("", ""), "ping; it is the default where no request is given"),
    ):
        work.add_argument(f"--{kind}", action="append", default=[], nargs=nargs, metavar=metavar, help=text)
    work.add_argument("--mix", metavar="FILE", help="a TOML file with an [[operation]] for each request")
    work.add_argument("--payload", metavar="SIZES", help="such as 1k,64k: sizes of the text for {payload} in arguments")
    work.add_argument("--progress", action="store_true", help="ask for progress, and count the reports")


def wanted(options: argparse.Namespace) -> list[Wanted]:
    """Return the operations that the options ask for, in the order of `KINDS`, then those of the file.

    Raises:
        UsageError: an option, or the file, has another form.
    """
    found = [_of_words(kind, words) for kind in KINDS for words in getattr(options, kind)]
    if options.mix is not None:
        found += _read_mix(options.mix)
    if not found and not options.listen and not options.subscribe:
        found = [Wanted("ping", ())]
    if options.progress:
        found = [attrs.evolve(each, wants_progress=True) for each in found]
    if options.payload is not None and not any(map(_has_payload, found)):
        raise UsageError(f"--payload needs its place in an argument: write {PAYLOAD}, as in --call echo text={PAYLOAD}")
    return found


def _of_words(kind: str, words: Sequence[str]) -> Wanted:
    weight = 1.0
    if words and words[0].startswith("@"):
        weight, unit = quantities.split(words[0][1:])
        if unit or not weight:
            raise UsageError(f"--{kind}{words[0]}: a weight is a number above 0")
        words = words[1:]
    most = {"read": 1, "list": 1, "ping": 0}.get(kind, math.inf)
    if not words and kind in ("call", "read", "prompt"):
        raise UsageError(f"--{kind} needs a {'URI' if kind == 'read' else 'name'} behind it")
    if len(words) > most:
        raise UsageError(f"--{kind} takes no {words[int(most)]!r}: put TARGET before the options")
    return Wanted(kind, tuple(words), weight=weight)


def _read_mix(path: str) -> list[Wanted]:
    try:
        with open(path, "rb") as file:
            contents = tomllib.load(file)
    except OSError as exc:
        raise UsageError(f"cannot read {path}: {exc.strerror}") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise UsageError(f"{path} is not TOML: {exc}") from exc
    entries = contents.get("operation")
    if not isinstance(entries, list) or not entries or set(contents) != {"operation"}:
        raise UsageError(f"{path} must have an [[operation]] for each request, and nothing else")
    return [_of_entry(entry, f"{path}, operation {number}") for number, entry in enumerate(entries, 1)]


def _of_entry(entry: Mapping[str, Any], where: str) -> Wanted:
    kinds = [kind for kind in KINDS if kind in entry]
    if len(kinds) != 1:
        raise UsageError(f"{where} must have one of {', '.join(KINDS)}")
    unknown = sorted(entry.keys() - MEMBERS)
    if unknown:
        raise UsageError(f"{where}: there is no {unknown[0]}{did_you_mean(unknown[0], MEMBERS)}")
    kind, weight = kinds[0], entry.get("weight", 1.0)
    if type(weight) not in (int, float) or not 0 < weight < math.inf:
        raise UsageError(f"{where}: weight must be a number above 0")
    subject, arguments, name = "" if kind == "ping" else entry[kind], entry.get("arguments"), entry.get("name")
    if not isinstance(subject, str):
        raise UsageError(f"{where}: {kind} must be a string")
    if not isinstance(arguments, dict | None) or (arguments is not None and kind not in ("call", "prompt")):
        raise UsageError(f"{where}: arguments must be a table, of a call or a prompt")
    if not isinstance(name, str | None):
        raise UsageError(f"{where}: name must be a string")
    words = (subject,) if subject else ()
    return Wanted(kind, words, arguments or {}, float(weight), entry.get("progress") is True, name)


def _has_payload(each: Wanted) -> bool:
    return any(PAYLOAD in word for word in each.words[1:]) or PAYLOAD in repr(each.arguments)


# --- operations -----------------------------------------------------------------------


async def operations_of(client: Client, wanted: Sequence[Wanted], payload: str | None) -> list[Operation]:
    """Make the operations for a server.

    Raises:
        UsageError: the server has no such tool, or arguments do not fit its schema.
    """
    tools: dict[str, Tool] = {}
    if any(each.kind == "call" for each in wanted):
        if client.server_capabilities.tools is None:
            raise UsageError("the server has no tools: trimcp list shows its features")
        tools = {tool.name: tool for tool in await client.list_tools()}
    sizes = [] if payload is None else [(text.strip(), quantities.size(text)) for text in payload.split(",")]
    made = [operation for each in wanted for operation in _made(each, tools, sizes)]
    seen = Counter[str]()
    for at, operation in enumerate(made):
        seen[operation.name] += 1
        if seen[operation.name] > 1:
            made[at] = attrs.evolve(operation, name=f"{operation.name} #{seen[operation.name]}")
    return made


def _made(each: Wanted, tools: Mapping[str, Tool], sizes: Sequence[tuple[str, int]]) -> Iterator[Operation]:
    method, params, name = _request(each, tools)
    operation = Operation(each.name or name, method, params, each.weight, each.wants_progress)
    if not sizes or not _has_payload(each):
        yield operation
        return
    for size, number in sizes:
        text = (_LETTERS * (number // len(_LETTERS) + 1))[:number]
        filled = _filled(params, text)
        yield attrs.evolve(operation, name=f"{operation.name} {size}", params=filled, weight=each.weight / len(sizes))


def _request(each: Wanted, tools: Mapping[str, Tool]) -> tuple[str, dict[str, Any] | None, str]:
    """Return method, params and name."""
    if each.kind == "ping":
        return "ping", None, "ping"
    if each.kind == "list":
        kind = each.words[0] if each.words else "tools"
        if kind not in LISTS:
            raise UsageError(f"there is no list of {kind}{did_you_mean(kind, LISTS)}")
        return LISTS[kind], None, f"list {kind}"
    subject, *words = each.words
    if each.kind == "read":
        return "resources/read", {"uri": subject}, f"read {subject}"
    if each.kind == "prompt":
        texts = texts_of(words) if each.arguments is None else each.arguments
        return "prompts/get", {"name": subject, "arguments": dict(texts)}, f"prompt {subject}"
    if subject not in tools:
        raise UsageError(f"there is no tool {subject}{did_you_mean(subject, tools)}")
    arguments = each.arguments
    if arguments is None:
        arguments = arguments_of(words, tools[subject].input_schema)
    return "tools/call", {"name": subject, "arguments": dict(arguments)}, subject


def _filled(value: Any, text: str) -> Any:
    if isinstance(value, str):
        return value.replace(PAYLOAD, text)
    if isinstance(value, Mapping):
        return {name: _filled(each, text) for name, each in value.items()}
    return [_filled(each, text) for each in value] if isinstance(value, list) else value
