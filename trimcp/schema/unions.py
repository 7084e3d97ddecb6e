"""Schemas of unions: which alternative a JSON value is, and how it is loaded.

The alternatives are tried in the order of the annotation, as far as the JSON type of the value
leaves several: the first whose schema the value fits, and whose Python value can be built. Numbers
go first to the alternative of their own form (`int | float` gives 1 as int and 1.0 as float).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from trimcp.schema.definitions import Definitions
from trimcp.schema.dump import union_to_builtins
from trimcp.schema.scalars import as_float, as_int
from trimcp.schema.type_schema import LOAD_ERRORS, TypeSchema, located

_JSON_TYPES_OF: Final[dict[type, frozenset[str]]] = {
    type(None): frozenset({"null"}),
    bool: frozenset({"boolean"}),
    int: frozenset({"integer", "number"}),
    float: frozenset({"integer", "number"}),
    str: frozenset({"string"}),
    list: frozenset({"array"}),
    dict: frozenset({"object"}),
}
"""For each Python type that a JSON parser returns: the JSON types that accept it."""


def union_schema(members: Sequence[TypeSchema], definitions: Definitions) -> TypeSchema:
    """Return the schema of a union of `members`."""
    table: dict[type, Callable[[Any], Any] | None] = {}
    if not definitions.output and any(member.load is not None for member in members):
        for cls, json_types in _JSON_TYPES_OF.items():
            candidates = [member for member in members if not member.json_types.isdisjoint(json_types)]
            if cls in (int, float):
                candidates.sort(key=lambda member: ("number" in member.json_types) is (cls is int))
            table[cls] = _first_fitting(candidates, definitions)

    return TypeSchema(
        _any_of([member.schema for member in members]),
        _load_by_type(table),
        frozenset().union(*(member.json_types for member in members)),
        converted=any(member.converted for member in members),
        to_builtins=union_to_builtins([member.to_builtins for member in members]),
    )


def _load_by_type(table: dict[type, Callable[[Any], Any] | None]) -> Callable[[Any], Any] | None:
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


def _any_of(schemas: list[dict[str, Any]]) -> dict[str, Any]:
    if {} in schemas:
        return {}
    distinct: list[dict[str, Any]] = []
    for schema in schemas:
        if schema not in distinct:
            distinct.append(schema)
    if {"type": "number"} in distinct and {"type": "integer"} in distinct:
        distinct.remove({"type": "integer"})
    # Frameworks read `anyOf`; some fail at a list of types.
    return {"anyOf": distinct} if len(distinct) > 1 else distinct[0]


def _first_fitting(candidates: list[TypeSchema], definitions: Definitions) -> Callable[[Any], Any] | None:
    if not any(candidate.load is not None for candidate in candidates):
        return None
    if len(candidates) == 1:
        return candidates[0].load
    accepts: list[Callable[[Any], bool]] = []
    definitions.when_complete(
        lambda: accepts.extend(definitions.validator(candidate.schema).is_valid for candidate in candidates)
    )

    def load_first(value: Any) -> Any:
        failure: Exception | None = None
        for accept, candidate in zip(accepts, candidates, strict=True):
            if not accept(value):
                continue
            if candidate.load is None:
                return value
            try:
                return candidate.load(value)
            except LOAD_ERRORS as error:
                failure = failure or error
        raise located(failure or ValueError("fits none of the alternatives")) from None

    return load_first
