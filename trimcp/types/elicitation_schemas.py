"""The part of JSON Schema that a form may ask with (client/elicitation).

`ElicitRequestFormParams.requested_schema` stays a dict; these classes are for those who draw a
form from one, or write one, and for the codec, which checks the dict against them.
"""

from __future__ import annotations

from typing import Any, Literal

import attrs

from trimcp.types.fields import ALWAYS, spec, spec_field


@attrs.define
class StringSchema:
    """A text."""

    title: str | None = None
    description: str | None = None
    min_length: int | None = None
    max_length: int | None = None
    format: Literal["email", "uri", "date", "date-time"] | None = None
    default: str | None = spec_field(since="2025-11-25")
    type: Literal["string"] = attrs.field(default="string", kw_only=True, metadata=ALWAYS)
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class NumberSchema:
    """A number."""

    title: str | None = None
    description: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    default: float | None = spec_field(since="2025-11-25")
    type: Literal["number", "integer"] = attrs.field(default="number", kw_only=True, metadata=ALWAYS)
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class BooleanSchema:
    """A yes or a no."""

    title: str | None = None
    description: str | None = None
    default: bool | None = None
    type: Literal["boolean"] = attrs.field(default="boolean", kw_only=True, metadata=ALWAYS)
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class LegacyTitledEnumSchema:
    """One of several texts, with their titles in a list beside; `EnumSchema` of 2025-06-18."""

    enum: list[str]
    enum_names: list[str] | None = None
    title: str | None = None
    description: str | None = None
    default: str | None = spec_field(since="2025-11-25")
    type: Literal["string"] = attrs.field(default="string", kw_only=True, metadata=ALWAYS)
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class UntitledSingleSelectEnumSchema:
    """One of several texts (2025-11-25)."""

    enum: list[str]
    title: str | None = None
    description: str | None = None
    default: str | None = None
    type: Literal["string"] = attrs.field(default="string", kw_only=True, metadata=ALWAYS)
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class EnumOption:
    """A text to choose, and what people see of it."""

    const: str
    title: str
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class TitledSingleSelectEnumSchema:
    """One of several texts, each with a title (2025-11-25)."""

    one_of: list[EnumOption]
    title: str | None = None
    description: str | None = None
    default: str | None = None
    type: Literal["string"] = attrs.field(default="string", kw_only=True, metadata=ALWAYS)
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class UntitledEnumItems:
    """What the items of an `UntitledMultiSelectEnumSchema` may be."""

    enum: list[str]
    type: Literal["string"] = attrs.field(default="string", kw_only=True, metadata=ALWAYS)
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class UntitledMultiSelectEnumSchema:
    """Some of several texts (2025-11-25)."""

    items: UntitledEnumItems
    title: str | None = None
    description: str | None = None
    min_items: int | None = None
    max_items: int | None = None
    default: list[str] | None = None
    type: Literal["array"] = attrs.field(default="array", kw_only=True, metadata=ALWAYS)
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class TitledEnumItems:
    """What the items of a `TitledMultiSelectEnumSchema` may be."""

    any_of: list[EnumOption]
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class TitledMultiSelectEnumSchema:
    """Some of several texts, each with a title (2025-11-25)."""

    items: TitledEnumItems
    title: str | None = None
    description: str | None = None
    min_items: int | None = None
    max_items: int | None = None
    default: list[str] | None = None
    type: Literal["array"] = attrs.field(default="array", kw_only=True, metadata=ALWAYS)
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


SingleSelectEnumSchema = UntitledSingleSelectEnumSchema | TitledSingleSelectEnumSchema
MultiSelectEnumSchema = UntitledMultiSelectEnumSchema | TitledMultiSelectEnumSchema
EnumSchema = (
    UntitledSingleSelectEnumSchema
    | TitledSingleSelectEnumSchema
    | UntitledMultiSelectEnumSchema
    | TitledMultiSelectEnumSchema
    | LegacyTitledEnumSchema
)
PrimitiveSchemaDefinition = (
    StringSchema
    | NumberSchema
    | BooleanSchema
    | UntitledSingleSelectEnumSchema
    | TitledSingleSelectEnumSchema
    | UntitledMultiSelectEnumSchema
    | TitledMultiSelectEnumSchema
    | LegacyTitledEnumSchema
)
"""What one property of a form may be."""


@attrs.define
class ElicitRequestedSchema:
    """All of a form: an object, its properties by name, and which of them must be given."""

    properties: dict[str, PrimitiveSchemaDefinition]
    required: list[str] | None = None
    schema: str | None = attrs.field(default=None, metadata=spec(since="2025-11-25", wire_name="$schema"))
    type: Literal["object"] = attrs.field(default="object", kw_only=True, metadata=ALWAYS)
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)
