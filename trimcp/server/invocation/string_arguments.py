"""Binds arguments that come as text: those of prompts, and the variables of URI templates.

A tool gets JSON values; a prompt and a template get strings. A parameter of another type is read from its text. If
the JSON form of the type is a string (dates, enumerations of strings), the text itself is the value. Otherwise (`3`,
`true`, `{"a": 1}`) the text is decoded as JSON.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs

from trimcp.codec.jsontext import InvalidJson, loads
from trimcp.errors import InvalidPayload
from trimcp.schema.builder import SchemaBuilder
from trimcp.schema.classes import implied_optional
from trimcp.schema.exact_json import encode
from trimcp.schema.problems import at
from trimcp.schema.type_schema import LOAD_ERRORS, TypeSchema, located
from trimcp.server.invocation.signature import MISSING, Parameter
from trimcp.server.invocation.tool_arguments import default_maker

_NOTHING: Final = object()
_CONTAINERS: Final[dict[Any, Callable[[list[Any]], Any]]] = {set: set, frozenset: frozenset, tuple: tuple}
_LISTS: Final = (list, set, frozenset, tuple, Sequence, typing.Sequence)

Text = str | list[str]
"""One text, or several for a list of a template."""


class InvalidStringArguments(InvalidPayload):
    """Strings that do not fit the parameters of the function."""


@attrs.frozen
class StringParameter:
    """A parameter whose value comes as text."""

    name: str
    title: str | None
    description: str | None
    required: bool
    choices: tuple[str, ...]
    """All valid strings, if the type is an enumeration, a `Literal` or `bool`; else empty."""
    read: Callable[[Any], Any]
    """Returns the value of a text; raises `InvalidStringArguments`."""


class StringArgumentBinder:
    """Makes the keyword arguments of one function from strings by name."""

    def __init__(self, parameters: Sequence[Parameter], owner: str, *, lists: frozenset[str] = frozenset()) -> None:
        """
        Args:
            parameters: the parameters of the function.
            owner: the name of the function in messages, such as `forecast()`.
            lists: parameters whose strings come as lists.

        Raises:
            UsageError: a type hint has no JSON form.
        """
        self.parameters: dict[str, StringParameter] = {
            p.name: _text_parameter(p, owner, as_list=p.name in lists) for p in parameters
        }
        self._required = [name for name, parameter in self.parameters.items() if parameter.required]
        made = ((parameter.name, default_maker(parameter)) for parameter in parameters)
        self._makers = tuple((name, make) for name, make in made if make is not None)

    def bind(self, strings: Mapping[str, Text] | None) -> dict[str, Any]:
        """Return the keyword arguments for the strings that are given.

        Raises:
            InvalidStringArguments: an argument is missing, unknown, or does not fit. It lists all problems.
        """
        strings = {} if strings is None else strings
        problems = [at("required property missing", [name]) for name in self._required if name not in strings]
        kwargs: dict[str, Any] = {}
        for name, text in strings.items():
            parameter = self.parameters.get(name)
            if parameter is None:
                problems.append(at("no such argument", [name]))
                continue
            try:
                kwargs[name] = parameter.read(text)
            except InvalidStringArguments as exc:
                problems += exc.problems
        if problems:
            raise InvalidStringArguments(problems)
        for name, make in self._makers:
            if name not in kwargs:
                kwargs[name] = make()
        return kwargs


def is_list(annotation: Any) -> bool:
    """Whether an annotation is a list or another sequence or set, also one with `| None`."""
    return typing.get_origin(_bare(annotation)) in _LISTS or _bare(annotation) in _LISTS


def _bare(annotation: Any) -> Any:
    """Return an annotation without `Annotated` and without `| None`."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _bare(annotation.__origin__)
    if origin in (typing.Union, types.UnionType):
        members = [member for member in typing.get_args(annotation) if member is not type(None)]
        if len(members) == 1:
            return _bare(members[0])
    return annotation


def _text_parameter(parameter: Parameter, owner: str, *, as_list: bool) -> StringParameter:
    annotation = str if parameter.annotation is MISSING else parameter.annotation
    annotation = implied_optional(annotation, parameter.default)
    builder = SchemaBuilder(output=False, closed=False)
    shape = builder.type_schema(annotation, f"{owner}, parameter `{parameter.name}`")
    builder.definitions.complete()
    reader = _reader_of_items(annotation, owner, parameter.name) if as_list else _reader(shape, builder, parameter.name)
    return StringParameter(
        parameter.name,
        shape.schema.get("title"),
        shape.schema.get("description") or parameter.description,
        parameter.required,
        _choices(builder.definitions.whole(shape.schema)),
        reader,
    )


def _reader(shape: TypeSchema, builder: SchemaBuilder, name: str) -> Callable[[str], Any]:
    if shape.load is None and shape.schema.get("type") == "string" and shape.schema.keys() <= _PLAIN:
        return str
    validator = builder.definitions.validator(shape.schema)

    def read(text: str) -> Any:
        problems: list[str] = []
        for value in _candidates(text, shape.json_types):
            try:
                if validator.is_valid(value):
                    return value if shape.load is None else shape.load(value)
            except LOAD_ERRORS as exc:
                problems = located(exc, name).texts()
            else:
                problems = [problem.replace(" @ $", f" @ $.{name}", 1) for problem in validator.problems(value)]
        raise InvalidStringArguments(problems or [at(f"expected {_words(shape.json_types)}, as JSON text", [name])])

    return read


_PLAIN: Final = frozenset({"type", "title", "description", "examples"})
"""Keywords of a schema that refuse no string."""


def _candidates(text: str, kinds: frozenset[str]) -> list[Any]:
    found: list[Any] = [text] if "string" in kinds else []
    if kinds - {"string"} and (value := _parsed(text, kinds)) is not _NOTHING:
        found.append(value)
    return found


def _parsed(text: str, kinds: frozenset[str]) -> Any:
    if "boolean" in kinds and text.lower() in ("true", "false"):  # users write True
        return text.lower() == "true"
    try:
        return loads(text.encode())
    except (InvalidJson, ValueError):
        return _NOTHING


def _words(kinds: frozenset[str]) -> str:
    return " or ".join(sorted(kinds - {"null"} or kinds))


def _reader_of_items(annotation: Any, owner: str, name: str) -> Callable[[list[str]], Any]:
    """Make the reader of a list: it reads each text by the type of the items."""
    bare = _bare(annotation)
    arguments = [argument for argument in typing.get_args(bare) if argument is not Ellipsis]
    item = _text_parameter(Parameter(name, arguments[0] if arguments else str), owner, as_list=False)
    make = _CONTAINERS.get(typing.get_origin(bare) or bare, list)

    def read(strings: list[str]) -> Any:
        return make([item.read(text) for text in strings])

    return read


def _choices(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the strings of all values that a schema lists; empty if it accepts other values too."""
    if "enum" in schema:
        return tuple(_as_text(value) for value in schema["enum"] if value is not None)
    if "const" in schema:
        return () if schema["const"] is None else (_as_text(schema["const"]),)
    if schema.get("type") == "boolean":
        return ("true", "false")
    alternatives = [inner for inner in schema.get("anyOf", ()) if inner.get("type") != "null"]
    found = [_choices(inner) for inner in alternatives]
    return tuple(text for strings in found for text in strings) if all(found) else ()


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else encode(value).decode()
