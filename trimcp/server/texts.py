"""Values that come as text: the arguments of prompts, the variables of URI templates.

What a tool gets as JSON, a prompt and a template get as strings. A parameter that is no string
is read from its text: what the type writes as a string in JSON (dates, enumerations of strings)
from the text itself, all else (`3`, `true`, `{"a": 1}`) from the text as JSON. The registries of
prompts and resources compile a `TextBinder` for each function; completion asks it for choices.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs
import orjson

from trimcp.codec.jsontext import InvalidJson, loads
from trimcp.codec.schema_problems import at
from trimcp.errors import InvalidPayload
from trimcp.server.arguments import default_maker
from trimcp.server.signature import MISSING, Parameter
from trimcp.shapes.builder import ShapeBuilder
from trimcp.shapes.classes import implied_optional
from trimcp.shapes.shape import LOAD_ERRORS, Shape, located

_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]*)", re.ASCII)
_NOTHING: Final = object()
_CONTAINERS: Final[dict[Any, Callable[[list[Any]], Any]]] = {set: set, frozenset: frozenset, tuple: tuple}
_LISTS: Final = (list, set, frozenset, tuple, Sequence, typing.Sequence)

Text = str | list[str]
"""As it comes: one text, or, of a template's list, several."""


class InvalidTexts(InvalidPayload):
    """Texts that the function's parameters cannot be read from."""


@attrs.frozen
class TextParameter:
    """One parameter whose value comes as text."""

    name: str
    title: str | None
    description: str | None
    required: bool
    choices: tuple[str, ...]
    """All texts that it takes, where its type is an enumeration, a `Literal` or `bool`; else none."""
    read: Callable[[Any], Any]
    """The value for a text; raises `InvalidTexts`."""


class TextBinder:
    """From texts by name to the keyword arguments of one function."""

    def __init__(self, parameters: Sequence[Parameter], owner: str, *, lists: frozenset[str] = frozenset()) -> None:
        """
        Args:
            parameters: of the function.
            owner: the function's name for messages, `forecast()`.
            lists: parameters whose texts come as lists.

        Raises:
            UsageError: a type hint without a JSON form.
        """
        self.parameters = {p.name: _text_parameter(p, owner, as_list=p.name in lists) for p in parameters}
        self._required = [name for name, parameter in self.parameters.items() if parameter.required]
        made = ((parameter.name, default_maker(parameter)) for parameter in parameters)
        self._makers = tuple((name, make) for name, make in made if make is not None)

    def bind(self, texts: Mapping[str, Text] | None) -> dict[str, Any]:
        """The keyword arguments, without those that are not given.

        Raises:
            InvalidTexts: one is missing, unknown, or does not fit its parameter; all problems are in it.
        """
        texts = {} if texts is None else texts
        problems = [at("required property missing", [name]) for name in self._required if name not in texts]
        kwargs: dict[str, Any] = {}
        for name, text in texts.items():
            parameter = self.parameters.get(name)
            if parameter is None:
                problems.append(at("no such argument", [name]))
                continue
            try:
                kwargs[name] = parameter.read(text)
            except InvalidTexts as exc:
                problems += exc.problems
        if problems:
            raise InvalidTexts(problems)
        for name, make in self._makers:
            if name not in kwargs:
                kwargs[name] = make()
        return kwargs


def is_list(annotation: Any) -> bool:
    """Whether an annotation is a list, or another collection of items in a row, or that or None."""
    return typing.get_origin(_bare(annotation)) in _LISTS or _bare(annotation) in _LISTS


def _bare(annotation: Any) -> Any:
    """An annotation without `Annotated` and without `| None`."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _bare(annotation.__origin__)
    if origin in (typing.Union, types.UnionType):
        members = [member for member in typing.get_args(annotation) if member is not type(None)]
        if len(members) == 1:
            return _bare(members[0])
    return annotation


def _text_parameter(parameter: Parameter, owner: str, *, as_list: bool) -> TextParameter:
    annotation = str if parameter.annotation is MISSING else parameter.annotation
    annotation = implied_optional(annotation, parameter.default)
    builder = ShapeBuilder(output=False, closed=False)
    shape = builder.shape(annotation, f"{owner}, parameter `{parameter.name}`")
    builder.complete()
    reader = _reader_of_items(annotation, owner, parameter.name) if as_list else _reader(shape, builder, parameter.name)
    return TextParameter(
        parameter.name,
        shape.schema.get("title"),
        shape.schema.get("description") or parameter.description,
        parameter.required,
        _choices(shape.schema, builder.definitions),
        reader,
    )


def _reader(shape: Shape, builder: ShapeBuilder, name: str) -> Callable[[str], Any]:
    if shape.load is None and shape.schema.get("type") == "string" and shape.schema.keys() <= _PLAIN:
        return str
    validator = builder.validator(shape.schema)

    def read(text: str) -> Any:
        problems: list[str] = []
        for value in _candidates(text, shape.kinds):
            try:
                if validator.is_valid(value):
                    return value if shape.load is None else shape.load(value)
            except LOAD_ERRORS as exc:
                problems = located(exc, name).texts()
            else:
                problems = [problem.replace(" @ $", f" @ $.{name}", 1) for problem in validator.problems(value)]
        raise InvalidTexts(problems or [at(f"expected {_words(shape.kinds)}, as JSON text", [name])])

    return read


_PLAIN: Final = frozenset({"type", "title", "description", "examples"})
"""What a schema may say without refusing any string."""


def _candidates(text: str, kinds: frozenset[str]) -> list[Any]:
    found: list[Any] = [text] if "string" in kinds else []
    if kinds - {"string"} and (value := _parsed(text, kinds)) is not _NOTHING:
        found.append(value)
    return found


def _parsed(text: str, kinds: frozenset[str]) -> Any:
    if "boolean" in kinds and text.lower() in ("true", "false"):  # people write True
        return text.lower() == "true"
    try:
        # The JSON reader makes floats of integers over 64 bits.
        return int(text) if _INTEGER.fullmatch(text) else loads(text.encode())
    except (InvalidJson, ValueError):
        return _NOTHING


def _words(kinds: frozenset[str]) -> str:
    return " or ".join(sorted(kinds - {"null"} or kinds))


def _reader_of_items(annotation: Any, owner: str, name: str) -> Callable[[list[str]], Any]:
    """For a list that comes as texts: each item is read as if it stood alone."""
    bare = _bare(annotation)
    arguments = [argument for argument in typing.get_args(bare) if argument is not Ellipsis]
    item = _text_parameter(Parameter(name, arguments[0] if arguments else str), owner, as_list=False)
    make = _CONTAINERS.get(typing.get_origin(bare) or bare, list)

    def read(texts: list[str]) -> Any:
        return make([item.read(text) for text in texts])

    return read


def _choices(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> tuple[str, ...]:
    """The texts of all values that a schema lists; none where it takes others as well."""
    if "$ref" in schema:
        return _choices(definitions.get(str(schema["$ref"]).removeprefix("#/$defs/"), {}), definitions)
    if "enum" in schema:
        return tuple(_as_text(value) for value in schema["enum"] if value is not None)
    if "const" in schema:
        return () if schema["const"] is None else (_as_text(schema["const"]),)
    if schema.get("type") in ("boolean", ["boolean", "null"]):
        return ("true", "false")
    alternatives = [inner for inner in schema.get("anyOf", ()) if inner.get("type") != "null"]
    found = [_choices(inner, definitions) for inner in alternatives]
    return tuple(text for texts in found for text in texts) if all(found) else ()


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
