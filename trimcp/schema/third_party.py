"""Schemas of classes that another library defines: pydantic's models and types, msgspec's structs.

That library writes the schema and builds the values; this file fits both into our schemas. It
imports neither library unless an annotation has done so already.

pydantic's serializer takes twice as long as reading the fields of a model. `model_to_builtins`
therefore reads the model's core schema: where pydantic would only copy the fields (no serializers,
no computed, excluded or extra fields), the model is copied here. Anything that this file does not
know to be a copy is left to pydantic, the features of its later versions included. A field that
holds a value of another type than declared may be copied where pydantic would convert it; the
published schema then refuses the copy, and pydantic is asked after all. (An int in a field of
floats is not such a value: it stays as it is.)
"""

from __future__ import annotations

import datetime
import decimal
import functools
import sys
import typing
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final

from trimcp.errors import UsageError
from trimcp.schema.definitions import Definitions
from trimcp.schema.dump import (
    ToBuiltins,
    items_to_builtins,
    mapping_to_builtins,
    members_to_builtins,
    text_to_builtins,
    union_to_builtins,
    writes_aliases,
)
from trimcp.schema.exact_json import encode
from trimcp.schema.type_schema import LoadFailed, TypeSchema

_REF: Final = "#/$defs/{name}"


def is_pydantic(annotation: Any) -> bool:
    """Tell whether pydantic itself describes the type (models, its dataclasses, its own types)."""
    if "pydantic" not in sys.modules:
        return False
    return hasattr(annotation, "__get_pydantic_core_schema__") or hasattr(annotation, "__pydantic_core_schema__")


def pydantic_schema(annotation: Any, where: str, definitions: Definitions) -> TypeSchema:
    """Return the schema of any annotation that pydantic understands."""
    import pydantic

    try:
        adapter: Any = pydantic.TypeAdapter(annotation)
        schema = adapter.json_schema(
            by_alias=writes_aliases(annotation) if definitions.output else True,
            mode="serialization" if definitions.output else "validation",
            ref_template="#/$defs/{model}",
            schema_generator=_untitled_generator(),
        )
    except pydantic.errors.PydanticUserError as error:
        raise UsageError(f"{where}: pydantic cannot make a schema of {annotation!r}: {error.message}") from None
    schema = definitions.adopt(schema)

    def load(value: Any) -> Any:
        # As JSON, since pydantic's strict types take a date from a JSON string, but not from a Python string.
        try:
            return adapter.validator.validate_json(encode(value))
        except pydantic.ValidationError as error:
            problems = error.errors(include_url=False, include_context=False, include_input=False)
            raise LoadFailed([(problem["msg"], list(problem["loc"])) for problem in problems]) from None

    def load_value(value: Any) -> Any:
        try:
            return adapter.validator.validate_python(value)
        except pydantic.ValidationError:
            return load(value)

    is_class = isinstance(annotation, type) and hasattr(annotation, "__pydantic_serializer__")
    to_builtins = model_to_builtins(annotation) if definitions.output and is_class else None
    loader = load_value if reads_values(adapter.core_schema) else load
    return TypeSchema(schema, loader, definitions.json_types(schema), converted=True, to_builtins=to_builtins)


@functools.cache
def _untitled_generator() -> Any:
    """Return pydantic's schema generator, without the titles that it makes from the names of fields."""
    from pydantic.json_schema import GenerateJsonSchema

    class Untitled(GenerateJsonSchema):
        def field_title_should_be_set(self, schema: Any) -> bool:
            return False

    return Untitled


def is_msgspec(annotation: Any) -> bool:
    """Tell whether the class is a `msgspec.Struct`."""
    msgspec = sys.modules.get("msgspec")
    return msgspec is not None and isinstance(annotation, type) and issubclass(annotation, msgspec.Struct)


def msgspec_schema(annotation: Any, where: str, definitions: Definitions) -> TypeSchema:
    """Return the schema of a `msgspec.Struct`."""
    import msgspec

    try:
        (schema,), parts = msgspec.json.schema_components((annotation,), ref_template=_REF)
    except TypeError as error:
        raise UsageError(f"{where}: msgspec cannot make a schema of {annotation!r}: {error}") from None
    schema = definitions.adopt({**schema, "$defs": parts})

    def load(value: Any) -> Any:
        try:
            return msgspec.convert(value, annotation)
        except msgspec.ValidationError as error:
            words, _, path = str(error).partition(" - at ")
            raise LoadFailed([(f"{words} ({path.strip('`')} in it)" if path else words, [])]) from None

    def to_builtins(value: Any) -> Any:
        return msgspec.to_builtins(value) if type(value) is cls else value

    cls = typing.get_origin(annotation) or annotation
    return TypeSchema(schema, load, definitions.json_types(schema), converted=True, to_builtins=to_builtins)


_COPIED: Final = frozenset({"any", "none", "bool", "int", "float", "str", "literal", "enum"})
"""Types whose values the validator and the JSON writer take as JSON; both refuse other values."""
_WRITTEN: Final = {
    "datetime": datetime.datetime,
    "date": datetime.date,
    "time": datetime.time,
    "timedelta": datetime.timedelta,
    "decimal": decimal.Decimal,
    "uuid": uuid.UUID,
}
"""Types whose values pydantic writes as strings, in its own form."""
_WRAPPERS: Final = frozenset({"default", "nullable", "function-before", "function-after"})
"""Schemas that change validation, and do not change serialization."""
_MODEL: Final = frozenset(
    {"type", "cls", "schema", "config", "custom_init", "root_model", "post_init", "ref", "metadata", "generic_origin"}
    | {"frozen", "strict", "revalidate_instances"}
)
_CONFIG: Final = frozenset(
    {"title", "extra_fields_behavior", "from_attributes", "loc_by_alias", "revalidate_instances", "strict"}
    | {"str_max_length", "str_min_length", "str_strip_whitespace", "str_to_lower", "str_to_upper"}
    | {"validate_by_alias", "validate_by_name", "validate_default", "hide_input_in_errors"}
)
_FIELDS: Final = frozenset({"type", "fields", "model_name", "computed_fields", "from_attributes", "strict", "metadata"})
_FIELD: Final = frozenset({"type", "schema", "metadata", "validation_alias", "serialization_alias", "frozen"})
"""For each part of a core schema: the keys with which its values are still copied."""


