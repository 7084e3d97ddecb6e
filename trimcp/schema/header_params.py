"""Parameters of a tool that clients copy into header fields: `Header` in a type hint, `x-mcp-header` in a schema.

Owns the rules of the mark, and the agreement of the fields of a call with its arguments (2026-07-28,
basic/transports/streamable-http, "Custom Headers from Tool Parameters"). The encoding of values is in
`framing.headers`. A server compiles the parameters of a tool at its declaration, and refuses a tool
with invalid marks; a client ignores such a tool.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, final

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
from trimcp.schema.bounds import LISTS, MAPS, SINGLES
from trimcp.values import FrozenValue

KEYWORD: Final = "x-mcp-header"
"""Marks a property; its value is the part of the header's name behind `Mcp-Param-`."""

_NULL: Final = {"type": "null"}
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CHARACTERS: Final = "letters, digits and ! # $ % & ' * + - . ^ _ ` | ~"
_TYPES: Final = ("integer", "string", "boolean")
_CUT: Final = 100
# In every dialect that a tool may use. Other values in a schema (`const`, `default`, unknown
# keywords) are data: a mark inside them has no effect.
_MAPS: Final = tuple(keyword for keyword in MAPS if keyword != "properties")
_OTHERS: Final = tuple(dict.fromkeys((*LISTS, *SINGLES)))


@final
class Header:
    """Marks a tool parameter that clients also send as a header: `Annotated[str, Header("Region")]`.

    Over HTTP, in 2026-07-28, a call then has a header `Mcp-Param-Region`, by which proxies can route
    it without reading its body; trimcp refuses a call whose header and body differ. Over other
    transports the mark has no effect. The parameter is a string, an integer or a boolean. It may be
    optional, but its published schema has no null: a client leaves the parameter out. Do not mark
    secrets, since proxies read the header.

    See server/tools, "x-mcp-header".
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        """
        Args:
            name: the part of the header's name behind `Mcp-Param-`. The names in a tool must differ in
                more than case.

        Raises:
            UsageError: a header cannot have this name.
        """
        if not is_header_name(name):
            raise UsageError(f"Invalid header name {name!r}: use {_CHARACTERS}")
        self.name: str = name

    def __repr__(self) -> str:
        return f"Header({self.name!r})"


def with_mark_in_place(schema: dict[str, Any], definitions: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return a marked schema in the form that clients need: one type beside the mark, and no null.

    A schema without a mark, or of another form, is returned as it is.
    """
    alternatives = schema.get("anyOf", ())
    others = [inner for inner in alternatives if inner != _NULL]
    if len(others) == 1 and len(alternatives) == 2 and (KEYWORD in schema or KEYWORD in others[0]):
        schema = {**others[0], **{key: value for key, value in schema.items() if key != "anyOf"}}
    if KEYWORD not in schema:
        return schema
    kind = schema.get("type")
    if isinstance(kind, list):
        kinds = [one for one in kind if one != "null"]
        return {**schema, "type": kinds[0]} if len(kinds) == 1 else schema
    name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
    if kind is None and "type" in definitions.get(name, ()):
        return {**schema, "type": definitions[name]["type"]}  # an enumeration
    return schema


@attrs.frozen(eq=False, repr=False)
class HeaderParam(FrozenValue):
    """Holds one mirrored parameter."""

    name: str
    """The whole name of the header, `Mcp-Param-Region`."""
    field: bytes
    """The same in lower case, for look-ups."""
    path: tuple[str, ...]
    """The properties that lead to the value in the arguments."""
    type: str
    """`integer`, `string` or `boolean`."""


def is_header_name(name: str) -> bool:
    """Tell whether a text is a token (RFC 9110, section 5.6.2), so that a header's name may end with it."""
    return _TOKEN.fullmatch(name) is not None


def invalid_annotations(schema: Any) -> list[str]:
    """Return the problems of the marks in an input schema, one sentence each; empty without problems."""
    return _read(schema)[1]


