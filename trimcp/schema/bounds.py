"""The bounds on a JSON Schema: its size, depth and cost, and the references that it may make.

A schema from a peer can be small on the wire and keep a validator busy for hours, by references
that double at each step. `check_bounds` reads a schema once, before it is compiled, and refuses one
that is too big, too deep, too large once its references are followed, or in need of the network
(`basic/index`, "JSON Schema Usage"). It knows the keywords that hold subschemas, and nothing about
validation. `validation.compile_schema` calls it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote, urldefrag, urljoin

import attrs

from trimcp.errors import UsageError
from trimcp.schema.exact_json import depth_of, encode
from trimcp.values import FrozenValue

# The keywords whose values hold subschemas: by name, in a list, or one.
MAPS: Final = ("$defs", "definitions", "properties", "patternProperties", "dependentSchemas", "dependencies")
LISTS: Final = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
SINGLES: Final = (
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
"""Keywords of subschemas that cost nothing until a reference uses them."""
_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_BUILT_IN: Final = ("http://json-schema.org/", "https://json-schema.org/")
"""Prefixes of the meta-schemas, which validators bring along."""


class SchemaRefused(UsageError):
    """A JSON Schema cannot be used: it is invalid, too costly, external, or of an unknown dialect."""


class UnknownDialect(SchemaRefused):
    """A JSON Schema is of a dialect that is not supported, so its meaning is unknown."""


@attrs.frozen(eq=False, repr=False)
class SchemaLimits(FrozenValue):
    """Holds the bounds on one schema; beyond them, `SchemaRefused` is raised."""

    size: int = 256 * 1024
    """Bytes of the serialised schema."""
    depth: int = 64
    """Nested objects and arrays."""
    subschemas: int = 10_000
    expanded: int = 1_000_000
    """Subschemas after every reference is replaced by its target (a recursive one counts once).
    A validator checks at most this many for one place in the value: about 15 ms."""


@attrs.define(eq=False, repr=False)
class _Resources:
    """Holds the targets of references: the document, its embedded `$id`s, and their anchors."""

    root: Any
    by_uri: dict[str, Any] = attrs.Factory(dict)
    base_of: dict[int, str] = attrs.Factory(dict)


def check_bounds(schema: Any, limits: SchemaLimits) -> None:
    """Check that a schema is an object or a boolean within the limits.

    Raises:
        SchemaRefused: it is not; the message has the reason.
    """
    if not isinstance(schema, dict | bool):
        raise SchemaRefused(f"a JSON Schema must be an object or a boolean, not {type(schema).__name__}")
    try:
        size = len(encode(schema))
    except TypeError as error:
        raise SchemaRefused(f"the schema is not JSON: {error}") from None
    if size > limits.size:
        raise SchemaRefused(f"the schema is too large: {size} bytes, the limit is {limits.size}")
    if isinstance(schema, bool):
        return
    if depth_of(schema) > limits.depth:
        raise SchemaRefused(f"the schema is nested more than {limits.depth} levels deep")
    try:
        resources = _index(schema, limits.subschemas)
        _check_expansion(schema, resources, limits.expanded)
    except ValueError as error:  # of urllib
        raise SchemaRefused(f"the schema has an identifier or a reference that is not a URI: {error}") from None


def subschemas(schema: dict[str, Any], *, with_definitions: bool = True) -> Iterator[dict[str, Any]]:
    """Yield the subschemas one step below; data (`const`, `enum`, `default`) holds none."""
    for keyword in MAPS:
        inner = schema.get(keyword)
        if isinstance(inner, dict) and (with_definitions or keyword not in _DEFINITIONS):
            yield from (child for child in inner.values() if isinstance(child, dict))
    for keyword in LISTS:
        inner = schema.get(keyword)
        if isinstance(inner, list):
            yield from (child for child in inner if isinstance(child, dict))
    for keyword in SINGLES:
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
        todo.extend((child, base) for child in subschemas(node))
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
            f"the schema refers to {reference!r}, outside itself, and nothing is fetched: put it under $defs"
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
    """Count the subschemas below each node, with references followed, each node once.

    The walk is not recursive, since a chain of references may be longer than Python's stack. A node
    that is met again while it is counted is recursive and adds 1: validators remember the result of
    a recursive reference for a place in the value.
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
    return [*subschemas(schema, with_definitions=False), *_referred(schema, resources)]
