"""Schemas of arrays and of mappings: list, set, tuple, dict, and the abstract types over them.

`builder` calls `container_schema` for each generic alias and each bare container class, with the
function that reads the hints inside.
"""

from __future__ import annotations

import collections
from collections import abc
from collections.abc import Callable
from typing import Any, Final

from trimcp.errors import UsageError
from trimcp.schema.dump import items_to_builtins, mapping_to_builtins, tuple_to_builtins
from trimcp.schema.type_schema import LOAD_ERRORS, LoadFailed, TypeSchema, located

_ARRAY: Final = frozenset({"array"})
_OBJECT: Final = frozenset({"object"})
SEQUENCES: Final[dict[Any, type | None]] = {
    list: None,
    collections.deque: collections.deque,
    abc.Sequence: None,
    abc.MutableSequence: None,
    abc.Collection: None,
    abc.Iterable: None,
    set: set,
    frozenset: frozenset,
    abc.Set: frozenset,
    abc.MutableSet: set,
}
"""The class made of a JSON array; None: the parsed list is used as it is."""
_SETS: Final = frozenset({set, frozenset, abc.Set, abc.MutableSet})
Read = Callable[[Any, str], TypeSchema]
"""Reads a type hint; the text names its owner, for errors."""

_MAPPINGS: Final[dict[Any, type | None]] = {
    dict: None,
    abc.Mapping: None,
    abc.MutableMapping: None,
    collections.OrderedDict: collections.OrderedDict,
}


def container_schema(
    origin: Any, arguments: tuple[Any, ...], where: str, read: Read, *, output: bool
) -> TypeSchema | None:
    """Return the schema of a container, bare (`arguments` empty) or with item types; None for other types."""
    if origin in SEQUENCES:
        item = arguments[0] if arguments else Any
        return _sequence(origin, read(item, f"{where}, in its items"), output=output)
    if origin is tuple:
        return _tuple(arguments, where, read)
    if origin in _MAPPINGS:
        key, value = arguments if arguments else (str, Any)
        return _mapping(origin, key, value, where, read)
    return None


def _sequence(origin: Any, item: TypeSchema, *, output: bool) -> TypeSchema:
    schema: dict[str, Any] = {"type": "array"}
    if item.schema:
        schema["items"] = item.schema
    if origin in _SETS:
        schema["uniqueItems"] = True
    plain = items_to_builtins(item.to_builtins, is_array=SEQUENCES[origin] is None) if output else None
    return TypeSchema(schema, _list_loader(item.load, SEQUENCES[origin]), _ARRAY, to_builtins=plain)


def _list_loader(load: Callable[[Any], Any] | None, cls: type | None) -> Callable[[Any], Any] | None:
    if load is None:
        return cls

    def load_items(values: list[Any]) -> Any:
        items: list[Any] = []
        try:
            for value in values:
                items.append(load(value))  # noqa: PERF401 - the length is the index of the failure
        except LOAD_ERRORS as error:
            raise located(error, len(items)) from None
        return items if cls is None else cls(items)

    return load_items


def _tuple(arguments: tuple[Any, ...], where: str, read: Read) -> TypeSchema:
    if not arguments or arguments[-1] is Ellipsis:
        item = read(arguments[0] if arguments else Any, f"{where}, in its items")
        schema: dict[str, Any] = {"type": "array", "items": item.schema} if item.schema else {"type": "array"}
        plain = items_to_builtins(item.to_builtins, is_array=True)
        return TypeSchema(schema, _list_loader(item.load, tuple), _ARRAY, to_builtins=plain)
    items = [read(argument, f"{where}, in item {index}") for index, argument in enumerate(arguments)]
    loads = [item.load for item in items]
    schema = {"type": "array", "minItems": len(items), "maxItems": len(items)}
    if items:
        schema["prefixItems"] = [item.schema for item in items]

    def load_tuple(values: list[Any]) -> tuple[Any, ...]:
        built = []
        for index, (load, value) in enumerate(zip(loads, values, strict=True)):
            try:
                built.append(value if load is None else load(value))
            except LOAD_ERRORS as error:
                raise located(error, index) from None
        return tuple(built)

    plain = tuple_to_builtins([item.to_builtins for item in items])
    return TypeSchema(schema, load_tuple if any(loads) else tuple, _ARRAY, to_builtins=plain)


def _mapping(origin: Any, key: Any, value: Any, where: str, read: Read) -> TypeSchema:
    names = read(key, f"{where}, in its keys")
    values = read(value, f"{where}, in its values")
    schema: dict[str, Any] = {"type": "object"}
    load_name = names.load
    if key is int:
        schema["propertyNames"] = {"pattern": "^-?(0|[1-9][0-9]*)$"}
        load_name = int
    elif "string" not in names.json_types:
        raise UsageError(
            f"{where}: the keys of a JSON object are strings, and {key!r} cannot be read from one: use str or int keys"
        )
    elif names.schema not in ({}, {"type": "string"}):
        schema["propertyNames"] = names.schema
    if values.schema:
        schema["additionalProperties"] = values.schema
    loader = _mapping_loader(load_name, values.load, _MAPPINGS[origin])
    return TypeSchema(schema, loader, _OBJECT, to_builtins=mapping_to_builtins(values.to_builtins))


def _mapping_loader(
    load_name: Callable[[Any], Any] | None, load_value: Callable[[Any], Any] | None, cls: type | None
) -> Callable[[Any], Any] | None:
    if load_name is None and load_value is None:
        return cls

    def load_entries(entries: dict[str, Any]) -> Any:
        built = {}
        name = ""
        try:
            for name, value in entries.items():
                key = name if load_name is None else load_name(name)
                built[key] = value if load_value is None else load_value(value)
        except LOAD_ERRORS as error:
            raise located(error, name) from None
        if len(built) != len(entries):
            raise LoadFailed([("several properties have the same key after conversion", [])])
        return built if cls is None else cls(built)

    return load_entries