_READ_ALIKE: Final = frozenset(
    {"any", "none", "bool", "int", "float", "str", "literal", "list", "dict", "nullable", "default", "union"}
    | {"definitions", "definition-ref", "model", "model-fields", "model-field"}
)
"""Types that pydantic, unless strict, builds from parsed JSON as it does from JSON text."""


class _LeftToPydantic(Exception):
    """A part of a core schema is not known to be a copy."""


def model_to_builtins(cls: Any) -> ToBuiltins | None:
    """Return the copier of a model; None where pydantic has more to do than to copy the fields."""
    try:
        return _Reader().read(cls.__pydantic_core_schema__)
    except (_LeftToPydantic, LookupError, TypeError, AttributeError):
        return None  # the last three: the core schema is of another form than is known here


def reads_values(schema: Mapping[str, Any]) -> bool:
    """Tell from a core schema whether pydantic builds the same value from parsed JSON as from the text."""
    if schema["type"] not in _READ_ALIKE or schema.get("strict") or schema.get("custom_init"):
        return False
    if schema.get("config", {}).get("strict"):
        return False
    inside = [schema[key] for key in ("schema", "items_schema", "keys_schema", "values_schema") if key in schema]
    inside += [*schema.get("choices", ()), *schema.get("definitions", ()), *schema.get("fields", {}).values()]
    return all(reads_values(part[0] if isinstance(part, tuple) else part) for part in inside)


class _Reader:
    """Reads one core schema, with its definitions, into a copier."""

    def __init__(self) -> None:
        self._definitions: dict[str, Mapping[str, Any]] = {}
        self._named: dict[str, ToBuiltins | None] = {}

    def read(self, schema: Mapping[str, Any]) -> ToBuiltins | None:
        """Return the copier of a part; None for values that are JSON already.

        Raises:
            _LeftToPydantic: some part is not known to be a copy.
        """
        kind = schema["type"]
        if "serialization" in schema:
            raise _LeftToPydantic
        if kind in _COPIED:
            return None
        if kind in _WRITTEN:
            return _written(kind)
        if kind in _WRAPPERS:
            inner = self.read(schema["schema"])
            return union_to_builtins([inner, None]) if kind == "nullable" else inner
        reader = self._readers().get(kind)
        if reader is None:
            raise _LeftToPydantic
        return reader(schema)

    def _readers(self) -> dict[str, Callable[[Mapping[str, Any]], ToBuiltins | None]]:
        return {
            "definitions": self._read_definitions,
            "definition-ref": lambda schema: self._read_reference(schema["schema_ref"]),
            "list": lambda schema: items_to_builtins(self._read_if_any(schema.get("items_schema")), is_array=True),
            "set": lambda schema: items_to_builtins(self._read_if_any(schema.get("items_schema")), is_array=False),
            "dict": self._read_dict,
            "union": lambda schema: union_to_builtins([self.read(choice) for choice in schema["choices"]]),
            "model": self._read_model,
        }

    def _read_if_any(self, schema: Mapping[str, Any] | None) -> ToBuiltins | None:
        return None if schema is None else self.read(schema)

    def _read_definitions(self, schema: Mapping[str, Any]) -> ToBuiltins | None:
        self._definitions.update({definition["ref"]: definition for definition in schema["definitions"]})
        return self.read(schema["schema"])

    def _read_reference(self, name: str) -> ToBuiltins | None:
        if name not in self._named:

            def convert_later(value: Any) -> Any:
                convert = self._named[name]
                return value if convert is None else convert(value)

            self._named[name] = convert_later  # while the definition itself is read
            self._named[name] = self.read(self._definitions[name])
        return self._named[name]

    def _read_dict(self, schema: Mapping[str, Any]) -> ToBuiltins | None:
        if schema.get("keys_schema", {"type": "str"})["type"] != "str":
            raise _LeftToPydantic
        return mapping_to_builtins(self._read_if_any(schema.get("values_schema")))

    def _read_model(self, schema: Mapping[str, Any]) -> ToBuiltins:
        inside = schema["schema"]
        while inside["type"] in _WRAPPERS:
            inside = inside["schema"]
        config = schema.get("config", {})
        if (
            not (_MODEL.issuperset(schema) and _CONFIG.issuperset(config) and _FIELDS.issuperset(inside))
            or schema.get("root_model")
            or inside["type"] != "model-fields"
            or inside.get("computed_fields")
            or config.get("extra_fields_behavior") == "allow"
        ):
            raise _LeftToPydantic
        parts: list[tuple[str, str, ToBuiltins | None]] = []
        for name, field in inside["fields"].items():
            if not _FIELD.issuperset(field):
                raise _LeftToPydantic
            parts.append((field.get("serialization_alias", name), name, self.read(field["schema"])))
        return members_to_builtins(schema["cls"], parts)


def _written(kind: str) -> ToBuiltins:
    import pydantic_core

    schema: Any = {"type": kind}
    serializer = pydantic_core.SchemaSerializer(schema)
    return text_to_builtins(_WRITTEN[kind], lambda value: serializer.to_python(value, mode="json"))