def header_params(schema: Any) -> HeaderParams | None:
    """Return the marked parameters of an input schema; None without marks.

    Raises:
        UsageError: a mark breaks a rule; the message names the place and the rule.
    """
    found, problems = _read(schema)
    if problems:
        raise UsageError("; ".join(problems))
    return HeaderParams(tuple(found)) if found else None


class HeaderParams:
    """Holds the mirrored parameters of one tool; make it with `header_params`."""

    __slots__ = ("params",)

    def __init__(self, params: tuple[HeaderParam, ...]) -> None:
        self.params: tuple[HeaderParam, ...] = params

    def extract(self, arguments: Mapping[str, Any] | None) -> dict[str, str]:
        """Return the header fields of a call with these arguments.

        A value that is null, absent or not a header type has no field: it does not fit the schema,
        and the server reports that.

        Raises:
            UsageError: an integer beyond the safe ones, or text that UTF-8 cannot encode.
        """
        fields: dict[str, str] = {}
        for param in self.params:
            value = _carried(_value_at(arguments, param.path))
            if value is not None:
                try:
                    fields[param.name] = encode_value(value)
                except UsageError as exc:
                    raise UsageError(
                        f"the argument `{'.'.join(param.path)}` cannot be sent as a header: {exc}"
                    ) from None
        return fields

    def check(self, arguments: Mapping[str, Any] | None, fields: Mapping[bytes, bytes]) -> str | None:
        """Check the fields of a call against its arguments; None if they agree.

        A field without a value in the body is an error too: proxies would route by a value that the
        tool never sees.

        Returns:
            A message for the error with code `HEADER_MISMATCH`. It holds no values.
        """
        for param in self.params:
            value = _carried(_value_at(arguments, param.path))
            sent = fields.get(param.field)
            if value is None:
                if sent is not None:
                    return f"Header mismatch: {param.name} is present, but its argument is missing"
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
        return f"cannot carry the argument: it is an integer beyond {SAFE_INTEGER}"
    if text == expected or (
        param.type == "integer" and not isinstance(value, str | bool) and read_integer(text) == value
    ):
        return None
    return "differs from the arguments"


def _value_at(arguments: Any, path: tuple[str, ...]) -> Any:
    for step in path:
        if not isinstance(arguments, Mapping):
            return None
        arguments = arguments.get(step)
    return arguments


def _carried(value: Any) -> str | int | bool | None:
    """Return the value for a header, 42 for 42.0; None for a value of another type."""
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
                problems.append(f"{KEYWORD} {f'in {_shortened(where)} ' if where else ''}{problem}")
            else:
                found.append(_param(node, path))
                taken[node[KEYWORD].lower()] = where
        # Reversed, since the end of the list is taken first: the order of the properties is kept.
        todo.extend(reversed(list(_children(node, path, where))))
    return found, problems


def _children(
    node: dict[str, Any], path: tuple[str, ...] | None, where: str
) -> Iterator[tuple[Any, tuple[str, ...] | None, str]]:
    """Yield the subschemas one step below; the path is None unless a chain of `properties` leads there."""
    where = _shortened(where)  # a schema from a peer may be deep
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
        return "must be on a parameter, or on a property that a chain of `properties` leads to"
    if not isinstance(name, str):
        return "must be a string"
    if not is_header_name(name):
        return f"must be a header name of {_CHARACTERS}"
    if name.lower() in taken:
        return f"is the same as in {_shortened(taken[name.lower()])} (case does not count): use another name"
    kind = node.get("type")
    if not isinstance(kind, str) or kind not in _TYPES:
        return f'needs a "type" beside it that is one of {", ".join(_TYPES)}'
    return None


def _param(node: dict[str, Any], path: tuple[str, ...]) -> HeaderParam:
    name = node[KEYWORD]
    return HeaderParam(f"{SHOWN[PARAM_PREFIX]}{name}", PARAM_PREFIX + name.lower().encode(), path, node["type"])


def _shortened(text: str) -> str:
    return text if len(text) <= _CUT else f"{text[:_CUT]}…"
