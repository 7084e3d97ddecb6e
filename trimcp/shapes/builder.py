"""The walk over one tool's type hints, which collects their shapes and their definitions.

Owns the dispatch by kind of hint, the `$defs` of one schema, and recursion. What each kind of
hint means is in the files beside this one. `server.schema` makes one builder for each schema.
"""

from __future__ import annotations

import enum
import re
import types
import typing
from collections.abc import Callable
from typing import Any, Final

import attrs
import orjson

from trimcp.codec.validation import SchemaValidator, compile_schema
from trimcp.errors import UsageError
from trimcp.framing.header_params import KEYWORD
from trimcp.shapes import classes, foreign
from trimcp.shapes.constraints import constrained, read_metadata
from trimcp.shapes.containers import container_shape
from trimcp.shapes.dump import NotJson, dump
from trimcp.shapes.hints import alias_value
from trimcp.shapes.scalars import enum_shape, literal_shape, scalar_shape
from trimcp.shapes.shape import ANY_KIND, NO_DEFAULT, Shape
from trimcp.shapes.unions import union_shape

_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_.-]+")
_QUALIFIERS: Final = frozenset({"Final", "ClassVar", "Required", "NotRequired", "ReadOnly"})


@attrs.define
class _Definition:
    """One named type under `$defs`; its loader is known only once its parts are."""

    name: str
    load: Callable[[Any], Any] | None = None
    shape: Shape | None = None

    def load_later(self, value: Any) -> Any:
        """The loader to use inside the definition itself."""
        return value if self.load is None else self.load(value)

    def plain_later(self, value: Any) -> Any:
        """What makes plain JSON of the value, to use inside the definition itself."""
        plain = None if self.shape is None else self.shape.plain
        return value if plain is None else plain(value)


