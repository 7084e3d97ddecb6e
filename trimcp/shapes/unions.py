"""Shapes of unions: which alternative a JSON value is, and how it is built.

The alternatives are tried in the order of the annotation, as far as the type of the JSON value
leaves several: the first whose schema the value fits and whose Python value can be built. Numbers
go to the alternative that has their own form first (`int | float` gives 1 as int and 1.0 as float).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from trimcp.shapes.plain import plain_union
from trimcp.shapes.scalars import as_float, as_int
from trimcp.shapes.shape import LOAD_ERRORS, Shape, located

if TYPE_CHECKING:
    from trimcp.shapes.builder import ShapeBuilder

_KINDS_OF: Final[dict[type, frozenset[str]]] = {
    type(None): frozenset({"null"}),
    bool: frozenset({"boolean"}),
    int: frozenset({"integer", "number"}),
    float: frozenset({"integer", "number"}),
    str: frozenset({"string"}),
    list: frozenset({"array"}),
    dict: frozenset({"object"}),
}
"""For each Python type that JSON gives, the kinds that may take it."""


def union_shape(members: tuple[Any, ...], where: str, build: ShapeBuilder) -> Shape:
    """The shape of a union of `members`."""
    shapes = [build.shape(member, where) for member in members]
    table: dict[type, Callable[[Any], Any] | None] = {}
    if not build.output and any(shape.load is not None for shape in shapes):
        for cls, kinds in _KINDS_OF.items():
            candidates = [shape for shape in shapes if not shape.kinds.isdisjoint(kinds)]
            if cls in (int, float):
                candidates.sort(key=lambda shape: ("number" in shape.kinds) is (cls is int))
            table[cls] = _choose(candidates, build)

    return Shape(
        _schema([shape.schema for shape in shapes]),
        _load_by_kind(table),
        frozenset().union(*(shape.kinds for shape in shapes)),
        opaque=any(shape.opaque for shape in shapes),
        plain=plain_union([shape.plain for shape in shapes]),
    )


def _load_by_kind(table: dict[type, Callable[[Any], Any] | None]) -> Callable[[Any], Any] | None:
    loads = [load for load in table.values() if load is not None]
    if not loads:
        return None
    for number, other in ((as_int, float), (as_float, int)):
        if table[other] is number and all(load is number for load in loads):
            return number  # It leaves values of all other types as they are.

    def load(value: Any) -> Any:
        chosen = table[type(value)]
        return value if chosen is None else chosen(value)

    return load


def _schema(schemas: list[dict[str, Any]]) -> dict[str, Any]:
    if {} in schemas:
        return {}
    distinct: list[dict[str, Any]] = []
    for schema in schemas:
        if schema not in distinct:
            distinct.append(schema)
    if len(distinct) == 1:
        return distinct[0]
    # Where the alternatives are bare types, a list of types is what a model reads most easily.
    if all(schema.keys() == {"type"} and isinstance(schema["type"], str) for schema in distinct):
        types = [schema["type"] for schema in distinct]
        if "number" in types and "integer" in types:
            types.remove("integer")
        return {"type": types if len(types) > 1 else types[0]}
    return {"anyOf": distinct}


def _choose(candidates: list[Shape], build: ShapeBuilder) -> Callable[[Any], Any] | None:
    if not any(shape.load is not None for shape in candidates):
        return None
    if len(candidates) == 1:
        return candidates[0].load
    accepts: list[Callable[[Any], bool]] = []
    build.when_complete(lambda: accepts.extend(build.validator(shape.schema).is_valid for shape in candidates))

    def load_first(value: Any) -> Any:
        failure: Exception | None = None
        for accept, shape in zip(accepts, candidates, strict=True):
            if not accept(value):
                continue
            if shape.load is None:
                return value
            try:
                return shape.load(value)
            except LOAD_ERRORS as error:
                failure = failure or error
        raise located(failure or ValueError("fits none of the alternatives")) from None

    return load_first
