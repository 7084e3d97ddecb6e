"""The arguments of calls: a dict of JSON values, and of objects that have a form in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from trimcp.codec.jsontext import loads, not_encodable
from trimcp.errors import UsageError

_SCALARS: Final = frozenset({str, int, float, bool, type(None)})


def named_arguments(arguments: object, of: str) -> dict[str, Any] | None:
    """Return a copy of the arguments of a tool or prompt; `of` names it.

    Raises:
        UsageError: they are no dict.
    """
    if arguments is None or isinstance(arguments, Mapping):
        return None if arguments is None else dict(arguments)
    raise UsageError(f"The arguments of the {of} are a {type(arguments).__name__}: give a dict of them, by name")


def json_values(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments with each object of attrs, msgspec or pydantic in them as a dict.

    orjson itself writes dataclasses, enums, dates and UUIDs.

    Raises:
        InvalidPayload: a value has no form in JSON.
    """
    if all(type(value) in _SCALARS for value in arguments.values()):
        return arguments
    try:
        orjson.dumps(arguments)
    except TypeError:
        from trimcp.schema.dump import dump
        from trimcp.schema.exact_json import NotJson

        try:
            return {name: loads(dump(value)) for name, value in arguments.items()}
        except NotJson:
            raise not_encodable({"arguments": arguments}) from None
    return arguments
