"""JSON Schema → a Hypothesis strategy of the values that it accepts. Needs `trimcp[testing]`.

The strategy is built from the keywords that a value can be made of; the compiled schema then filters out the values
that the other keywords refuse. So each value is valid, and a schema of which too few values are found fails.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from hypothesis import provisional
from hypothesis import strategies as st

from trimcp.schema.validation import compile_schema

Schema = Mapping[str, Any] | bool
Values = st.SearchStrategy[Any]

MOST_ITEMS: Final = 5
"""Items of an array beyond those that its schema demands."""
DEPTH: Final = 4
"""References inside each other that are followed; deeper ones only where a value must be there."""
TYPES: Final = ("null", "boolean", "integer", "number", "string", "array", "object")
SAFE: Final = 2**53 - 1
"""The greatest integer that every reader of JSON keeps exact."""
FORMATS: Final[Mapping[str, Values]] = {
    "date": st.dates().map(str),
    "date-time": st.datetimes(timezones=st.just(datetime.UTC)).map(datetime.datetime.isoformat),
    "time": st.times(timezones=st.just(datetime.UTC)).map(datetime.time.isoformat),
    "duration": st.integers(0, 10**6).map("PT{}S".format),
    "email": st.emails(),
    "hostname": provisional.domains(),
    "ipv4": st.ip_addresses(v=4).map(str),
    "ipv6": st.ip_addresses(v=6).map(str),
    "regex": st.just("^a+$"),
    "uri": provisional.urls(),
    "uuid": st.uuids().map(str),
}
TEXT: Final = st.characters(exclude_categories=["Cs"])
"""Every character but surrogates, which JSON text cannot carry."""
SCALARS: Final[Values] = st.none() | st.booleans() | st.integers(-SAFE, SAFE) | st.text(TEXT, max_size=20)


def values_of(schema: Schema) -> Values:
    """Return a strategy of the JSON values that a schema accepts.

    Args:
        schema: a JSON Schema of 2020-12, or of the dialect in its `$schema`; `$ref` within the schema only.

    Raises:
        SchemaRefused: the schema is invalid.
    """
    own = dict(schema) if isinstance(schema, Mapping) else schema
    validator = compile_schema(own, formats=True)
    return _Builder(own).build(own, 0).filter(validator.is_valid)


class _Builder:
    """Builds the strategies of one schema and of the parts that it refers to."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._made: dict[tuple[str, int], Values] = {}

    def build(self, schema: Schema, depth: int) -> Values:
        """Return a strategy for a part of the schema, this many references deep."""
        if isinstance(schema, bool):
            return SCALARS if schema else st.nothing()
        if "const" in schema:
            return st.just(schema["const"])
        if "enum" in schema:
            return st.sampled_from(schema["enum"]) if schema["enum"] else st.nothing()
        if "$ref" in schema:
            return self._referred(schema, depth)
        if "allOf" in schema:
            return self.build(_merged(_without(schema, "allOf"), *schema["allOf"]), depth)
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                rest = _without(schema, keyword)
                branches: Sequence[Schema] = schema[keyword]
                if depth >= DEPTH:  # the shallow ways out first
                    branches = [each for each in branches if "$ref" not in repr(each)] or branches
                return st.one_of([self.build(_merged(rest, each), depth) for each in branches])
        types = schema.get("type", _implied(schema))
        return st.one_of([self._typed(name, schema, depth) for name in ([types] if isinstance(types, str) else types)])

    def _referred(self, schema: Mapping[str, Any], depth: int) -> Values:
        reference = schema["$ref"]
        rest = _without(schema, "$ref")
        if depth > 2 * DEPTH:
            return st.nothing()
        if rest:
            return self.build(_merged(rest, self._find(reference)), depth + 1)
        key = (reference, depth)
        if key not in self._made:
            self._made[key] = self.build(self._find(reference), depth + 1)
        return self._made[key]

    def _find(self, reference: str) -> Schema:
        found: Any = self._root
        for part in reference.removeprefix("#").split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            found = found[int(name)] if isinstance(found, list) else found[name]
        return found if isinstance(found, bool) else dict(found)

    def _typed(self, name: str, schema: Mapping[str, Any], depth: int) -> Values:
        if name == "null":
            return st.none()
        if name == "boolean":
            return st.booleans()
        if name == "integer":
            return _integers(schema)
        if name == "number":
            return _integers(schema) if "multipleOf" in schema else _integers(schema) | _floats(schema)
        if name == "string":
            return _strings(schema)
        return self._arrays(schema, depth) if name == "array" else self._objects(schema, depth)

    def _arrays(self, schema: Mapping[str, Any], depth: int) -> Values:
        first = [self.build(each, depth) for each in schema.get("prefixItems", ())]
        least = max(int(schema.get("minItems", 0)) - len(first), 0)
        most = min(int(schema.get("maxItems", SAFE)) - len(first), least + MOST_ITEMS)
        most = least if depth >= DEPTH else most
        items: Schema = schema.get("items", True)
        rest: Values = st.just([])
        if items is not False and most > 0:
            unique = repr if schema.get("uniqueItems") else None
            item = self.build(items, depth)
            if not item.is_empty:
                rest = st.lists(item, min_size=least, max_size=most, unique_by=unique)
            elif least:
                return st.nothing()
        return st.tuples(st.tuples(*first).map(list), rest).map(lambda parts: parts[0] + parts[1])

    def _objects(self, schema: Mapping[str, Any], depth: int) -> Values:
        properties: Mapping[str, Schema] = schema.get("properties", {})
        others: Schema = schema.get("additionalProperties", False)
        required = list(schema.get("required", ()))
        needed = {name: self.build(properties.get(name, others or True), depth) for name in required}
        optional: dict[str, Values] = {}
        if depth < DEPTH:
            optional = {name: self.build(each, depth) for name, each in properties.items() if name not in needed}
            optional = {name: each for name, each in optional.items() if not each.is_empty}
        known = st.fixed_dictionaries(needed, optional=optional)
        least = int(schema.get("minProperties", 0))
        if others is False or (not isinstance(others, Mapping) and least <= len(properties)):
            return known
        names = self.build(schema.get("propertyNames", {"type": "string", "minLength": 1, "maxLength": 10}), depth)
        more = st.dictionaries(names, self.build(others, depth), min_size=least, max_size=least + MOST_ITEMS)
        return st.tuples(more, known).map(lambda parts: {**parts[0], **parts[1]})


