"""Python values as JSON, in two converters.

`dump` goes by the class of each value that it meets. The functions named `…_to_builtins` go by the
annotation, which is much faster for many objects, and return a value that a validator can check
before it is written: dict, list, str, int, float, bool, None. They keep one promise: orjson writes
what they return exactly as `dump` writes the value, or the validator or orjson refuses it. A value
of another class than the declared one is therefore returned as it is; where it is not JSON, it is
refused, and the caller uses `dump`. They convert no value and consume no iterator in it. A type
that needs no conversion has None in place of a function.
"""

from __future__ import annotations

import binascii
import collections
import dataclasses
import datetime
import decimal
import functools
import importlib
import keyword
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final

import attrs
import orjson

from trimcp.schema.exact_json import NOT_FINITE, NotJson, decode, encode

Encode = Callable[[bytes | bytearray | memoryview], str]
ToBuiltins = Callable[[Any], Any]

ITERABLES: Final = frozenset({list, tuple, set, frozenset, collections.deque})
_LEAVES: Final = frozenset({type(None), str, int, float, bool})
# orjson by itself reads the `__dict__` of dataclasses, and misses defaults that live on the class.
OPTIONS: Final = orjson.OPT_PASSTHROUGH_DATACLASS
_KEYS: Final = OPTIONS | orjson.OPT_NON_STR_KEYS


# --- text forms --------------------------------------------------------------------------


def dump_duration(value: datetime.timedelta) -> str:
    """Write a timedelta in ISO 8601, with days as the largest unit: `P1DT3600.5S`."""
    sign, value = ("-", -value) if value < datetime.timedelta() else ("", value)
    seconds = f"{value.seconds}.{value.microseconds:06}".rstrip("0").rstrip(".")
    days = f"{value.days}D" if value.days else ""
    time = f"T{seconds}S" if seconds != "0" or not days else ""
    return f"{sign}P{days}{time}"


def encode_base64(data: bytes | bytearray | memoryview) -> str:
    """Encode bytes in base64 (RFC 4648, section 4), with padding and without line breaks."""
    return _encoder()(data)


@functools.cache
def _encoder() -> Encode:
    # pybase64 (the extra `blobs`) takes 30 µs for a megabyte. The standard library takes more than
    # 1,000, which is then most of the cost of a large result.
    try:
        encode: Encode = importlib.import_module("pybase64").b64encode_as_string
    except ImportError:
        return lambda data: binascii.b2a_base64(data, newline=False).decode("ascii")
    return encode


# --- by the class of the value --------------------------------------------------------


def dump(value: Any) -> bytes:
    """Write a value as compact JSON: standard types, dataclasses, attrs classes, NamedTuples, models.

    Private attributes are left out: of dataclasses, see `is_private`; of attrs classes, those whose name
    begins with an underscore.

    Raises:
        NotJson: a value inside has no JSON form, NaN and infinity included.
    """
    try:
        return encode(value, _dump_other, OPTIONS)
    except TypeError as error:
        reason = error
    # Keys that are not strings slow orjson down, so they are allowed only after it has failed.
    if "Dict key must be str" in str(reason):
        try:
            return encode(value, _dump_other, _KEYS)
        except TypeError as error:
            reason = error
    cause = reason.__cause__ or reason
    raise cause if isinstance(cause, NotJson) else NotJson(f"the value has no JSON form: {reason}") from None


def text_of(encoded: bytes) -> str:
    """Return the text of a value that was written as JSON; for a string, the string itself."""
    return str(decode(encoded)) if encoded.startswith(b'"') else encoded.decode()


def _dump_other(value: Any) -> Any:
    """Convert a value that orjson does not know; orjson calls again for the values inside."""
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
        f"a value of the type {cls.__qualname__} has no JSON form: "
        f"return a dataclass, an attrs class, a model, or a standard type"
    )


def _dump_decimal(value: decimal.Decimal) -> str:
    if not value.is_finite():
        raise NotJson(NOT_FINITE)
    return str(value)


_CONVERSIONS: Final[tuple[tuple[Any, Callable[[Any], Any]], ...]] = (
    (bytes | bytearray | memoryview, encode_base64),
    (decimal.Decimal, _dump_decimal),
    (pathlib.PurePath, str),
    (datetime.timedelta, dump_duration),
    # orjson passes on subclasses of these; each is written as the JSON type that it extends.
    (float, float.__float__),
    (Mapping, dict),
    (Sequence | AbstractSet, list),
)


@functools.lru_cache(maxsize=1024)
def _attributes(cls: Any) -> Callable[[Any], Any] | None:
    """Return the function from a model, a dataclass or an attrs class to a dict; None for other classes."""
    if hasattr(cls, "__pydantic_serializer__"):  # looked up each time: `model_rebuild` replaces it
        by_alias = writes_aliases(cls)
        return lambda value: cls.__pydantic_serializer__.to_python(value, mode="json", by_alias=by_alias)
    if attrs.has(cls):
        public = [field.name for field in attrs.fields(cls) if not field.name.startswith("_")]
    elif dataclasses.is_dataclass(cls):
        public = [field.name for field in dataclasses.fields(cls) if not is_private(field)]
    else:
        return None
    return object_to_builtins(cls, dict.fromkeys(public)) or (
        lambda value: {name: getattr(value, name) for name in public}
    )


