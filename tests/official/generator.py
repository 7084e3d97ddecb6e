"""Valid examples from a JSON Schema: the least and the most that a definition allows, and each alternative.

Knows only what the schemas of MCP use. What it makes is checked against the schema before use,
so that a mistake here cannot pass for a success elsewhere.
"""

from collections.abc import Callable, Iterator
from typing import Any

import jsonschema_rs

TEXTS = {"uri": "https://example.com/a", "uri-template": "https://example.com/{a}", "byte": "aGk="}

UNKNOWN = "x-unknown"
"""A property that no revision has; objects that may have more properties than they list are given it."""

PINNED: dict[str, Any] = {
    # Strings to the schema, whose values the prose fixes.
    "resultType": "complete",
}

MAX_DEPTH = 6
"""Below it only what is required is made: JSON values lie within each other without end."""


def validator(definition: str, definitions: dict[str, Any]) -> Callable[[Any], bool]:
    """Whether a value fits a definition, by the official schema."""
    schema = {"$ref": f"#/$defs/{definition}", "$defs": definitions, "definitions": definitions}
    return jsonschema_rs.Draft202012Validator(schema, validate_formats=False).is_valid


def examples(definition: str, definitions: dict[str, Any]) -> list[Any]:
    """Examples of a definition; the first is the least, the last of those made the most."""
    return _distinct(_Generator(definitions).of(definitions[definition], 0))


def _distinct(values: Iterator[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if not any(value == other and type(value) is type(other) for other in found):
            found.append(value)
    return found


class _Generator:
    def __init__(self, definitions: dict[str, Any]) -> None:
        self.definitions = definitions

    def of(self, schema: dict[str, Any], depth: int) -> Iterator[Any]:
        schema = self.resolved(schema)
        if "const" in schema:
            yield schema["const"]
        elif "enum" in schema:
            yield from schema["enum"] if depth < 2 else schema["enum"][:1]
        elif alternatives := schema.get("anyOf") or schema.get("oneOf"):
            for alternative in alternatives:
                yield from self.few(alternative, depth)
        else:
            kinds = schema.get("type", "any")
            for kind in kinds if isinstance(kinds, list) else [kinds]:
                yield from getattr(self, f"_{kind}")(schema, depth)

    def few(self, schema: dict[str, Any], depth: int) -> list[Any]:
        """The least and the most, and in between nothing; of alternatives all."""
        made = list(self.of(schema, depth + 1))
        return made if "anyOf" in self.resolved(schema) or len(made) == 1 else [made[0], made[-1]]

    def resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in schema:
            schema = self.definitions[schema["$ref"].rpartition("/")[2]]
        if "allOf" in schema:
            parts = [self.resolved(part) for part in schema["allOf"]]
            return {
                "type": "object",
                "properties": {name: entry for part in parts for name, entry in part.get("properties", {}).items()},
                "required": sorted({name for part in parts for name in part.get("required", [])}),
            }
        return schema

    def _object(self, schema: dict[str, Any], depth: int) -> Iterator[Any]:
        properties: dict[str, Any] = schema.get("properties", {})
        required = schema.get("required", [])
        if depth >= MAX_DEPTH:
            yield {name: self._choices(name, properties[name], depth)[0] for name in required}
            return
        choices = {name: self._choices(name, entry, depth) for name, entry in properties.items()}
        if "inputRequests" in properties:
            choices["resultType"] = ["input_required"]
        yield {name: choices[name][0] for name in required}
        most = {name: values[-1] for name, values in choices.items()}
        others = schema.get("additionalProperties")
        if isinstance(others, dict) and others:
            most.update({f"entry-{index}": value for index, value in enumerate(self.few(others, depth))})
        if depth < 2:
            yield from ({**most, name: value} for name, values in choices.items() for value in values[:-1])
        if not others or others is True:
            most[UNKNOWN] = {"any": ["thing", 1, None]}
        yield most

    def _choices(self, name: str, schema: dict[str, Any], depth: int) -> list[Any]:
        return [PINNED[name]] if name in PINNED else self.few(schema, depth)

    def _array(self, schema: dict[str, Any], depth: int) -> Iterator[Any]:
        yield []
        if depth < MAX_DEPTH:
            yield self.few(schema.get("items", {}), depth)

    def _string(self, schema: dict[str, Any], _: int) -> Iterator[Any]:
        yield TEXTS.get(schema.get("format", ""), "text")

    def _integer(self, _: dict[str, Any], __: int) -> Iterator[Any]:
        yield 0
        yield 7

    def _number(self, _: dict[str, Any], __: int) -> Iterator[Any]:
        yield 1
        yield 0.5

    def _boolean(self, _: dict[str, Any], __: int) -> Iterator[Any]:
        yield False
        yield True

    def _null(self, _: dict[str, Any], __: int) -> Iterator[Any]:
        yield None

    def _any(self, _: dict[str, Any], __: int) -> Iterator[Any]:
        yield None
        yield "text"
        yield {"any": ["thing", 1.5, None, True]}
