"""How much a JSON Schema may ask of the machine, and which references it may make.

A schema that comes from a peer can be small on the wire and still keep a validator busy for
hours, by references that double at each step. This file reads a schema once, before anything
compiles it, and refuses what is too big, too deep, too wide when its references are followed,
or in need of the network (`basic/index`, "JSON Schema Usage"). It knows the keywords that hold
subschemas and nothing about validation itself. `validation.compile_schema` calls it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote, urldefrag, urljoin

import attrs
import orjson

from trimcp.errors import UsageError

_MAPS: Final = ("$defs", "definitions", "properties", "patternProperties", "dependentSchemas", "dependencies")
_LISTS: Final = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
_SINGLES: Final = (
    "items",
    "additionalItems",
    "additionalProperties",
    "contains",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contentSchema",
    "not",
    "if",
    "then",
    "else",
)
_DEFINITIONS: Final = frozenset({"$defs", "definitions"})
"""Subschemas that cost nothing until something refers to them."""
_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_BUILT_IN: Final = ("http://json-schema.org/", "https://json-schema.org/")
"""The meta-schemas, which validators carry with them."""


class SchemaRefused(UsageError):
    """A JSON Schema cannot be used: it is invalid, too costly, external, or of an unknown dialect."""


class UnknownDialect(SchemaRefused):
    """A JSON Schema is of a dialect that is not supported, so what it means is not known."""


@attrs.frozen
class SchemaLimits:
    """The bounds on one schema; what goes beyond them raises `SchemaRefused`."""

    size: int = 256 * 1024
    """Bytes of the serialised schema."""
    depth: int = 64
    """Nested objects and arrays."""
    subschemas: int = 10_000
    expanded: int = 1_000_000
    """Subschemas once every reference is replaced by what it names (a recursive one counts once).
    A validator visits at most so many for one place in the value: some 15 ms."""


@attrs.define
class _Resources:
    """What references can lead to: the document, its embedded `$id`s, and the anchors of each."""

    root: Any
    by_uri: dict[str, Any] = attrs.Factory(dict)
    base_of: dict[int, str] = attrs.Factory(dict)


def check_bounds(schema: Any, limits: SchemaLimits) -> None:
    """Refuse a schema that is no schema, or that breaks one of the limits.

    Raises:
        SchemaRefused: with the reason.
    """
    if not isinstance(schema, dict | bool):
        raise SchemaRefused(f"a JSON Schema is an object or a boolean, not {type(schema).__name__}")
    try:
        size = len(orjson.dumps(schema))
    except TypeError as error:
        raise SchemaRefused(f"the schema is not JSON: {error}") from None
    if size > limits.size:
        raise SchemaRefused(f"the schema has {size} bytes; the limit is {limits.size}")
    if isinstance(schema, bool):
        return
    _check_depth(schema, limits.depth)
    try:
        resources = _index(schema, limits.subschemas)
        _check_expansion(schema, resources, limits.expanded)
    except ValueError as error:  # of urllib
        raise SchemaRefused(f"the schema has an identifier or a reference that is no URI: {error}") from None


def _check_depth(schema: Any, most: int) -> None:
    level = [schema]
    for _ in range(most):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise SchemaRefused(f"the schema is nested more than {most} levels deep")


def _children(schema: dict[str, Any], *, with_definitions: bool) -> Iterator[Any]:
    """The subschemas one step below; data such as `const`, `enum`, `default` holds none."""
    for keyword in _MAPS:
        inner = schema.get(keyword)
        if isinstance(inner, dict) and (with_definitions or keyword not in _DEFINITIONS):
            yield from (child for child in inner.values() if isinstance(child, dict))
    for keyword in _LISTS:
        inner = schema.get(keyword)
        if isinstance(inner, list):
            yield from (child for child in inner if isinstance(child, dict))
    for keyword in _SINGLES:
        inner = schema.get(keyword)
        if isinstance(inner, dict):
            yield inner


def _index(schema: dict[str, Any], most: int) -> _Resources:
    resources = _Resources(root=schema)
    resources.by_uri[""] = schema
    todo: list[tuple[dict[str, Any], str]] = [(schema, "")]
    count = 0
    while todo:
        node, base = todo.pop()
        count += 1
        if count > most:
            raise SchemaRefused(f"the schema has more than {most} subschemas")
        identifier = node.get("$id", node.get("id"))
        if isinstance(identifier, str) and not identifier.startswith("#"):
            base = urldefrag(urljoin(base, identifier)).url
            resources.by_uri.setdefault(base, node)
        for keyword in ("$anchor", "$dynamicAnchor"):
            if isinstance(anchor := node.get(keyword), str):
                resources.by_uri.setdefault(f"{base}#{anchor}", node)
        if isinstance(identifier, str) and identifier.startswith("#"):  # an anchor, in drafts 4 to 7
            resources.by_uri.setdefault(f"{base}{identifier}", node)
        resources.base_of[id(node)] = base
        todo.extend((child, base) for child in _children(node, with_definitions=True))
    return resources


def _referred(schema: dict[str, Any], resources: _Resources) -> Iterator[Any]:
    for keyword in _REFERENCES:
        reference = schema.get(keyword)
        if not isinstance(reference, str):
            continue
        target = urljoin(resources.base_of.get(id(schema), ""), reference)
        if target.startswith(_BUILT_IN):
            continue
        yield _resolve(target, reference, resources)


def _resolve(target: str, reference: str, resources: _Resources) -> Any:
    uri, fragment = urldefrag(target)
    resource = resources.by_uri.get(uri)
    if resource is None:
        raise SchemaRefused(
            f"the schema refers to {reference!r}, outside itself; nothing is fetched: put it under $defs"
        )
    if fragment and not fragment.startswith("/"):
        resource = resources.by_uri.get(f"{uri}#{fragment}")
    elif fragment:
        resource = _follow(resource, fragment)
    if resource is None:
        raise SchemaRefused(f"the schema refers to {reference!r}, which it does not contain")
    return resource


def _follow(resource: Any, pointer: str) -> Any:
    for token in unquote(pointer).split("/")[1:]:
        token = token.replace("~1", "/").replace("~0", "~")
        if isinstance(resource, dict):
            resource = resource.get(token)
        elif isinstance(resource, list) and token.isdecimal() and int(token) < len(resource):
            resource = resource[int(token)]
        else:
            return None
    return resource


def _check_expansion(schema: dict[str, Any], resources: _Resources, most: int) -> None:
    """Count the subschemas below each node, references followed, each node once.

    Walks without recursion, since references may chain longer than Python's stack. A node that
    is met again while it is being counted is recursive and adds 1: validators remember what a
    recursive reference said about a place in the value.
    """
    totals: dict[int, int] = {}
    walk: list[tuple[Any, list[Any], int]] = [(schema, _below(schema, resources), 1)]
    counting = {id(schema)}
    while walk:
        node, below, total = walk.pop()
        if total > most:
            raise SchemaRefused(f"the schema's references expand to more than {most} subschemas")
        if not below:
            totals[id(node)] = total
            counting.discard(id(node))
            if walk:
                outer, rest, sum_so_far = walk.pop()
                walk.append((outer, rest, sum_so_far + total))
            continue
        child = below.pop()
        if id(child) in counting:
            walk.append((node, below, total + 1))
        elif id(child) in totals:
            walk.append((node, below, total + totals[id(child)]))
        else:
            walk.append((node, below, total))
            walk.append((child, _below(child, resources), 1))
            counting.add(id(child))


def _below(schema: Any, resources: _Resources) -> list[Any]:
    if not isinstance(schema, dict):
        return []
    return [*_children(schema, with_definitions=False), *_referred(schema, resources)]
