"""Checks of JSON values that stay raw: JSON Schemas, structured content, answers of a form, `_meta`.

A field names its shape by `spec(shape=...)`; which check that is depends on the revision. The
full check of a tool's schema, and of values against it, is in `trimcp.codec.validation`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cattrs import BaseConverter
from orjson import Fragment

from trimcp.codec.strict import Refused, StructureHook, identifier, integer, json_object, text
from trimcp.types.fields import ABSENT, Shape
from trimcp.types.metadata import PROGRESS_TOKEN
from trimcp.types.revisions import Revision


def shape_structure_hook(shape: Shape, revision: Revision, converter: BaseConverter) -> StructureHook:
    """The check of a value that comes in."""
    if shape == "input_schema":
        return _schema_with_properties if not revision.structured_any else _object_schema
    if shape == "output_schema":
        return _schema_with_properties if not revision.structured_any else _schema
    if shape == "structured":
        return _anything if revision.structured_any else json_object
    if shape == "request_meta":
        return _request_meta
    if shape == "elicited":
        return _elicited
    if shape == "ttl":
        return _ttl
    return _form_schema(converter)


def shape_unstructure_hook(shape: Shape, revision: Revision, converter: BaseConverter) -> Callable[[Any], Any] | None:
    """The check of a value that goes out; None where there is none. It returns `ABSENT` for what the revision
    has no form for and can do without."""
    if shape == "output_schema" and not revision.structured_any:
        return _object_schema_or_absent
    if shape == "structured" and not revision.structured_any:
        return _object_or_absent
    if shape == "requested_schema":
        return _form_schema_out(converter, revision)
    return None


def _anything(value: Any, _: Any = None) -> Any:
    return value


def _schema(value: Any, _: Any = None) -> dict[str, Any]:
    schema = json_object(value)
    if type(schema.get("$schema", "")) is not str:
        raise Refused("expected string", ("$schema",))
    return schema


def _object_schema(value: Any, _: Any = None) -> dict[str, Any]:
    schema = _schema(value)
    if schema.get("type") != "object":
        raise Refused('expected "object"', ("type",))
    return schema


def _schema_with_properties(value: Any, _: Any = None) -> dict[str, Any]:
    """An object schema as the legacy revisions have it: they say what its properties look like."""
    schema = _object_schema(value)
    properties = schema.get("properties", {})
    if type(properties) is not dict:
        raise Refused("expected object", ("properties",))
    for name, inner in properties.items():
        if type(inner) is not dict:
            raise Refused("expected object", ("properties", name))
    required = schema.get("required", [])
    if type(required) is not list:
        raise Refused("expected array", ("required",))
    for index, name in enumerate(required):
        if type(name) is not str:
            raise Refused("expected string", ("required", index))
    return schema


def _request_meta(value: Any, _: Any = None) -> dict[str, Any]:
    meta = json_object(value)
    if PROGRESS_TOKEN in meta:
        try:
            identifier(meta[PROGRESS_TOKEN])
        except Refused as refused:
            raise Refused(refused.words, (PROGRESS_TOKEN,)) from None
    return meta


def _elicited(value: Any, _: Any = None) -> dict[str, Any]:
    content = json_object(value)
    for name, entry in content.items():
        # Null is not in the schema, but clients send it for a field that was left empty, and the
        # schema of the form decides on it anyway.
        if entry is None or type(entry) in (str, int, float, bool):
            continue
        if type(entry) is not list:
            raise Refused("expected string, number, boolean or array", (name,))
        for index, item in enumerate(entry):
            try:
                text(item)
            except Refused as refused:
                raise Refused(refused.words, (name, index)) from None
    return content


def _ttl(value: Any, _: Any = None) -> int:
    # server/utilities/caching: a negative one is to be ignored, not refused.
    return max(0, integer(value))


def _form_schema(converter: BaseConverter) -> Callable[..., dict[str, Any]]:
    def form_schema(value: Any, _: Any = None) -> dict[str, Any]:
        # Imported on use: few programs ask by forms, and the classes take a while to make.
        from trimcp.types.elicitation_schemas import ElicitRequestedSchema

        converter.get_structure_hook(ElicitRequestedSchema)(value, ElicitRequestedSchema)
        return json_object(value)

    return form_schema


def _form_schema_out(converter: BaseConverter, revision: Revision) -> Callable[[Any], dict[str, Any]]:
    check = _form_schema(converter)

    def form_schema(value: Any) -> dict[str, Any]:
        try:
            return check(value)
        except (Refused, KeyError):
            raise Refused(f"expected the schema of a form of {revision.version}", subject=value) from None

    return form_schema


def _object_schema_or_absent(value: Any) -> Any:
    return value if type(value) is dict and value.get("type") == "object" else ABSENT


def _object_or_absent(value: Any) -> Any:
    # A fragment is the text of an object: what is none stands in one, see `encoded_results`.
    return value if type(value) is dict or type(value) is Fragment else ABSENT
