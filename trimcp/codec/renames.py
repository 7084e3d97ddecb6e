"""The fields of a wire type as the codec sees them: name on the wire, type without its `None`, declaration.

camelCase is derived here and nowhere else. `classes` builds its hooks from these.
"""

from __future__ import annotations

import functools
import operator
import types
from typing import Any, Union, get_args, get_origin

import attrs

from trimcp.types.fields import Absent, SpecField, spec_of

EXTRA = "extra"
"""The attribute that holds the fields which a revision does not have."""


@attrs.frozen
class WireField:
    """One field of a wire type."""

    name: str
    """The attribute."""
    wire: str
    """The property of the JSON object."""
    type: Any
    """What its value is where it is there."""
    optional: bool
    """Whether its default, `None` or `ABSENT`, leaves it off the wire."""
    spec: SpecField


def wire_name(attribute: str) -> str:
    """`structured_content` as `structuredContent`, and `meta` as `_meta`."""
    if attribute == "meta":
        return "_meta"
    first, *others = attribute.rstrip("_").split("_")
    return first + "".join(word.capitalize() for word in others)


@functools.cache
def wire_fields(cls: type) -> tuple[WireField, ...]:
    """The fields of a wire type, `extra` left out, in the order of the class."""
    attrs.resolve_types(cls)
    return tuple(_wire_field(attribute) for attribute in attrs.fields(cls) if attribute.name != EXTRA)


def _wire_field(attribute: attrs.Attribute[Any]) -> WireField:
    spec = spec_of(attribute)
    optional = attribute.default is None or isinstance(attribute.default, Absent)
    return WireField(
        attribute.name,
        spec.wire_name or wire_name(attribute.name),
        _without(type(attribute.default), attribute.type) if optional else attribute.type,
        optional,
        spec,
    )


def _without(unwanted: type, declared: Any) -> Any:
    """A union without the type of the default that stands for "not there"."""
    if get_origin(declared) not in (types.UnionType, Union):
        return declared
    return functools.reduce(operator.or_, (member for member in get_args(declared) if member is not unwanted))
