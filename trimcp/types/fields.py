"""How a class of `trimcp.types` declares a field: the revisions that have it, and its peculiarities.

The declaration is data in the attrs metadata, which only `trimcp.codec` reads. This file knows no
JSON. `ABSENT` stands for a missing field, for the few fields where null is a value.
"""

import enum
from collections.abc import Mapping
from typing import Any, Final, Literal

import attrs

from trimcp.types.revisions import BY_VERSION, LATEST
from trimcp.values import Value


class Absent(enum.Enum):
    """The type of `ABSENT`, its only member, which is falsy and never written to the wire."""

    # No JSON writer takes bytes, so an ABSENT left in a payload fails; a string would be sent.
    ABSENT = b"absent"

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent.ABSENT
"""A missing field, where `None` means a null that is present."""

METADATA_KEY: Final = "trimcp"
"""The key of a field's `SpecField` in its attrs metadata."""

RawCheck = Literal["input_schema", "output_schema", "structured", "request_meta", "requested_schema", "elicited", "ttl"]
"""The names of the checks in `codec.strict` for values that stay raw JSON."""


@attrs.frozen(eq=False, repr=False)
class SpecField:
    """Holds the declaration of a field beyond its type; `spec` explains each part."""

    since: int = 0
    until: int = LATEST.order
    required_since: int | None = None
    required_until: int = LATEST.order
    fill: Any = ABSENT
    check: RawCheck | None = None
    wire_name: str | None = None

    def exists_in(self, order: int) -> bool:
        """Tell whether the revision of that order has the field."""
        return self.since <= order <= self.until

    def required_in(self, order: int) -> bool:
        """Tell whether the revision of that order requires a field that has a default in Python."""
        return self.required_since is not None and self.required_since <= order <= self.required_until


PLAIN: Final = SpecField()
"""The declaration of a field that declares nothing."""


def spec(
    *,
    since: str | None = None,
    until: str | None = None,
    required_since: str | None = None,
    required_until: str | None = None,
    fill: Any = ABSENT,
    check: RawCheck | None = None,
    wire_name: str | None = None,
) -> Mapping[str, SpecField]:
    """Return the metadata of a field, for `attrs.field(metadata=spec(...))`.

    A field without a default is required by every revision that has it. The default of an optional
    field is `None`, or `ABSENT` where null is a value, and keeps the field off the wire.

    Args:
        since: the first revision that has the field; the default is the oldest.
        until: the last revision that has the field; the default is the latest.
        required_since: the first revision that requires it, for a field with a default.
        required_until: the last revision that requires it.
        fill: the value that the encoder writes, and the decoder assumes, for a required field that is
            missing. Without it, both refuse.
        check: a further check of a value that stays raw JSON.
        wire_name: the name on the wire, where it is not the attribute in camelCase.
    """
    required = required_since is not None or required_until is not None
    return {
        METADATA_KEY: SpecField(
            since=_order(since, 0),
            until=_order(until, LATEST.order),
            required_since=_order(required_since, 0) if required else None,
            required_until=_order(required_until, LATEST.order),
            fill=fill,
            check=check,
            wire_name=wire_name,
        )
    }


def spec_field(
    *,
    default: Any = None,
    since: str | None = None,
    until: str | None = None,
    check: RawCheck | None = None,
    wire_name: str | None = None,
) -> Any:
    """Declare an optional field that only some revisions have; see `spec`.

    Type checkers read this call as the default of the field. A field without a default, or a
    keyword-only field, is declared by `attrs.field(metadata=spec(...))` in full.
    """
    return attrs.field(default=default, metadata=spec(since=since, until=until, check=check, wire_name=wire_name))


def spec_of(attribute: "attrs.Attribute[Any]") -> SpecField:
    """Return the declaration of a field of an attrs class."""
    declared: SpecField = attribute.metadata.get(METADATA_KEY, PLAIN)
    return declared


def _order(version: str | None, otherwise: int) -> int:
    return otherwise if version is None else BY_VERSION[version].order


ALWAYS: Final = spec(required_since="2024-11-05")
"""Required by every revision, with a default in Python: the tag of a union's member."""


@attrs.define(eq=False, repr=False)
class Extensible(Value):
    """The base of classes with fields that the revision, or trimcp, does not know.

    Classes that derive from it take `@attrs.define(eq=False, repr=False)`; see `Value`.

    Attributes:
        extra: these fields, by their names on the wire.
    """

    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)
