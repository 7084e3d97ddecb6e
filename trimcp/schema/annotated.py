"""The metadata of `Annotated`: descriptions, bounds, patterns, hand-written schemas.

Reads plain strings, `typing_extensions.Doc`, annotated_types, `msgspec.Meta`, pydantic's `Field`,
and `JsonSchema` and `Header` of this package. It imports none of those libraries: an annotation that
uses one has imported it. `builder` calls it for each `Annotated`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable
from typing import Any, Final, final

import attrs

from trimcp.schema.header_params import KEYWORD, Header
from trimcp.schema.type_schema import LOAD_ERRORS, LoadFailed, TypeSchema

_NUMERIC: Final = {
    "ge": ("minimum", ">=", lambda value, bound: value >= bound),
    "gt": ("exclusiveMinimum", ">", lambda value, bound: value > bound),
    "le": ("maximum", "<=", lambda value, bound: value <= bound),
    "lt": ("exclusiveMaximum", "<", lambda value, bound: value < bound),
    "multiple_of": ("multipleOf", "a multiple of", lambda value, bound: not value % bound),
}
_LENGTHS: Final[dict[str, tuple[str, Callable[[Any, Any], bool]]]] = {
    "min_length": ("min", lambda value, bound: len(value) >= bound),
    "max_length": ("max", lambda value, bound: len(value) <= bound),
}
_LENGTH_OF: Final = {"string": "Length", "array": "Items", "object": "Properties"}
_NUMBERS: Final = frozenset({"integer", "number"})


@final
class JsonSchema:
    """Replaces the schema of a type by a hand-written one: `Annotated[T, JsonSchema({...})]`.

    The function gets the parsed JSON as it is.
    """

    def __init__(self, schema: dict[str, Any]) -> None:
        """`schema`: the JSON Schema."""
        self.schema: dict[str, Any] = schema


@attrs.define(eq=False, repr=False)
class Extras:
    """Holds the metadata of one `Annotated`."""

    annotations: dict[str, Any] = attrs.Factory(dict)
    """`title`, `description`, `examples`, the name of a header, and other keywords of the author."""
    bounds: dict[str, Any] = attrs.Factory(dict)
    """Bounds by their names in annotated_types."""
    pattern: str | None = None
    predicates: list[Callable[[Any], Any]] = attrs.Factory(list)
    schema: dict[str, Any] | None = None
    """From `JsonSchema`."""
    for_pydantic: bool = False
    """Whether only pydantic can apply it (validators, aliases, strictness)."""


def read_metadata(metadata: Iterable[Any]) -> Extras:
    """Read the metadata of one `Annotated`; metadata of other libraries is ignored."""
    extras = Extras()
    for item in metadata:
        _read(item, extras)
    return extras


def _read(item: Any, extras: Extras) -> None:
    cls = type(item)
    package = cls.__module__.partition(".")[0]
    if isinstance(item, str):
        extras.annotations["description"] = " ".join(item.split())
    elif isinstance(item, JsonSchema):
        extras.schema = item.schema
    elif isinstance(item, Header):
        extras.annotations[KEYWORD] = item.name
    elif package == "msgspec" and cls.__name__ == "Meta":
        _read_described(item, extras)
        extras.pattern = item.pattern or extras.pattern
        extras.annotations.update(item.extra_json_schema or {})
        _read_bounds(item, extras)
    elif package == "annotated_types":
        _read_annotated_types(item, extras)
    elif cls.__name__ == "FieldInfo" and package == "pydantic":
        _read_field(item, extras)
    elif package.startswith("pydantic"):
        extras.for_pydantic = True
    elif cls.__name__ in ("Doc", "DocInfo") and isinstance(text := getattr(item, "documentation", None), str):
        extras.annotations["description"] = " ".join(text.split())


def _read_described(item: Any, extras: Extras) -> None:
    for name in ("title", "description", "examples"):
        if getattr(item, name) is not None:
            extras.annotations[name] = getattr(item, name)


def _read_bounds(item: Any, extras: Extras) -> None:
    for name in (*_NUMERIC, *_LENGTHS):
        bound = getattr(item, name, None)
        if bound is not None and not (isinstance(bound, float) and not math.isfinite(bound)):
            extras.bounds[name] = bound


def _read_annotated_types(item: Any, extras: Extras) -> None:
    annotated_types = sys.modules["annotated_types"]
    if isinstance(item, annotated_types.GroupedMetadata):  # Interval, Len
        for part in item:
            _read(part, extras)
    elif isinstance(item, annotated_types.Predicate):
        extras.predicates.append(item.func)
    else:
        _read_bounds(item, extras)


def _read_field(field: Any, extras: Extras) -> None:
    _read_described(field, extras)
    more = field.json_schema_extra
    if isinstance(more, dict):
        extras.annotations.update(more)
    extras.for_pydantic |= callable(more) or field.discriminator is not None
    for item in field.metadata:
        pattern = getattr(item, "pattern", None)
        if isinstance(pattern, str) and set(vars(item)) <= {"pattern"}:
            extras.pattern = pattern
        else:
            _read(item, extras)


def constrained(found: TypeSchema, extras: Extras) -> TypeSchema:
    """Add the bounds and descriptions of an `Annotated` to the schema of its type."""
    schema = {**found.schema, **extras.annotations}
    checks: list[tuple[Callable[[Any], Any], str]] = [
        (predicate, f"must satisfy {getattr(predicate, '__name__', 'a condition')}") for predicate in extras.predicates
    ]
    if extras.pattern is not None:
        schema["pattern"] = extras.pattern
    for name, bound in extras.bounds.items():
        if name in _NUMERIC:
            keyword, words, holds = _NUMERIC[name]
            if not found.converted and isinstance(bound, int | float) and found.json_types & _NUMBERS:
                schema[keyword] = bound
            else:
                checks.append((_bind(holds, bound), f"must be {words} {bound}"))
        else:
            prefix, holds = _LENGTHS[name]
            if found.converted:
                words = "at least" if prefix == "min" else "at most"
                checks.append((_bind(holds, bound), f"must have a length of {words} {bound}"))
            else:
                schema.update({f"{prefix}{_LENGTH_OF[kind]}": bound for kind in _LENGTH_OF if kind in found.json_types})
    return attrs.evolve(found, schema=schema, load=_checked(found.load, checks) if checks else found.load)


def _bind(holds: Callable[[Any, Any], bool], bound: Any) -> Callable[[Any], bool]:
    return lambda value: holds(value, bound)


def _checked(load: Callable[[Any], Any] | None, checks: list[tuple[Callable[[Any], Any], str]]) -> Callable[[Any], Any]:
    def load_checked(value: Any) -> Any:
        built = value if load is None else load(value)
        if built is None:  # an optional value that is absent has no bounds
            return built
        for holds, words in checks:
            try:
                held = holds(built)
            except LOAD_ERRORS:
                held = False
            if not held:
                raise LoadFailed([(words, [])])
        return built

    return load_checked
