"""Shapes of single values: numbers, text, dates, enumerations, and their like.

Owns the table of standard types that have one JSON value each, and how it is read. `builder`
asks it for each class it meets.
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

from trimcp.codec.base64text import encode_base64
from trimcp.errors import UsageError
from trimcp.shapes.plain import Plain, plain_text, written_text
from trimcp.shapes.shape import ANY_KIND, LOAD_ERRORS, Shape, expected

_STRING: Final = frozenset({"string"})
_DURATION: Final = re.compile(
    r"(?P<sign>[+-])?P(?:(?P<weeks>\d+)W)?(?:(?P<days>\d+)D)?"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:[.,]\d+)?)S)?)?",
    re.ASCII,
)


def as_int(value: Any) -> Any:
    """JSON knows one kind of number: 1.0 is an integer there, and an int here."""
    return int(value) if type(value) is float else value


def as_float(value: Any) -> Any:
    """The number as a float, also where JSON wrote it without a fraction."""
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


def dump_duration(value: datetime.timedelta) -> str:
    """A timedelta in ISO 8601, days the largest unit: `P1DT3600.5S`."""
    sign, value = ("-", -value) if value < datetime.timedelta() else ("", value)
    seconds = f"{value.seconds}.{value.microseconds:06}".rstrip("0").rstrip(".")
    days = f"{value.days}D" if value.days else ""
    time = f"T{seconds}S" if seconds != "0" or not days else ""
    return f"{sign}P{days}{time}"


def _parsing(parse: Callable[[Any], Any], words: str) -> Callable[[Any], Any]:
    def load(value: Any) -> Any:
        try:
            return parse(value)
        except LOAD_ERRORS:
            raise expected(words) from None

    return load


def _text(format_: str, load: Callable[[Any], Any]) -> Shape:
    return Shape({"type": "string", "format": format_}, load, _STRING, opaque=True)


def _load_decimal(value: Any) -> decimal.Decimal:
    number = decimal.Decimal(str(value))
    if not number.is_finite():
        raise ValueError
    return number


_BASE64: Final = {"type": "string", "contentEncoding": "base64"}
_SCALARS: Final[dict[type, Shape]] = {
    type(None): Shape({"type": "null"}, None, frozenset({"null"})),
    bool: Shape({"type": "boolean"}, None, frozenset({"boolean"})),
    int: Shape({"type": "integer"}, as_int, frozenset({"integer"})),
    float: Shape({"type": "number"}, as_float, frozenset({"integer", "number"})),
    str: Shape({"type": "string"}, None, _STRING),
    object: Shape({}, None, ANY_KIND),
    bytes: Shape(_BASE64, _load_bytes, _STRING, opaque=True),
    bytearray: Shape(_BASE64, lambda value: bytearray(_load_bytes(value)), _STRING, opaque=True),
    datetime.datetime: _text(
        "date-time",
        _parsing(datetime.datetime.fromisoformat, "a date and time in ISO 8601, such as 2026-01-31T12:00:00Z"),
    ),
    datetime.date: _text("date", _parsing(datetime.date.fromisoformat, "a date such as 2026-01-31")),
    datetime.time: _text("time", _parsing(datetime.time.fromisoformat, "a time such as 12:30:00")),
    datetime.timedelta: _text("duration", _load_duration),
    uuid.UUID: _text("uuid", _parsing(uuid.UUID, "a UUID")),
}
_DECIMAL_IN: Final = Shape(
    {"type": ["string", "number"], "format": "decimal"},
    _parsing(_load_decimal, "a decimal number, as a number or a string"),
    frozenset({"string", "integer", "number"}),
    opaque=True,
)
_DECIMAL_OUT: Final = Shape({"type": "string", "format": "decimal"}, None, _STRING)
_PLAIN: Final[dict[type, Plain]] = {
    **{cls: plain_text(cls, written_text) for cls in (datetime.datetime, datetime.date, datetime.time, uuid.UUID)},
    **{cls: plain_text(cls, encode_base64) for cls in (bytes, bytearray)},
    datetime.timedelta: plain_text(datetime.timedelta, dump_duration),
    decimal.Decimal: plain_text(decimal.Decimal, str),
}
_PATHS: Final = frozenset({type(pathlib.Path()), type(pathlib.PurePath())})


def scalar_shape(cls: type, *, output: bool) -> Shape | None:
    """The shape of a class that stands for one JSON value; None for any other class."""
    shape = _scalar_shape(cls, output=output)
    return attrs.evolve(shape, plain=_plain_scalar(cls)) if output and shape is not None else shape


def _plain_scalar(cls: type) -> Plain | None:
    if issubclass(cls, pathlib.PurePath):
        return lambda value: str(value) if type(value) in _PATHS else value
    if cls.__module__ == "ipaddress":
        return plain_text(cls, str)
    return _PLAIN.get(cls)


def _scalar_shape(cls: type, *, output: bool) -> Shape | None:
    if (known := _SCALARS.get(cls)) is not None:
        return Shape(dict(known.schema), known.load, known.kinds, known.opaque)
    if cls is decimal.Decimal:
        known = _DECIMAL_OUT if output else _DECIMAL_IN
        return Shape(dict(known.schema), known.load, known.kinds, known.opaque)
    if issubclass(cls, pathlib.PurePath):
        return Shape({"type": "string", "format": "path"}, cls, _STRING)
    if cls.__module__ == "ipaddress" and cls.__name__ in ("IPv4Address", "IPv6Address"):
        version = cls.__name__[2:4]
        return _text(f"ip{version}", _parsing(cls, f"an IP{version} address"))
    if issubclass(cls, str | int | float) and not issubclass(cls, enum.Enum) and cls.__module__ != "builtins":
        base = next(base for base in (str, int, float) if issubclass(cls, base))
        return Shape(dict(_SCALARS[base].schema), cls, _SCALARS[base].kinds)
    return None


def enum_shape(cls: type[enum.Enum], where: str) -> Shape:
    """An enumeration by the values of its members, which must be JSON scalars of their own."""
    shape = literal_shape(tuple(cls), where)
    documentation = cls.__dict__.get("__doc__")
    if documentation:
        shape.schema["description"] = " ".join(documentation.split())
    return shape


def literal_shape(options: tuple[Any, ...], where: str) -> Shape:
    """A choice among constants: `Literal`, or the members of an enumeration.

    Raises:
        UsageError: a constant that JSON cannot write.
    """
    members: dict[tuple[bool, Any], Any] = {}  # Python holds 1 and True for equal, JSON does not
    for option in options:
        value = option.value if isinstance(option, enum.Enum) else option
        if not isinstance(value, str | int | float | None) or isinstance(value, enum.Enum):
            raise UsageError(f"{where}: the constant {option!r} has no JSON form; use strings, numbers or None")
        members[isinstance(value, bool), value] = option
    if not members:
        raise UsageError(f"{where}: an enumeration without members takes no value")
    plain = all(type(option) is str or option is None or isinstance(option, bool) for option in options)
    values = [value for _, value in members]
    kinds = frozenset(kind for value in values for kind in _kinds_of(value))
    schema: dict[str, Any] = {"enum": values}
    if len(types := sorted({_type_of(value) for value in values})) == 1:
        schema = {"type": types[0], **schema}
    return Shape(schema, None if plain else lambda value: members[isinstance(value, bool), value], kinds)


def _type_of(value: Any) -> str:
    if value is None:
        return "null"
    return {bool: "boolean", int: "integer", float: "number"}.get(type(value), "string")


def _kinds_of(value: Any) -> tuple[str, ...]:
    kind = _type_of(value)
    return ("integer", "number") if kind in ("integer", "number") else (kind,)
