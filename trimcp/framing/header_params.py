"""Parameters of a tool that are mirrored into header fields: `x-mcp-header` in its input schema.

Owns what such a mark may stand on, where the marked values are in the arguments, and whether the
fields of a call agree with them (2026-07-28, basic/transports/streamable-http, "Custom Headers from
Tool Parameters"). How a value is written is in `headers`. A server compiles the parameters of a tool
when it is declared, and refuses a tool whose marks are invalid; a client drops such a tool.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from trimcp.errors import UsageError
from trimcp.framing.headers import (
    PARAM_PREFIX,
    SAFE_INTEGER,
    SHOWN,
    InvalidHeader,
    decode_value,
    encode_value,
    read_integer,
)

KEYWORD: Final = "x-mcp-header"
"""What marks a property; its value is the header's name behind `Mcp-Param-`."""

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TYPES: Final = ("integer", "string", "boolean")
_SHOWN_LENGTH: Final = 100
# Where subschemas stand, in every dialect that a tool may use. What else a schema holds (`const`,
# `default`, keywords nobody knows) is data: a mark in it marks nothing.
_MAPS: Final = ("patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies")
_OTHERS: Final = (
    *("items", "prefixItems", "additionalItems", "unevaluatedItems", "contains"),
    *("additionalProperties", "unevaluatedProperties", "propertyNames", "contentSchema"),
    *("allOf", "anyOf", "oneOf", "not", "if", "then", "else"),
)


@attrs.frozen
class HeaderParam:
    """One parameter that is mirrored."""

    name: str
    """The header's whole name, `Mcp-Param-Region`."""
    field: bytes
    """The same in lower case, as fields are looked up."""
    path: tuple[str, ...]
    """The properties that lead to the value in the arguments."""
    type: str
    """`integer`, `string` or `boolean`."""


def is_header_name(name: str) -> bool:
    """Whether a header's name may end so: a token of RFC 9110, section 5.6.2."""
    return _TOKEN.fullmatch(name) is not None


def invalid_annotations(schema: Any) -> list[str]:
    """What is wrong with the marks in an input schema, one sentence each; empty where nothing is."""
    return _read(schema)[1]


def header_params(schema: Any) -> HeaderParams | None:
    """The marked parameters of an input schema; None where none is marked.

    Raises:
        UsageError: a mark breaks one of the rules; the message says which, and how.
    """
    found, problems = _read(schema)
    if problems:
        raise UsageError("; ".join(problems))
    return HeaderParams(tuple(found)) if found else None


class HeaderParams:
    """The parameters of one tool that are mirrored; make it with `header_params`."""

    __slots__ = ("params",)

    def __init__(self, params: tuple[HeaderParam, ...]) -> None:
        self.params = params

    def extract(self, arguments: Mapping[str, Any] | None) -> dict[str, str]:
        """The header fields that a call with these arguments must carry.

        A value that is null or absent has none, and one that no header can carry neither: it does
        not fit the schema, which the server will say better.

        Raises:
            UsageError: an integer that a header cannot carry, or text that UTF-8 has no form for.
        """
        fields: dict[str, str] = {}
        for param in self.params:
            value = _carried(_value_at(arguments, param.path))
            if value is not None:
                try:
                    fields[param.name] = encode_value(value)
                except UsageError as exc:
                    raise UsageError(f"the argument `{'.'.join(param.path)}` goes into a header: {exc}") from None
        return fields

    def check(self, arguments: Mapping[str, Any] | None, fields: Mapping[bytes, bytes]) -> str | None:
        """What is wrong with the fields of a call with these arguments; None if nothing is.

        A field without a value in the body is as wrong as one that says something else: what lies
        between would route by what the tool never sees.

        Returns:
            A message for the error with code `HEADER_MISMATCH`. It holds no values.
        """
        for param in self.params:
            value = _carried(_value_at(arguments, param.path))
            sent = fields.get(param.field)
            if value is None:
                if sent is not None:
                    return f"Header mismatch: {param.name} is there, but nothing for it in the arguments"
            elif sent is None:
                return f"Header mismatch: {param.name} is missing"
            elif (problem := _compare(param, value, sent)) is not None:
                return f"Header mismatch: {param.name} {problem}"
        return None


