"""Plain JSON of pydantic models, without asking pydantic where it would only copy the fields.

pydantic's serializer takes twice as long as reading the fields of a model. Its core schema says
whether there is more to do: serializers, computed or excluded fields, extra fields. Whatever is
not known here to be a mere copy is left to pydantic, so features of its later versions are too.
Where a field holds a value of another type than it says, it may be copied where pydantic would
have converted it; the published schema then refuses it, and pydantic is asked after all. (An
int in a field of floats is no such value: it stays as it is.) `foreign` calls this for models.
"""

from __future__ import annotations

import datetime
import decimal
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final

from trimcp.shapes.plain import Plain, plain_items, plain_mapping, plain_members, plain_text, plain_union

_COPIED: Final = frozenset({"any", "none", "bool", "int", "float", "str", "literal", "enum"})
"""Types whose values are JSON already to validator and JSON writer, which refuse all others."""
_WRITTEN: Final = {
    "datetime": datetime.datetime,
    "date": datetime.date,
    "time": datetime.time,
    "timedelta": datetime.timedelta,
    "decimal": decimal.Decimal,
    "uuid": uuid.UUID,
}
"""Types whose values pydantic writes as strings in a form of its own."""
_WRAPPERS: Final = frozenset({"default", "nullable", "function-before", "function-after"})
"""What adds to validation, and nothing to serialization."""
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
"""The keys of each part of a core schema with which its values are still copied."""


_READ_ALIKE: Final = frozenset(
    {"any", "none", "bool", "int", "float", "str", "literal", "list", "dict", "nullable", "default", "union"}
    | {"definitions", "definition-ref", "model", "model-fields", "model-field"}
)
"""Types that pydantic builds of JSON's own types as it does of JSON text, if it is not told to be strict."""


class _LeftToPydantic(Exception):
    """A part of a core schema is not known to be a copy."""


def plain_model(cls: Any) -> Plain | None:
    """For a model whose schema is complete; None where pydantic has more to do than to copy the fields."""
    try:
        return _Reader().read(cls.__pydantic_core_schema__)
    except (_LeftToPydantic, LookupError, TypeError, AttributeError):
        return None  # the last three: the core schema is of another form than is known here


def reads_values(schema: Mapping[str, Any]) -> bool:
    """Whether pydantic builds the same of parsed JSON as of the text, by a core schema of its own."""
    if schema["type"] not in _READ_ALIKE or schema.get("strict") or schema.get("custom_init"):
        return False
    if schema.get("config", {}).get("strict"):
        return False
    inside = [schema[key] for key in ("schema", "items_schema", "keys_schema", "values_schema") if key in schema]
    inside += [*schema.get("choices", ()), *schema.get("definitions", ()), *schema.get("fields", {}).values()]
    return all(reads_values(part[0] if isinstance(part, tuple) else part) for part in inside)


class _Reader:
    """Reads one core schema, with its definitions."""

    def __init__(self) -> None:
        self._definitions: dict[str, Mapping[str, Any]] = {}
        self._named: dict[str, Plain | None] = {}

    def read(self, schema: Mapping[str, Any]) -> Plain | None:
        """
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
            return plain_union([inner, None]) if kind == "nullable" else inner
        reader = self._readers().get(kind)
        if reader is None:
            raise _LeftToPydantic
        return reader(schema)

    def _readers(self) -> dict[str, Callable[[Mapping[str, Any]], Plain | None]]:
        return {
            "definitions": self._read_definitions,
            "definition-ref": lambda schema: self._read_reference(schema["schema_ref"]),
            "list": lambda schema: plain_items(self._read_if_any(schema.get("items_schema")), is_array=True),
            "set": lambda schema: plain_items(self._read_if_any(schema.get("items_schema")), is_array=False),
            "dict": self._read_dict,
            "union": lambda schema: plain_union([self.read(choice) for choice in schema["choices"]]),
            "model": self._read_model,
        }

    def _read_if_any(self, schema: Mapping[str, Any] | None) -> Plain | None:
        return None if schema is None else self.read(schema)

    def _read_definitions(self, schema: Mapping[str, Any]) -> Plain | None:
        self._definitions.update({definition["ref"]: definition for definition in schema["definitions"]})
        return self.read(schema["schema"])

    def _read_reference(self, name: str) -> Plain | None:
        if name not in self._named:

            def plain_later(value: Any) -> Any:
                plain = self._named[name]
                return value if plain is None else plain(value)

            self._named[name] = plain_later  # while the definition itself is read
            self._named[name] = self.read(self._definitions[name])
        return self._named[name]

    def _read_dict(self, schema: Mapping[str, Any]) -> Plain | None:
        if schema.get("keys_schema", {"type": "str"})["type"] != "str":
            raise _LeftToPydantic
        return plain_mapping(self._read_if_any(schema.get("values_schema")))

    def _read_model(self, schema: Mapping[str, Any]) -> Plain:
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
        parts: list[tuple[str, str, Plain | None]] = []
        for name, field in inside["fields"].items():
            if not _FIELD.issuperset(field):
                raise _LeftToPydantic
            parts.append((field.get("serialization_alias", name), name, self.read(field["schema"])))
        return plain_members(schema["cls"], parts)


def _written(kind: str) -> Plain:
    import pydantic_core

    schema: Any = {"type": kind}
    serializer = pydantic_core.SchemaSerializer(schema)
    return plain_text(_WRITTEN[kind], lambda value: serializer.to_python(value, mode="json"))
