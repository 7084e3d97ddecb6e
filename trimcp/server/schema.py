"""The JSON Schemas of a tool, made from the signature of its function.

Owns what the root of a tool's schema looks like (`server/tools`, "Tool"); what each type hint
means is in `shapes`. `arguments` and `results` call it at registration.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs

from trimcp.server.signature import MISSING, ToolSignature
from trimcp.shapes.builder import ShapeBuilder
from trimcp.shapes.classes import implied_optional
from trimcp.shapes.constraints import JsonSchema
from trimcp.shapes.header import with_mark_in_place
from trimcp.shapes.scalars import as_int
from trimcp.shapes.shape import NO_DEFAULT

__all__ = ["InputShape", "JsonSchema", "OutputShape", "input_shape", "output_shape"]

RESULT_PROPERTY: Final = "result"
"""Where a result that is no object stands in `structuredContent`: before 2026-07-28 that must be
an object, and one form in all revisions spares users a fork."""


@attrs.frozen
class InputShape:
    """The arguments of one function."""

    schema: dict[str, Any]
    """As it is published: an object that refuses unknown properties."""
    integers: tuple[str, ...]
    """Parameters that are `int`, or nothing that a number could be beside it: JSON may write them as 1.0."""
    loads: tuple[tuple[str, Callable[[Any], Any]], ...]
    """What builds the values of the other parameters that are not plain JSON."""


@attrs.frozen
class OutputShape:
    """The result of one function."""

    schema: dict[str, Any]
    """As it is published: its root is always an object."""
    wrapped: bool
    """Whether the result stands under `result`, since it is not always an object itself."""
    plain: Callable[[Any], Any] | None
    """Makes JSON's own types of a value, see `shapes.plain`; None: nothing is to be made."""


def input_shape(signature: ToolSignature) -> InputShape:
    """The schema of a function's arguments, and how its values are built.

    Raises:
        UsageError: a type hint that has no JSON form.
    """
    build = ShapeBuilder(output=False)
    properties: dict[str, Any] = {}
    integers: list[str] = []
    loads: list[tuple[str, Callable[[Any], Any]]] = []
    for parameter in signature.parameters:
        hint = Any if parameter.annotation is MISSING else parameter.annotation
        hint = implied_optional(hint, parameter.default)
        shape = build.shape(hint, f"{signature.name}(), parameter `{parameter.name}`")
        shape = attrs.evolve(shape, schema=with_mark_in_place(shape.schema, build.definitions))
        default = NO_DEFAULT if parameter.default is MISSING else parameter.default
        properties[parameter.name] = build.property(shape, default, parameter.description)
        if shape.load is as_int:
            integers.append(parameter.name)
        elif shape.load is not None:
            loads.append((parameter.name, shape.load))
    build.complete()
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required := [parameter.name for parameter in signature.parameters if parameter.required]:
        schema["required"] = required
    schema["additionalProperties"] = False
    if build.definitions:
        schema["$defs"] = build.definitions
    return InputShape(schema, tuple(integers), tuple(loads))


def output_shape(annotation: Any, where: str) -> OutputShape:
    """The schema of a result of the type `annotation`.

    Raises:
        UsageError: a type hint that has no JSON form.
    """
    build = ShapeBuilder(output=True)
    shape = build.shape(annotation, where)
    build.complete()
    schema = dict(shape.schema)
    if wrapped := shape.kinds != {"object"}:
        schema = {"type": "object", "properties": {RESULT_PROPERTY: schema}, "required": [RESULT_PROPERTY]}
    else:
        schema = _with_object_root(schema, build.definitions)
    if build.definitions:
        schema["$defs"] = build.definitions
    return OutputShape(schema, wrapped, shape.plain)


def _with_object_root(schema: dict[str, Any], definitions: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The root must say `type: object` itself before 2026-07-28, so a reference is written out."""
    name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
    if name in definitions:
        schema = {**definitions[name], **{key: value for key, value in schema.items() if key != "$ref"}}
        if not _refers_to(f"#/$defs/{name}", [schema, *definitions.values()]):
            del definitions[name]
    return {"type": "object", **schema}


def _refers_to(reference: str, value: Any) -> bool:
    if isinstance(value, dict):
        return value.get("$ref") == reference or any(_refers_to(reference, inner) for inner in value.values())
    return isinstance(value, list) and any(_refers_to(reference, inner) for inner in value)
