"""`SchemaBuilder`: reads type hints into JSON Schemas, with the loaders of their values.

Owns the choice by kind of hint. The meaning of each kind is in the files beside this one; `$defs`
and recursion are in `definitions`. The server makes one builder for each schema; `value_loader` is
for single values: results of tools, answers to questions.
"""

from __future__ import annotations

import enum
import functools
import types
import typing
from collections.abc import Callable
from typing import Any, Final

import attrs

from trimcp.errors import InvalidResult, UsageError
from trimcp.schema import classes, third_party
from trimcp.schema.annotated import constrained, read_metadata
from trimcp.schema.containers import container_schema
from trimcp.schema.definitions import Definitions
from trimcp.schema.header_params import KEYWORD
from trimcp.schema.hints import alias_value
from trimcp.schema.scalars import enum_schema, literal_schema, scalar_schema
from trimcp.schema.type_schema import LOAD_ERRORS, TypeSchema, located
from trimcp.schema.unions import union_schema

_QUALIFIERS: Final = frozenset({"Final", "ClassVar", "Required", "NotRequired", "ReadOnly"})


class SchemaBuilder:
    """Reads the type hints of one schema.

    Attributes:
        definitions: the `$defs` that the hints need. Call its `complete` after the last hint.
    """

    def __init__(self, *, output: bool, closed: bool = True) -> None:
        """
        Args:
            output: whether the schema is for results.
            closed: whether unknown properties of a class are refused; otherwise they are ignored.
        """
        self.definitions: Definitions = Definitions(output=output, closed=closed)

    def type_schema(self, annotation: Any, where: str) -> TypeSchema:
        """Read one type hint.

        Args:
            annotation: the hint, resolved.
            where: the owner of the hint, for the error.

        Raises:
            UsageError: the hint has no JSON form.
        """
        if annotation is Any:
            return TypeSchema({})
        if annotation is None:
            annotation = type(None)
        origin = typing.get_origin(annotation)
        if origin is not None:
            return self._generic(annotation, origin, typing.get_args(annotation), where)
        if isinstance(annotation, typing.TypeVar):
            return self._type_variable(annotation, where)
        if (supertype := getattr(annotation, "__supertype__", None)) is not None:
            return self.type_schema(supertype, where)
        if type(annotation).__name__ == "TypeAliasType":
            return self.definitions.named(annotation, lambda: self.type_schema(alias_value(annotation, where), where))
        if isinstance(annotation, type):
            return self._class(annotation, where)
        raise _unsupported(annotation, where)

    def _generic(self, annotation: Any, origin: Any, arguments: tuple[Any, ...], where: str) -> TypeSchema:
        if origin is typing.Annotated:
            return self._annotated(annotation, where)
        if origin in (typing.Union, types.UnionType):
            return self._union(arguments, where)
        if origin is typing.Literal:
            return literal_schema(arguments, where)
        if getattr(origin, "_name", None) in _QUALIFIERS:
            return self.type_schema(arguments[0], where)
        if type(origin).__name__ == "TypeAliasType":
            return self.definitions.named(
                annotation, lambda: self.type_schema(alias_value(origin, where)[arguments], where)
            )
        found = self._container(origin, arguments, where)
        if found is None:
            if not isinstance(origin, type):
                raise _unsupported(annotation, where)
            found = self._class(annotation, where)
        return found

    def _annotated(self, annotation: Any, where: str) -> TypeSchema:
        extras = read_metadata(annotation.__metadata__)
        if extras.schema is not None:
            json_types = Definitions(output=False, closed=True).json_types(extras.schema)
            return TypeSchema({**extras.schema, **extras.annotations}, None, json_types)
        if extras.for_pydantic:
            found = third_party.pydantic_schema(annotation, where, self.definitions)
            # pydantic does not know the mark of a header.
            marks = {key: value for key, value in extras.annotations.items() if key == KEYWORD}
            return attrs.evolve(found, schema={**found.schema, **marks})
        return constrained(self.type_schema(annotation.__origin__, where), extras)

    def _type_variable(self, variable: Any, where: str) -> TypeSchema:
        if variable.__constraints__:
            return self._union(variable.__constraints__, where)
        return self.type_schema(Any if variable.__bound__ is None else variable.__bound__, where)

    def _union(self, members: tuple[Any, ...], where: str) -> TypeSchema:
        return union_schema([self.type_schema(member, where) for member in members], self.definitions)

    def _container(self, origin: Any, arguments: tuple[Any, ...], where: str) -> TypeSchema | None:
        return container_schema(origin, arguments, where, self.type_schema, output=self.definitions.output)

    def _class(self, annotation: Any, where: str) -> TypeSchema:
        cls = typing.get_origin(annotation) or annotation
        if third_party.is_msgspec(cls):
            return third_party.msgspec_schema(annotation, where, self.definitions)
        if third_party.is_pydantic(cls):
            return third_party.pydantic_schema(annotation, where, self.definitions)
        if issubclass(cls, enum.Enum):
            return self.definitions.named(annotation, lambda: enum_schema(cls, where))
        if classes.is_structured(cls):
            known = classes.type_arguments(annotation)
            return self.definitions.named(
                annotation,
                lambda: classes.class_schema(cls, known, where, self.type_schema, self.definitions),
                classes.OBJECT,
            )
        found = scalar_schema(cls, output=self.definitions.output) or self._container(cls, (), where)
        if found is None:
            raise _unsupported(annotation, where)
        return found


def value_loader(annotation: Any, where: str = "the type") -> Callable[[Any], Any]:
    """Return the function that makes a value of a type from another program's JSON: a result, an answer.

    The function checks the JSON against the type's schema first. It ignores unknown properties of
    objects, since the other side may be newer. Calls are cheap: the 256 newest functions are kept.

    Raises:
        UsageError: the type has no JSON form. The function returned raises `InvalidResult` for a
            value that does not fit.
    """
    try:
        hash(annotation)
    except TypeError:  # metadata of `Annotated` may be unhashable
        return _make_value_loader(annotation, where)
    return _kept_value_loader(annotation, where)


def _make_value_loader(annotation: Any, where: str) -> Callable[[Any], Any]:
    builder = SchemaBuilder(output=False, closed=False)
    found = builder.type_schema(annotation, where)
    builder.definitions.complete()
    validator = builder.definitions.validator(found.schema)

    def load(value: Any) -> Any:
        if not validator.is_valid(value):
            raise InvalidResult(validator.problems(value))
        try:
            return value if found.load is None else found.load(value)
        except LOAD_ERRORS as error:
            raise InvalidResult(located(error).texts()) from None

    return load


_kept_value_loader = functools.lru_cache(maxsize=256)(_make_value_loader)


def _unsupported(annotation: Any, where: str) -> UsageError:
    if isinstance(annotation, str | typing.ForwardRef):
        return UsageError(f"{where}: the name {annotation!r} in the annotation is not resolved: define it before")
    shown = annotation.__qualname__ if isinstance(annotation, type) else str(annotation)
    return UsageError(
        f"{where}: the type {shown} has no JSON form: use a standard type, a dataclass, an attrs class, a TypedDict "
        f"or a model, or annotate it Annotated[…, trimcp.JsonSchema({{…}})] and take the JSON as it is"
    )
