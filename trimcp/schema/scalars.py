"""Schemas of single values: numbers, strings, dates, enumerations and similar types.

Owns the table of the standard types with one JSON value each, and how that value is loaded. `builder`
calls `scalar_schema` for each class.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import decimal
import enum
import pathlib
import re
import uuid
from collections.abc import Callable
from typing import Any, Final

import attrs

from trimcp.errors import UsageError
from trimcp.schema.dump import ToBuiltins, dump_duration, encode_base64, orjson_text, text_to_builtins
from trimcp.schema.type_schema import ANY_TYPE, LOAD_ERRORS, TypeSchema, expected

_STRING: Final = frozenset({"string"})
_DURATION: Final = re.compile(
    r"(?P<sign>[+-])?P(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:[.,]\d+)?)S)?)?",
    re.ASCII,
)


def as_int(value: Any) -> Any:
    """Convert a whole float to int, since JSON has one kind of number: 1.0 is an integer."""
    return int(value) if type(value) is float else value


def as_float(value: Any) -> Any:
    """Convert an int to float, since JSON may write a float without a fraction."""
    return float(value) if type(value) is int else value


def _load_bytes(value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        raise expected("base64") from None


def _load_duration(value: str) -> datetime.timedelta:
    match = _DURATION.fullmatch(value)
    parts = {unit: text for unit, text in match.groupdict().items() if text and unit != "sign"} if match else {}
    if match is None or not parts or value.endswith("T"):
        raise expected("a duration in ISO 8601 of weeks, days, hours, minutes, seconds, such as P1DT2H30M")
    duration = datetime.timedelta(**{unit: float(text.replace(",", ".")) for unit, text in parts.items()})
    return -duration if match["sign"] == "-" else duration


def _parsing(parse: Callable[[Any], Any], words: str) -> Callable[[Any], Any]:
    def load(value: Any) -> Any:
        try:
            return parse(value)
        except LOAD_ERRORS:
            raise expected(words) from None

    return load


def _text(format_: str, load: Callable[[Any], Any]) -> TypeSchema:
    return TypeSchema({"type": "string", "format": format_}, load, _STRING, converted=True)


def _load_decimal(value: Any) -> decimal.Decimal:
    number = decimal.Decimal(str(value))
    if not number.is_finite():
        raise ValueError
    return number


_BASE64: Final = {"type": "string", "contentEncoding": "base64"}
_SCALARS: Final[dict[type, TypeSchema]] = {
    type(None): TypeSchema({"type": "null"}, None, frozenset({"null"})),
    bool: TypeSchema({"type": "boolean"}, None, frozenset({"boolean"})),
    int: TypeSchema({"type": "integer"}, as_int, frozenset({"integer"})),
    float: TypeSchema({"type": "number"}, as_float, frozenset({"integer", "number"})),
    str: TypeSchema({"type": "string"}, None, _STRING),
    object: TypeSchema({}, None, ANY_TYPE),
    bytes: TypeSchema(_BASE64, _load_bytes, _STRING, converted=True),
    bytearray: TypeSchema(_BASE64, lambda value: bytearray(_load_bytes(value)), _STRING, converted=True),
    datetime.datetime: _text(
        "date-time",
        _parsing(datetime.datetime.fromisoformat, "a date and time in ISO 8601, such as 2026-01-31T12:00:00Z"),
    ),
    datetime.date: _text("date", _parsing(datetime.date.fromisoformat, "a date such as 2026-01-31")),
    datetime.time: _text("time", _parsing(datetime.time.fromisoformat, "a time such as 12:30:00")),
    datetime.timedelta: _text("duration", _load_duration),
    uuid.UUID: _text("uuid", _parsing(uuid.UUID, "a UUID")),
}
_DECIMAL_TEXT: Final = {"type": "string", "pattern": r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"}
_DECIMAL_IN: Final = TypeSchema(
    {"anyOf": [_DECIMAL_TEXT, {"type": "number"}]},
    _parsing(_load_decimal, "a decimal number, as a number or a string"),
    frozenset({"string", "integer", "number"}),
    converted=True,
)
_DECIMAL_OUT: Final = TypeSchema(_DECIMAL_TEXT, None, _STRING)
_TO_BUILTINS: Final[dict[type, ToBuiltins]] = {
    **{cls: text_to_builtins(cls, orjson_text) for cls in (datetime.datetime, datetime.date, datetime.time, uuid.UUID)},
    **{cls: text_to_builtins(cls, encode_base64) for cls in (bytes, bytearray)},
    datetime.timedelta: text_to_builtins(datetime.timedelta, dump_duration),
    decimal.Decimal: text_to_builtins(decimal.Decimal, str),
}
_PATHS: Final = frozenset({type(pathlib.Path()), type(pathlib.PurePath())})


def scalar_schema(cls: type, *, output: bool) -> TypeSchema | None:
    """Return the schema of a class with one JSON value; None for other classes."""
    shape = _scalar_schema(cls, output=output)
    return attrs.evolve(shape, to_builtins=_scalar_to_builtins(cls)) if output and shape is not None else shape


def _scalar_to_builtins(cls: type) -> ToBuiltins | None:
    if issubclass(cls, pathlib.PurePath):
        return lambda value: str(value) if type(value) in _PATHS else value
    if cls.__module__ == "ipaddress":
        return text_to_builtins(cls, str)
    return _TO_BUILTINS.get(cls)


def _scalar_schema(cls: type, *, output: bool) -> TypeSchema | None:
    if (known := _SCALARS.get(cls)) is not None:
        return TypeSchema(dict(known.schema), known.load, known.json_types, known.converted)
    if cls is decimal.Decimal:
        known = _DECIMAL_OUT if output else _DECIMAL_IN
        return TypeSchema(dict(known.schema), known.load, known.json_types, known.converted)
    if issubclass(cls, pathlib.PurePath):
        return TypeSchema({"type": "string"}, cls, _STRING)
    if cls.__module__ == "ipaddress" and cls.__name__ in ("IPv4Address", "IPv6Address"):
        version = cls.__name__[2:4]
        return _text(f"ip{version}", _parsing(cls, f"an IP{version} address"))
    if issubclass(cls, str | int | float) and not issubclass(cls, enum.Enum) and cls.__module__ != "builtins":
        base = next(base for base in (str, int, float) if issubclass(cls, base))
        return TypeSchema(dict(_SCALARS[base].schema), cls, _SCALARS[base].json_types)
    return None


def enum_schema(cls: type[enum.Enum], where: str) -> TypeSchema:
    """Return the schema of an enumeration by the values of its members, which must be JSON scalars."""
    if issubclass(cls, enum.Flag):
        raise UsageError(
            f"{where}: the flags {cls.__name__} are combined to numbers that a schema cannot list: "
            f"use a list of an enum.Enum"
        )
    shape = literal_schema(tuple(cls), where)
    documentation = cls.__dict__.get("__doc__")
    if documentation:
        shape.schema["description"] = " ".join(documentation.split())
    return shape


def literal_schema(options: tuple[Any, ...], where: str) -> TypeSchema:
    """Return the schema of constants: of a `Literal`, or the members of an enumeration.

    Raises:
        UsageError: a constant has no JSON form.
    """
    members: dict[tuple[bool, Any], Any] = {}  # 1 and True are equal in Python, not in JSON
    for option in options:
        value = option.value if isinstance(option, enum.Enum) else option
        if not isinstance(value, str | int | float | None) or isinstance(value, enum.Enum):
            raise UsageError(f"{where}: the constant {option!r} has no JSON form: use strings, numbers or None")
        members[isinstance(value, bool), value] = option
    if not members:
        raise UsageError(f"{where}: the enumeration has no members, so no value fits: add members")
    plain = all(type(option) is str or option is None or isinstance(option, bool) for option in options)
    values = [value for _, value in members]
    kinds = frozenset(kind for value in values for kind in _json_types_of(value))
    schema: dict[str, Any] = {"enum": values}
    if len(types := sorted({_type_of(value) for value in values})) == 1:
        schema = {"type": types[0], **schema}
    return TypeSchema(schema, None if plain else lambda value: members[isinstance(value, bool), value], kinds)


def _type_of(value: Any) -> str:
    if value is None:
        return "null"
    return {bool: "boolean", int: "integer", float: "number"}.get(type(value), "string")


def _json_types_of(value: Any) -> tuple[str, ...]:
    kind = _type_of(value)
    return ("integer", "number") if kind in ("integer", "number") else (kind,)