def _compare(param: HeaderParam, value: str | int | bool, sent: bytes) -> str | None:
    try:
        text = decode_value(sent)
        expected = value if isinstance(value, str) else encode_value(value)
    except InvalidHeader as exc:
        return str(exc)
    except UsageError:
        return f"cannot carry what the arguments say: an integer beyond {SAFE_INTEGER}"
    if text == expected or (
        param.type == "integer" and not isinstance(value, str | bool) and read_integer(text) == value
    ):
        return None
    return "is not what the arguments say"


def _value_at(arguments: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        if not isinstance(arguments, Mapping):
            return None
        arguments = arguments.get(step)
    return arguments


def _carried(value: Any) -> str | int | bool | None:
    """The value as a header carries it: JSON's 42.0 is 42; None for what it cannot carry."""
    if isinstance(value, str | int):
        return value
    return int(value) if isinstance(value, float) and value.is_integer() else None


def _read(schema: Any) -> tuple[list[HeaderParam], list[str]]:
    found: list[HeaderParam] = []
    problems: list[str] = []
    taken: dict[str, str] = {}
    todo: list[tuple[Any, tuple[str, ...] | None, str]] = [(schema, (), "")]
    while todo:
        node, path, where = todo.pop()
        if isinstance(node, list):
            todo.extend((inner, None, where) for inner in reversed(node))
        if not isinstance(node, dict):
            continue
        if KEYWORD in node:
            problem = _problem(node, path, taken)
            if path is None or problem is not None:
                problems.append(f"{KEYWORD} {f'in {_cut(where)} ' if where else ''}{problem}")
            else:
                found.append(_param(node, path))
                taken[node[KEYWORD].lower()] = where
        # The last comes first off the list, and the order of the properties is kept.
        todo.extend(reversed(list(_children(node, path, where))))
    return found, problems


def _children(
    node: dict[str, Any], path: tuple[str, ...] | None, where: str
) -> Iterator[tuple[Any, tuple[str, ...] | None, str]]:
    """The subschemas one step below; the path of those that no chain of `properties` leads to is None."""
    where = _cut(where)  # what comes from a peer may be deep
    properties = node.get("properties")
    if isinstance(properties, dict):
        for name, inner in properties.items():
            yield inner, None if path is None else (*path, name), f"{where}.{name}" if where else name
    for keyword in _MAPS:
        inner = node.get(keyword)
        if isinstance(inner, dict):
            yield from ((part, None, f"{where}.{keyword}.{name}".lstrip(".")) for name, part in inner.items())
    for keyword in _OTHERS:
        inner = node.get(keyword)
        if isinstance(inner, dict | list):
            yield inner, None, f"{where}.{keyword}".lstrip(".")


def _problem(node: dict[str, Any], path: tuple[str, ...] | None, taken: Mapping[str, str]) -> str | None:
    name = node[KEYWORD]
    if not path:
        return "must stand on a parameter, or on a property that a chain of `properties` leads to, and nowhere else"
    if not isinstance(name, str):
        return "must be a string"
    if not is_header_name(name):
        return "must be a name for a header: letters, digits, and ! # $ % & ' * + - . ^ _ ` | ~"
    if name.lower() in taken:
        return f"is the same as in {_cut(taken[name.lower()])}, and case does not count"
    kind = node.get("type")
    if not isinstance(kind, str) or kind not in _TYPES:
        return f'must stand beside a "type" that is one of {", ".join(_TYPES)}, and no list'
    return None


def _param(node: dict[str, Any], path: tuple[str, ...]) -> HeaderParam:
    name = node[KEYWORD]
    return HeaderParam(f"{SHOWN[PARAM_PREFIX]}{name}", PARAM_PREFIX + name.lower().encode(), path, node["type"])


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_LENGTH else f"{text[:_SHOWN_LENGTH]}…"
