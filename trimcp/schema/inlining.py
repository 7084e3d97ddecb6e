"""Schemas as other programs take them: definitions in the place of their references, standard formats alone.

Many hosts and frameworks drop `$defs`, and then know nothing of the types that stood there. So a type
stands under `$defs` only if it contains itself, or if the schema would grow too large without. And
formats that JSON Schema does not know make validators warn. `definitions` calls these functions.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any, Final

from trimcp.schema.bounds import LISTS, MAPS, SINGLES, subschemas
from trimcp.schema.exact_json import depth_of, encode

POINTER: Final = "#/$defs/"
LARGEST: Final = 64 * 1024
"""Bytes up to which a schema may grow by inlining: a chain of types that each use the next one twice
doubles with each type."""
DEEPEST: Final = 48
"""The nesting up to which a schema may grow by inlining; clients may refuse deeper ones."""

_ANNOTATIONS: Final = frozenset({"title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"})
_FORMATS: Final = frozenset(
    {"date-time", "date", "time", "duration", "email", "idn-email", "hostname", "idn-hostname", "ipv4", "ipv6"}
    | {"uri", "uri-reference", "iri", "iri-reference", "uri-template", "uuid", "json-pointer", "regex"}
    | {"relative-json-pointer"}
)
"""The formats of JSON Schema 2020-12."""


def with_subschemas(schema: dict[str, Any], change: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """Return a copy whose direct subschemas are changed; data (`const`, `enum`, `default`) holds none."""
    made = dict(schema)
    for keyword in MAPS:
        if isinstance(inner := made.get(keyword), dict):
            made[keyword] = {name: change(child) if isinstance(child, dict) else child for name, child in inner.items()}
    for keyword in LISTS:
        if isinstance(inner := made.get(keyword), list):
            made[keyword] = [change(child) if isinstance(child, dict) else child for child in inner]
    for keyword in SINGLES:
        if isinstance(inner := made.get(keyword), dict):
            made[keyword] = change(inner)
    return made


def standardised(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema of another library without what JSON Schema does not know, or JSON cannot write."""
    made = with_subschemas(schema, standardised)
    named = made.get("format")
    if isinstance(named, str) and named not in _FORMATS:
        del made["format"]
        if named.startswith("uuid"):  # pydantic names the version
            made["format"] = "uuid"
    made.pop("discriminator", None)  # of OpenAPI; it points to definitions
    if isinstance(default := made.get("default"), float) and not math.isfinite(default):
        del made["default"]
    return made


def inlined(schema: dict[str, Any], definitions: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the whole schema: definitions in the place of their references, recursive ones under `$defs`.

    Definitions all stay under `$defs` where the schema would become too large or too deep.
    """
    if not definitions:
        return schema
    used = {name: [inner for inner in _references(part) if inner in definitions] for name, part in definitions.items()}
    recursive = {name for name in used if name in _reachable(name, used)}

    @functools.cache
    def size(name: str) -> int:
        return len(encode(definitions[name])) + sum(size(inner) for inner in used[name] if inner not in recursive)

    @functools.cache
    def expanded(name: str) -> dict[str, Any]:
        return expand(definitions[name])

    def expand(part: dict[str, Any]) -> dict[str, Any]:
        made = with_subschemas(part, expand)
        name = _referred(part)
        return made if name not in definitions or name in recursive else _merged(expanded(name), made)

    roots = [*_references(schema), *recursive]
    if sum(size(name) for name in roots if name in definitions) <= LARGEST:
        whole = expand(schema)
        if recursive:
            whole["$defs"] = {name: expand(definitions[name]) for name in definitions if name in recursive}
        if depth_of(whole) <= DEEPEST:
            return whole
    return {**schema, "$defs": definitions}


def _merged(target: dict[str, Any], beside: dict[str, Any]) -> dict[str, Any]:
    """Put a definition in the place of a reference, which may have keywords beside it."""
    beside = {key: value for key, value in beside.items() if key != "$ref"}
    if any(key in target and key not in _ANNOTATIONS and target[key] != value for key, value in beside.items()):
        return {"allOf": [target], **beside}  # both count
    return {**target, **beside}


def _referred(schema: dict[str, Any]) -> str:
    reference = schema.get("$ref")
    return reference.removeprefix(POINTER) if isinstance(reference, str) and reference.startswith(POINTER) else ""


def _references(schema: dict[str, Any]) -> Iterator[str]:
    """Yield the names that a schema refers to, each as often as it does."""
    todo = [schema]
    while todo:
        part = todo.pop()
        if name := _referred(part):
            yield name
        todo += subschemas(part)


def _reachable(name: str, used: dict[str, list[str]]) -> set[str]:
    reached: set[str] = set()
    todo = list(used[name])
    while todo:
        inner = todo.pop()
        if inner not in reached:
            reached.add(inner)
            todo += used[inner]
    return reached
