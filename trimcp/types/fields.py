"""How a class of `trimcp.types` declares a field: its span of revisions and what is special about it.

The declaration is data in the attrs metadata; `trimcp.codec` reads it and nobody else.
This file knows no JSON and no class. `ABSENT` stands where a field is not there at all,
for the few fields in which null is a value of its own.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, Final, Literal

import attrs

from trimcp.types.revisions import BY_VERSION, LATEST


class Absent(enum.Enum):
    """The type of `ABSENT`. Its only member is falsy, and is never written to the wire."""

    # No JSON writer takes bytes, so a stray ABSENT in a payload fails instead of leaving as a string.
    ABSENT = b"absent"

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent.ABSENT
"""Not there, where `None` would mean a null that is."""

METADATA_KEY: Final = "trimcp"
"""Where a field's `SpecField` stands in its attrs metadata."""

Shape = Literal["input_schema", "output_schema", "structured", "request_meta", "requested_schema", "elicited", "ttl"]
"""What `codec.shapes` checks of a raw JSON value beyond its type."""


@attrs.frozen
class SpecField:
    """What a field's declaration says beyond its type; see `spec` for the meaning of each."""

    since: int = 0
    until: int = LATEST.order
    required_since: int | None = None
    required_until: int = LATEST.order
    fill: Any = ABSENT
    shape: Shape | None = None
    wire_name: str | None = None

    def exists_in(self, order: int) -> bool:
        """Whether the revision of that order has the field."""
        return self.since <= order <= self.until

    def required_in(self, order: int) -> bool:
        """Whether the revision of that order requires a field that has a default in Python."""
        return self.required_since is not None and self.required_since <= order <= self.required_until


PLAIN: Final = SpecField()
"""What holds for a field that declares nothing."""


def spec(
    *,
    since: str | None = None,
    until: str | None = None,
    required_since: str | None = None,
    required_until: str | None = None,
    fill: Any = ABSENT,
    shape: Shape | None = None,
    wire_name: str | None = None,
) -> Mapping[str, SpecField]:
    """The metadata of a field of a wire type, for `attrs.field(metadata=spec(...))`.

    A field without a default is required by every revision that has it; the default of an
    optional one is `None`, or `ABSENT` where null is a value of its own, and leaves it off the wire.

    Args:
        since: the first revision that has the field; the oldest if not given.
        until: the last revision that has the field; the latest if not given.
        required_since: the first revision that requires it, for a field with a default.
        required_until: the last revision that requires it.
        fill: what the encoder writes, and the decoder assumes, where the revision requires the
            field and it is not there. Without it, both refuse.
        shape: what more the codec checks of a value that stays a raw JSON value.
        wire_name: the name on the wire where it is not the attribute in camelCase.
    """
    required = required_since is not None or required_until is not None
    return {
        METADATA_KEY: SpecField(
            since=_order(since, 0),
            until=_order(until, LATEST.order),
            required_since=_order(required_since, 0) if required else None,
            required_until=_order(required_until, LATEST.order),
            fill=fill,
            shape=shape,
            wire_name=wire_name,
        )
    }


def spec_field(
    *,
    default: Any = None,
    since: str | None = None,
    until: str | None = None,
    shape: Shape | None = None,
    wire_name: str | None = None,
) -> Any:
    """Declare an optional field that only some revisions have; see `spec`.

    Type checkers take this call for the default of the field. So a field that has none, or
    that is keyword-only, is declared by `attrs.field(metadata=spec(...))` in full.
    """
    return attrs.field(default=default, metadata=spec(since=since, until=until, shape=shape, wire_name=wire_name))


def spec_of(attribute: attrs.Attribute[Any]) -> SpecField:
    """The declaration of a field of an attrs class."""
    declared: SpecField = attribute.metadata.get(METADATA_KEY, PLAIN)
    return declared


def _order(version: str | None, otherwise: int) -> int:
    return otherwise if version is None else BY_VERSION[version].order


ALWAYS: Final = spec(required_since="2024-11-05")
"""Required by every revision although it has a default: the tag of a union's member."""