class ShapeBuilder:
    """Builds the shapes of the hints of one schema.

    Attributes:
        output: whether the schema is for results: then every part of a class is always there.
        closed: whether unknown properties of a class are refused; otherwise they are left out.
        definitions: what goes under `$defs`, by name.
    """

    def __init__(self, *, output: bool, closed: bool = True) -> None:
        self.output = output
        self.closed = closed and not output
        self.definitions: dict[str, dict[str, Any]] = {}
        self._named: dict[Any, _Definition] = {}
        self._pending: list[Callable[[], object]] = []

    def shape(self, annotation: Any, where: str) -> Shape:
        """The shape of one type hint.

        Args:
            annotation: the hint, resolved.
            where: whose hint it is, for the error.

        Raises:
            UsageError: the hint has no JSON form.
        """
        if annotation is Any:
            return Shape({})
        if annotation is None:
            annotation = type(None)
        origin = typing.get_origin(annotation)
        if origin is not None:
            return self._generic(annotation, origin, typing.get_args(annotation), where)
        if isinstance(annotation, typing.TypeVar):
            return self._type_variable(annotation, where)
        if (supertype := getattr(annotation, "__supertype__", None)) is not None:
            return self.shape(supertype, where)
        if type(annotation).__name__ == "TypeAliasType":
            return self._defined(annotation, lambda: self.shape(alias_value(annotation, where), where))
        if isinstance(annotation, type):
            return self._class(annotation, where)
        raise _unsupported(annotation, where)

    def _generic(self, annotation: Any, origin: Any, arguments: tuple[Any, ...], where: str) -> Shape:
        if origin is typing.Annotated:
            return self._annotated(annotation, where)
        if origin in (typing.Union, types.UnionType):
            return union_shape(arguments, where, self)
        if origin is typing.Literal:
            return literal_shape(arguments, where)
        if getattr(origin, "_name", None) in _QUALIFIERS:
            return self.shape(arguments[0], where)
        if type(origin).__name__ == "TypeAliasType":
            return self._defined(annotation, lambda: self.shape(alias_value(origin, where)[arguments], where))
        shape = container_shape(origin, arguments, where, self)
        if shape is None:
            if not isinstance(origin, type):
                raise _unsupported(annotation, where)
            shape = self._class(annotation, where)
        return shape

    def _annotated(self, annotation: Any, where: str) -> Shape:
        extras = read_metadata(annotation.__metadata__)
        if extras.schema is not None:
            return Shape({**extras.schema, **extras.annotations}, None, foreign.kinds_of_schema(extras.schema, {}))
        if extras.for_pydantic:
            shape = foreign.pydantic_shape(annotation, where, self)
            marks = {key: value for key, value in extras.annotations.items() if key == KEYWORD}  # not pydantic's
            return attrs.evolve(shape, schema={**shape.schema, **marks})
        return constrained(self.shape(annotation.__origin__, where), extras)

    def _type_variable(self, variable: Any, where: str) -> Shape:
        if variable.__constraints__:
            return union_shape(variable.__constraints__, where, self)
        return self.shape(Any if variable.__bound__ is None else variable.__bound__, where)

    def _class(self, annotation: Any, where: str) -> Shape:
        cls = typing.get_origin(annotation) or annotation
        if foreign.is_msgspec(cls):
            return foreign.msgspec_shape(annotation, where, self)
        if foreign.is_pydantic(cls):
            return foreign.pydantic_shape(annotation, where, self)
        if issubclass(cls, enum.Enum):
            return self._defined(annotation, lambda: enum_shape(cls, where))
        if classes.is_structured(cls):
            known = classes.type_arguments(annotation)
            return self._defined(annotation, lambda: classes.class_shape(cls, known, where, self), classes.OBJECT)
        for known_shape in (scalar_shape(cls, output=self.output), container_shape(cls, (), where, self)):
            if known_shape is not None:
                return known_shape
        raise _unsupported(annotation, where)

    def _defined(self, annotation: Any, make: Callable[[], Shape], kinds: frozenset[str] = ANY_KIND) -> Shape:
        """A named type: its schema goes under `$defs`, and it may contain itself.

        `kinds` is what is known of it before its parts are.
        """
        definition = self._named.get(annotation)
        if definition is None:
            definition = self._named[annotation] = _Definition(self._free_name(_name_of(annotation)))
            self.definitions[definition.name] = {}  # takes the name, and the place in the order
            shape = make()
            self.definitions[definition.name] = shape.schema
            definition.load = shape.load
            definition.shape = attrs.evolve(shape, schema={"$ref": f"#/$defs/{definition.name}"})
        if definition.shape is not None:
            return attrs.evolve(definition.shape, schema=dict(definition.shape.schema))
        plain = definition.plain_later if self.output else None  # met inside itself
        return Shape({"$ref": f"#/$defs/{definition.name}"}, definition.load_later, kinds, plain=plain)

    def _free_name(self, name: str) -> str:
        free, number = name, 2
        while free in self.definitions:
            free, number = f"{name}_{number}", number + 1
        return free

    def property(self, shape: Shape, default: Any, description: str | None) -> dict[str, Any]:
        """The schema of one property: with its description, and its default if JSON can write it."""
        schema = dict(shape.schema)
        if description and "description" not in schema:
            schema["description"] = description
        if default is NO_DEFAULT or self.output:
            return schema
        try:
            value = orjson.loads(dump(default))
        except NotJson:
            return schema
        self.when_complete(lambda: self._add_default(schema, value))
        return schema

    def _add_default(self, schema: dict[str, Any], value: Any) -> None:
        # A default that the schema refuses (a marker for "not given") would only mislead.
        if self.validator(schema).is_valid(value):
            schema["default"] = value

    def adopt(self, schema: dict[str, Any]) -> dict[str, Any]:
        """A schema that another library wrote: its definitions become ours, renamed where taken."""
        schema = dict(schema)
        theirs: dict[str, Any] = schema.pop("$defs", {})
        if all(self.definitions.get(name, definition) == definition for name, definition in theirs.items()):
            self.definitions.update(theirs)
            return schema
        # One name that is taken is enough to rename all, since the others may refer to it.
        names: dict[str, str] = {}
        for name in theirs:
            names[name] = self._free_name(name)
            self.definitions[names[name]] = {}
        references = {f"#/$defs/{old}": f"#/$defs/{new}" for old, new in names.items()}
        for name, definition in theirs.items():
            self.definitions[names[name]] = _with_references(definition, references)
        result: dict[str, Any] = _with_references(schema, references)
        return result

    def kinds_of(self, schema: dict[str, Any]) -> frozenset[str]:
        """The JSON types that a schema of this builder admits."""
        return foreign.kinds_of_schema(schema, self.definitions)

    def when_complete(self, step: Callable[[], object]) -> None:
        """Have a step done once all definitions are known."""
        self._pending.append(step)

    def complete(self) -> None:
        """Do what had to wait until all definitions are known."""
        while self._pending:
            self._pending.pop(0)()

    def validator(self, schema: dict[str, Any]) -> SchemaValidator:
        """A compiled part of the schema; only in a step given to `when_complete`."""
        return compile_schema({**schema, "$defs": self.definitions} if self.definitions else schema)


def _name_of(annotation: Any) -> str:
    arguments = typing.get_args(annotation)
    name = getattr(typing.get_origin(annotation) or annotation, "__name__", "Value")
    shown = "_".join([name, *(getattr(argument, "__name__", str(argument)) for argument in arguments)])
    return _NOT_IN_NAMES.sub("_", shown).strip("_") or "Value"


def _with_references(value: Any, references: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {
            key: references.get(inner, inner)
            if key == "$ref" and isinstance(inner, str)
            else _with_references(inner, references)
            for key, inner in value.items()
        }
    if isinstance(value, list):
        return [_with_references(inner, references) for inner in value]
    return value


def _unsupported(annotation: Any, where: str) -> UsageError:
    if isinstance(annotation, str | typing.ForwardRef):
        return UsageError(f"{where}: the name {annotation!r} in its annotation was not resolved; define it before")
    shown = annotation.__qualname__ if isinstance(annotation, type) else str(annotation)
    return UsageError(
        f"{where}: the type {shown} has no JSON form; use a standard type, a dataclass, an attrs class, a TypedDict "
        f"or a model, or annotate it Annotated[…, JsonSchema({{…}})] and take the JSON as it is"
    )
