"""Makes the JSON Schemas of a tool from the signature of its function.

This file knows the root of a tool's schemas (server/tools, "Tool"). The package `schema` knows the type hints.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs

from trimcp.schema.builder import SchemaBuilder
from trimcp.schema.classes import implied_optional
from trimcp.schema.header_params import with_mark_in_place
from trimcp.schema.scalars import as_int
from trimcp.schema.type_schema import NO_DEFAULT
from trimcp.server.invocation.signature import MISSING, FunctionSignature

RESULT_PROPERTY: Final = "result"
"""The property of `structuredContent` for a value that is no object.

Before 2026-07-28 structured content must be an object. All revisions use the same form."""


@attrs.frozen(eq=False, repr=False)
class ToolInputSchema:
    """The input schema of a tool, and the conversions of its arguments."""

    schema: dict[str, Any]
    """The published schema: an object that refuses unknown properties."""
    integers: tuple[str, ...]
    """Parameters whose only number type is `int`: JSON can write an int as 1.0."""
    loads: tuple[tuple[str, Callable[[Any], Any]], ...]
    """The conversions of the other parameters that are no JSON types, by name."""


@attrs.frozen(eq=False, repr=False)
class ToolOutputSchema:
    """The output schema of a tool, and the conversion of its values."""

    schema: dict[str, Any]
    """The published schema: its root is always an object."""
    wrapped: bool
    """Whether the value stands under `result`, since it is not always an object."""
    plain: Callable[[Any], Any] | None
    """Converts a value to JSON types, see `schema.plain`; None if no conversion is needed."""


def tool_input_schema(signature: FunctionSignature) -> ToolInputSchema:
    """Make the input schema of a function.

    Raises:
        UsageError: a type hint has no JSON form.
    """
    build = SchemaBuilder(output=False)
    properties: dict[str, Any] = {}
    integers: list[str] = []
    loads: list[tuple[str, Callable[[Any], Any]]] = []
    for parameter in signature.parameters:
        hint = Any if parameter.annotation is MISSING else parameter.annotation
        hint = implied_optional(hint, parameter.default)
        shape = build.type_schema(hint, f"{signature.name}(), parameter `{parameter.name}`")
        shape = attrs.evolve(shape, schema=with_mark_in_place(shape.schema, build.definitions.by_name))
        default = NO_DEFAULT if parameter.default is MISSING else parameter.default
        properties[parameter.name] = build.definitions.property(shape, default, parameter.description)
        if shape.load is as_int:
            integers.append(parameter.name)
        elif shape.load is not None:
            loads.append((parameter.name, shape.load))
    build.definitions.complete()
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required := [parameter.name for parameter in signature.parameters if parameter.required]:
        schema["required"] = required
    schema["additionalProperties"] = False
    return ToolInputSchema(build.definitions.whole(schema), tuple(integers), tuple(loads))


def tool_output_schema(annotation: Any, where: str) -> ToolOutputSchema:
    """Make the output schema of a return annotation; `where` names it in errors.

    Raises:
        UsageError: the annotation has no JSON form.
    """
    build = SchemaBuilder(output=True)
    shape = build.type_schema(annotation, where)
    build.definitions.complete()
    schema = dict(shape.schema)
    if wrapped := shape.json_types != {"object"}:
        schema = {"type": "object", "properties": {RESULT_PROPERTY: schema}, "required": [RESULT_PROPERTY]}
    whole = build.definitions.whole(schema)
    return ToolOutputSchema(whole if wrapped else _with_object_root(whole), wrapped, shape.to_builtins)


def _with_object_root(schema: dict[str, Any]) -> dict[str, Any]:
    """Write out a reference at the root: before 2026-07-28 the root itself must have `type: object`."""
    name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
    if name in schema.get("$defs", ()):
        schema = {**schema["$defs"][name], **{key: value for key, value in schema.items() if key != "$ref"}}
    return {"type": "object", **schema}
