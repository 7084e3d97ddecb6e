"""Shapes of arrays and of mappings: list, set, tuple, dict, and the abstract types over them.

`builder` asks here for each generic alias and each bare container class; the shapes of what is
inside come from the builder.
"""

from __future__ import annotations

import collections
from collections import abc
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from trimcp.errors import UsageError
from trimcp.shapes.plain import plain_items, plain_mapping, plain_tuple
from trimcp.shapes.shape import LOAD_ERRORS, LoadFailed, Shape, located

if TYPE_CHECKING:
    from trimcp.shapes.builder import ShapeBuilder

_ARRAY: Final = frozenset({"array"})
_OBJECT: Final = frozenset({"object"})
_SEQUENCES: Final[dict[Any, type | None]] = {
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
"""What a JSON array becomes; None: the list that JSON gives."""
_SETS: Final = frozenset({set, frozenset, abc.Set, abc.MutableSet})
_MAPPINGS: Final[dict[Any, type | None]] = {
    dict: None,
    abc.Mapping: None,
    abc.MutableMapping: None,
    collections.OrderedDict: collections.OrderedDict,
}


def container_shape(origin: Any, arguments: tuple[Any, ...], where: str, build: ShapeBuilder) -> Shape | None:
    """The shape of a container, bare (`arguments` empty) or of certain items; None for other types."""
    if origin in _SEQUENCES:
        item = arguments[0] if arguments else Any
        return _sequence(origin, build.shape(item, f"{where}, in its items"), output=build.output)
    if origin is tuple:
        return _tuple(arguments, where, build)
    if origin in _MAPPINGS:
        key, value = arguments if arguments else (str, Any)
        return _mapping(origin, key, value, where, build)
    return None


def _sequence(origin: Any, item: Shape, *, output: bool) -> Shape:
    schema: dict[str, Any] = {"type": "array"}
    if item.schema:
        schema["items"] = item.schema
    if origin in _SETS:
        schema["uniqueItems"] = True
    plain = plain_items(item.plain, is_array=_SEQUENCES[origin] is None) if output else None
    return Shape(schema, _list_loader(item.load, _SEQUENCES[origin]), _ARRAY, plain=plain)


def _list_loader(load: Callable[[Any], Any] | None, cls: type | None) -> Callable[[Any], Any] | None:
    if load is None:
        return cls

    def load_items(values: list[Any]) -> Any:
        items: list[Any] = []
        try:
            for value in values:
                items.append(load(value))  # noqa: PERF401 - its length says which one failed
        except LOAD_ERRORS as error:
            raise located(error, len(items)) from None
        return items if cls is None else cls(items)

    return load_items


def _tuple(arguments: tuple[Any, ...], where: str, build: ShapeBuilder) -> Shape:
    if not arguments or arguments[-1] is Ellipsis:
        item = build.shape(arguments[0] if arguments else Any, f"{where}, in its items")
        schema: dict[str, Any] = {"type": "array", "items": item.schema} if item.schema else {"type": "array"}
        plain = plain_items(item.plain, is_array=True)
        return Shape(schema, _list_loader(item.load, tuple), _ARRAY, plain=plain)
    items = [build.shape(argument, f"{where}, in item {index}") for index, argument in enumerate(arguments)]
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

    plain = plain_tuple([item.plain for item in items])
    return Shape(schema, load_tuple if any(loads) else tuple, _ARRAY, plain=plain)


def _mapping(origin: Any, key: Any, value: Any, where: str, build: ShapeBuilder) -> Shape:
    names = build.shape(key, f"{where}, in its keys")
    values = build.shape(value, f"{where}, in its values")
    schema: dict[str, Any] = {"type": "object"}
    load_name = names.load
    if key is int:
        schema["propertyNames"] = {"pattern": "^-?(0|[1-9][0-9]*)$"}
        load_name = int
    elif "string" not in names.kinds:
        raise UsageError(f"{where}: keys of a JSON object are strings; {key!r} cannot be read from one")
    elif names.schema not in ({}, {"type": "string"}):
        schema["propertyNames"] = names.schema
    if values.schema:
        schema["additionalProperties"] = values.schema
    loader = _mapping_loader(load_name, values.load, _MAPPINGS[origin])
    return Shape(schema, loader, _OBJECT, plain=plain_mapping(values.plain))


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
            raise LoadFailed([("several properties have the same name once read", [])])
        return built if cls is None else cls(built)

    return load_entries
