"""The part of JSON Schema that forms may use (client/elicitation).

`ElicitRequestFormParams.requested_schema` stays a dict. These classes are for programs that draw or
write forms, and for the codec, which checks the dict against them.
"""

from typing import Literal

import attrs

from trimcp.types.fields import ALWAYS, Extensible, spec, spec_field


@attrs.define(eq=False, repr=False)
class StringSchema(Extensible):
    """A string field."""

    title: str | None = None
    description: str | None = None
    min_length: int | None = None
    max_length: int | None = None
    format: Literal["email", "uri", "date", "date-time"] | None = None
    default: str | None = spec_field(since="2025-11-25")
    type: Literal["string"] = attrs.field(default="string", kw_only=True, metadata=ALWAYS)


@attrs.define(eq=False, repr=False)
class NumberSchema(Extensible):
    """A number field."""

    title: str | None = None
    description: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    default: float | None = spec_field(since="2025-11-25")
    type: Literal["number", "integer"] = attrs.field(default="number", kw_only=True, metadata=ALWAYS)


@attrs.define(eq=False, repr=False)
class BooleanSchema(Extensible):
    """A boolean field."""

    title: str | None = None
    description: str | None = None
    default: bool | None = None
    type: Literal["boolean"] = attrs.field(default="boolean", kw_only=True, metadata=ALWAYS)


@attrs.define(eq=False, repr=False)
class LegacyTitledEnumSchema(Extensible):
    """One of several strings, with a separate list of titles; `EnumSchema` of 2025-06-18."""

    enum: list[str]
    enum_names: list[str] | None = None
    title: str | None = None
    description: str | None = None
    default: str | None = spec_field(since="2025-11-25")
    type: Literal["string"] = attrs.field(default="string", kw_only=True, metadata=ALWAYS)


@attrs.define(eq=False, repr=False)
class UntitledSingleSelectEnumSchema(Extensible):
    """One of several strings (2025-11-25)."""

    enum: list[str]
    title: str | None = None
    description: str | None = None
    default: str | None = None
    type: Literal["string"] = attrs.field(default="string", kw_only=True, metadata=ALWAYS)


@attrs.define(eq=False, repr=False)
class EnumOption(Extensible):
    """An option: its value, and its title for people."""

    const: str
    title: str


@attrs.define(eq=False, repr=False)
class TitledSingleSelectEnumSchema(Extensible):
    """One of several strings, each with a title (2025-11-25)."""

    one_of: list[EnumOption]
    title: str | None = None
    description: str | None = None
    default: str | None = None
    type: Literal["string"] = attrs.field(default="string", kw_only=True, metadata=ALWAYS)


@attrs.define(eq=False, repr=False)
class UntitledEnumItems(Extensible):
    """The options of an `UntitledMultiSelectEnumSchema`."""

    enum: list[str]
    type: Literal["string"] = attrs.field(default="string", kw_only=True, metadata=ALWAYS)


@attrs.define(eq=False, repr=False)
class UntitledMultiSelectEnumSchema(Extensible):
    """Any of several strings (2025-11-25)."""

    items: UntitledEnumItems
    title: str | None = None
    description: str | None = None
    min_items: int | None = None
    max_items: int | None = None
    default: list[str] | None = None
    type: Literal["array"] = attrs.field(default="array", kw_only=True, metadata=ALWAYS)


@attrs.define(eq=False, repr=False)
class TitledEnumItems(Extensible):
    """The options of a `TitledMultiSelectEnumSchema`."""

    any_of: list[EnumOption]


@attrs.define(eq=False, repr=False)
class TitledMultiSelectEnumSchema(Extensible):
    """Any of several strings, each with a title (2025-11-25)."""

    items: TitledEnumItems
    title: str | None = None
    description: str | None = None
    min_items: int | None = None
    max_items: int | None = None
    default: list[str] | None = None
    type: Literal["array"] = attrs.field(default="array", kw_only=True, metadata=ALWAYS)


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
"""A field of a form."""


@attrs.define(eq=False, repr=False)
class ElicitRequestedSchema(Extensible):
    """A whole form: an object with its fields by name, and the names of the required ones."""

    properties: dict[str, PrimitiveSchemaDefinition]
    required: list[str] | None = None
    schema: str | None = attrs.field(default=None, metadata=spec(since="2025-11-25", wire_name="$schema"))
    type: Literal["object"] = attrs.field(default="object", kw_only=True, metadata=ALWAYS)