def is_private(field: dataclasses.Field[Any]) -> bool:
    """Tell whether a field of a dataclass is no data, in arguments and in results.

    Its name begins with an underscore, and the class can be made without it.
    """
    has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
    return field.name.startswith("_") and (has_default or not field.init)


def writes_aliases(cls: Any) -> bool:
    """Tell whether results hold the aliases of a model of pydantic: unless its `serialize_by_alias` says no."""
    config = getattr(cls, "model_config", None) or getattr(cls, "__pydantic_config__", None) or {}
    return config.get("serialize_by_alias") is not False


# --- by the annotation ------------------------------------------------------------------


def object_to_builtins(cls: Any, parts: Mapping[str, ToBuiltins | None]) -> ToBuiltins | None:
    """Convert a dataclass or attrs class to a dict of the attributes named in `parts`."""
    if not all(name.isidentifier() and not keyword.iskeyword(name) for name in parts):
        return None  # only `make_class` makes names like these
    return _compiled(cls, [(name, f"value.{name}", convert) for name, convert in parts.items()], "")


def members_to_builtins(cls: type, parts: Sequence[tuple[str, str, ToBuiltins | None]]) -> ToBuiltins:
    """Convert a class with all its data in `__dict__` to a dict of some of it, under other names."""
    return _compiled(
        cls, [(name, f"members[{key!r}]", convert) for name, key, convert in parts], "and [members := value.__dict__]"
    )


def _compiled(cls: type, parts: Sequence[tuple[str, str, ToBuiltins | None]], first: str) -> ToBuiltins:
    made: dict[str, Any] = {"cls": cls}
    entries = []
    for number, (name, source, convert) in enumerate(parts):
        if convert is not None:
            made[f"convert_{number}"] = convert
            source = f"convert_{number}({source})"
        entries.append(f"{name!r}: {source}")
    # Compiled, as dataclasses and attrs do it: a loop over the names takes three times as long. The
    # source holds only identifiers and literals.
    function: ToBuiltins = eval(  # noqa: S307
        f"lambda value: {{{', '.join(entries)}}} if type(value) is cls {first} else value", made
    )
    return function


def named_tuple_to_builtins(cls: Any, parts: Mapping[str, ToBuiltins | None]) -> ToBuiltins:
    """Convert a NamedTuple to a dict of its fields."""
    converters = _converters(parts)

    def to_builtins(value: Any) -> Any:
        if type(value) is not cls:
            return value
        made: dict[str, Any] = value._asdict()
        for name, convert in converters:
            made[name] = convert(made[name])
        return made

    return to_builtins


def typed_dict_to_builtins(parts: Mapping[str, ToBuiltins | None]) -> ToBuiltins | None:
    """Convert a TypedDict to a copy with converted values."""
    converters = _converters(parts)
    if not converters:
        return None

    def to_builtins(value: Any) -> Any:
        if type(value) is not dict:
            return value
        made = value.copy()
        for name, convert in converters:
            if name in made:
                made[name] = convert(made[name])
        return made

    return to_builtins


def _converters(parts: Mapping[str, ToBuiltins | None]) -> tuple[tuple[str, ToBuiltins], ...]:
    return tuple((name, convert) for name, convert in parts.items() if convert is not None)


def items_to_builtins(item: ToBuiltins | None, *, is_array: bool) -> ToBuiltins | None:
    """Convert a list, a set or another collection to a list; `is_array`: orjson writes the class by itself."""
    if item is None:
        return None if is_array else lambda values: list(values) if type(values) in ITERABLES else values

    def to_builtins(values: Any) -> Any:
        return [item(value) for value in values] if type(values) in ITERABLES else values

    return to_builtins


def tuple_to_builtins(items: Sequence[ToBuiltins | None]) -> ToBuiltins | None:
    """Convert a tuple with a type for each place to a list."""
    if not any(items):
        return None
    count = len(items)

    def to_builtins(values: Any) -> Any:
        if type(values) is not tuple or len(values) != count:
            return values
        return [value if convert is None else convert(value) for convert, value in zip(items, values, strict=True)]

    return to_builtins


def mapping_to_builtins(value: ToBuiltins | None) -> ToBuiltins | None:
    """Convert a mapping to a dict with converted values."""
    if value is None:
        return None

    def to_builtins(entries: Any) -> Any:
        return {name: value(entry) for name, entry in entries.items()} if type(entries) is dict else entries

    return to_builtins


def union_to_builtins(members: Sequence[ToBuiltins | None]) -> ToBuiltins | None:
    """Convert by the first member of a union that changes the value."""
    converters = [convert for convert in members if convert is not None]
    if not converters:
        return None
    if len(converters) == 1:
        only = converters[0]
        return lambda value: value if type(value) in _LEAVES else only(value)

    def to_builtins(value: Any) -> Any:
        if type(value) not in _LEAVES:
            for convert in converters:
                made = convert(value)
                if made is not value:
                    return made
        return value

    return to_builtins


def text_to_builtins(cls: Any, text: Callable[[Any], str]) -> ToBuiltins:
    """Convert a class whose values are JSON strings."""
    return lambda value: text(value) if type(value) is cls else value


def orjson_text(value: Any) -> str:
    """Return the text of a value that orjson writes as a string."""
    return str(orjson.dumps(value)[1:-1], "ascii")
