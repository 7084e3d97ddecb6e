"""Any value that a tool may return, as JSON.

The way back from `scalars`, `containers` and `classes`: it goes by the value's own class, not by
an annotation, so that what a function really returned is what gets checked. `results` calls it,
and `schema` for defaults.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import functools
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final

import attrs
import orjson

from trimcp.codec.base64text import encode_base64
from trimcp.shapes.plain import plain_object
from trimcp.shapes.scalars import dump_duration

# orjson's own way with dataclasses reads `__dict__`: it misses defaults that live on the class.
OPTIONS: Final = orjson.OPT_PASSTHROUGH_DATACLASS
_KEYS: Final = OPTIONS | orjson.OPT_NON_STR_KEYS


class NotJson(TypeError):
    """A value has no JSON form; the message says which type, and what to do."""


def dump(value: Any) -> bytes:
    """A value as compact JSON: standard types, dataclasses, attrs classes, NamedTuples, models.

    Attributes whose name begins with an underscore stay out. A float that is not finite becomes
    null, as JSON has no such number.

    Raises:
        NotJson: something in it has no JSON form.
    """
    try:
        return orjson.dumps(value, _dump_other, OPTIONS)
    except orjson.JSONEncodeError as error:
        reason = error
    # Keys that are no strings take a slower way in orjson, so only after it has failed.
    if "Dict key must be str" in str(reason):
        try:
            return orjson.dumps(value, _dump_other, _KEYS)
        except orjson.JSONEncodeError as error:
            reason = error
    if isinstance(reason.__cause__, NotJson):
        raise reason.__cause__ from None
    raise NotJson(f"the value has no JSON form: {reason}") from None


def _dump_other(value: Any) -> Any:
    """What orjson does not know by itself; it asks again for whatever is inside."""
    cls: Any = type(value)
    if (convert := _attributes(cls)) is not None:
        return convert(value)
    if hasattr(cls, "_asdict"):  # a NamedTuple
        return value._asdict()
    if (msgspec := sys.modules.get("msgspec")) is not None and isinstance(value, msgspec.Struct):
        return msgspec.to_builtins(value)
    for types, convert in _CONVERSIONS:
        if isinstance(value, types):
            return convert(value)
    if cls.__module__ == "ipaddress":
        return str(value)
    raise NotJson(
        f"a value of the type {cls.__qualname__} has no JSON form; "
        f"return a dataclass, an attrs class, a model, or a standard type"
    )


_CONVERSIONS: Final[tuple[tuple[Any, Callable[[Any], Any]], ...]] = (
    (bytes | bytearray | memoryview, encode_base64),
    (decimal.Decimal | pathlib.PurePath, str),
    (datetime.timedelta, dump_duration),
    # Subclasses that orjson passes on, as the JSON type that they extend.
    (float, float.__float__),
    (Mapping, dict),
    (Sequence | AbstractSet, list),
)


@functools.lru_cache(maxsize=1024)
def _attributes(cls: Any) -> Callable[[Any], Any] | None:
    """What makes a dict of a model, a dataclass or an attrs class; None for any other class."""
    if hasattr(cls, "__pydantic_serializer__"):  # not kept, since `model_rebuild` makes another
        return lambda value: cls.__pydantic_serializer__.to_python(value, mode="json", by_alias=True)
    if attrs.has(cls):
        names = [field.name for field in attrs.fields(cls)]
    elif dataclasses.is_dataclass(cls):
        names = [field.name for field in dataclasses.fields(cls)]
    else:
        return None
    public = [name for name in names if not name.startswith("_")]
    return plain_object(cls, dict.fromkeys(public)) or (lambda value: {name: getattr(value, name) for name in public})