def _integers(schema: Mapping[str, Any]) -> Values:
    low, high = _bounds(schema)
    step = schema.get("multipleOf", 1)
    if step != int(step):
        return st.integers(-1000, 1000).map(lambda number: number * step)
    step = int(step)
    least, most = math.ceil(low), math.floor(high)
    least += least == schema.get("exclusiveMinimum")
    most -= most == schema.get("exclusiveMaximum")
    least, most = -(-least // step), most // step
    return st.integers(least, most).map(lambda number: number * step) if least <= most else st.nothing()


def _floats(schema: Mapping[str, Any]) -> Values:
    low, high = _bounds(schema)
    floats = st.floats(float(low), float(high), allow_nan=False, allow_infinity=False)
    return floats.filter(lambda number: number not in (schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")))


def _bounds(schema: Mapping[str, Any]) -> tuple[float, float]:
    """Return the bounds of a number; exclusive bounds are in as well."""
    low = max(schema.get("minimum", -SAFE), schema.get("exclusiveMinimum", -SAFE))
    return low, min(schema.get("maximum", SAFE), schema.get("exclusiveMaximum", SAFE))


def _strings(schema: Mapping[str, Any]) -> Values:
    if "pattern" in schema:
        try:
            return st.from_regex(schema["pattern"], alphabet=TEXT)
        except (re.error, ValueError):  # a regular expression that Python reads in another way
            return st.text(TEXT, max_size=20)
    if schema.get("format") in FORMATS:
        return FORMATS[schema["format"]]
    least = int(schema.get("minLength", 0))
    return st.text(TEXT, min_size=least, max_size=min(int(schema.get("maxLength", SAFE)), least + 40))


def _implied(schema: Mapping[str, Any]) -> Sequence[str]:
    """Return the types that a schema without `type` is about; all of them, if it does not tell."""
    if "properties" in schema or "required" in schema:
        return ["object"]
    if "items" in schema or "prefixItems" in schema:
        return ["array"]
    return TYPES


def _without(schema: Mapping[str, Any], keyword: str) -> dict[str, Any]:
    about = ("$schema", "$defs", "definitions", "title", "description", "default", "examples", "discriminator")
    return {key: value for key, value in schema.items() if key != keyword and key not in about}


def _merged(first: Mapping[str, Any], *others: Schema) -> Schema:
    """Return a schema of the values that all accept, nearly: the filter refuses the rest."""
    merged = dict(first)
    for other in others:
        if other is False:
            return False
        if other is True:
            continue
        for key, value in other.items():
            if key in ("properties", "$defs") and key in merged:
                merged[key] = {**merged[key], **value}
            elif key == "required" and key in merged:
                merged[key] = [*merged[key], *(name for name in value if name not in merged[key])]
            elif key in ("anyOf", "oneOf", "allOf", "$ref") and key in merged:
                merged["allOf"] = [*merged.get("allOf", ()), {key: value}]
            else:
                merged[key] = value
    return merged
