"""Shapes of classes with named parts: dataclasses, attrs classes, TypedDicts, NamedTuples.

Each is a JSON object with a property for each part, under the part's own name. What is taken as
an argument refuses unknown properties, so that a model learns of a misspelt one; what is read from
somebody else's result passes over them. The classes of pydantic and msgspec are `foreign`.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from trimcp.shapes.docstrings import read_docstring
from trimcp.shapes.hints import class_hints
from trimcp.shapes.loaders import compiled_loader
from trimcp.shapes.plain import Plain, plain_named_tuple, plain_object, plain_typed_dict
from trimcp.shapes.shape import LOAD_ERRORS, NO_DEFAULT, Shape, located

if TYPE_CHECKING:
    from trimcp.shapes.builder import ShapeBuilder

OBJECT: Final = frozenset({"object"})
_FACTORY: Final = cast(type, attrs.Factory)  # its stubs make it a function


@attrs.frozen
class _Part:
    """One property of a class."""

    name: str
    annotation: Any
    required: bool
    default: Any = NO_DEFAULT
    description: str | None = None


def is_structured(cls: type) -> bool:
    """Whether a class is one of those that this file reads."""
    return (
        attrs.has(cls)
        or dataclasses.is_dataclass(cls)
        or typing.is_typeddict(cls)
        or _is_typeddict_of_extensions(cls)
        or (issubclass(cls, tuple) and hasattr(cls, "_fields"))
    )


def class_shape(cls: type, known: dict[Any, Any], where: str, build: ShapeBuilder) -> Shape:
    """The shape of a class; `known` gives its type variables their types."""
    hints = {name: substitute(hint, known) for name, hint in class_hints(cls, where).items()}
    description, described = read_docstring(_own_docstring(cls))
    typed_dict = typing.is_typeddict(cls) or _is_typeddict_of_extensions(cls)
    if typed_dict:
        parts = _typed_dict_parts(cls, hints)
    elif attrs.has(cls):
        parts = _attrs_parts(cls, hints, output=build.output)
    elif dataclasses.is_dataclass(cls):
        parts = _dataclass_parts(cls, hints, output=build.output)
    else:
        parts = _named_tuple_parts(cls, hints)
    schema: dict[str, Any] = {"type": "object"}
    if description:
        schema["description"] = description
    properties: dict[str, Any] = {}
    loads: dict[str, Callable[[Any], Any]] = {}
    plains: dict[str, Plain | None] = {}
    for part in parts:
        annotation = implied_optional(part.annotation, part.default)
        shape = build.shape(annotation, f"{where}, in `{cls.__name__}.{part.name}`")
        properties[part.name] = build.property(shape, part.default, part.description or described.get(part.name))
        plains[part.name] = shape.plain
        if shape.load is not None:
            loads[part.name] = shape.load
    schema["properties"] = properties
    always = {part.name for part in parts} if build.output and not typed_dict else set()
    if required := [part.name for part in parts if part.required or part.name in always]:
        schema["required"] = required
    if build.closed:
        schema["additionalProperties"] = False
    known_names = None if build.closed or typed_dict else frozenset(properties)
    if build.output:
        return Shape(schema, None, OBJECT, plain=_plain(cls, plains))
    made = None if typed_dict else cls
    load = _loader(made, loads, known_names)
    if load is not None:
        all_loads = {name: loads.get(name) for name in properties}
        load = compiled_loader(made, all_loads, load, closed=known_names is None)
    return Shape(schema, load, OBJECT)


def _plain(cls: type, parts: dict[str, Plain | None]) -> Plain | None:
    if typing.is_typeddict(cls) or _is_typeddict_of_extensions(cls):
        return plain_typed_dict(parts)
    return plain_named_tuple(cls, parts) if issubclass(cls, tuple) else plain_object(cls, parts)


def _loader(
    cls: Any, loads: dict[str, Callable[[Any], Any]], known_names: frozenset[str] | None
) -> Callable[[Any], Any] | None:
    if not loads and known_names is None:
        return None if cls is None else lambda value: cls(**value)
    pairs = tuple(loads.items())

    def load_parts(value: dict[str, Any]) -> Any:
        built = dict(value)
        if known_names is not None:
            built = {name: part for name, part in value.items() if name in known_names}
        name = ""
        try:
            for name, load in pairs:
                if name in built:
                    built[name] = load(built[name])
        except LOAD_ERRORS as error:
            raise located(error, name) from None
        return built if cls is None else cls(**built)

    return load_parts


def _dataclass_parts(cls: Any, hints: dict[str, Any], *, output: bool) -> list[_Part]:
    if output:
        return [
            _Part(field.name, hints[field.name], True, description=field.metadata.get("description"))
            for field in dataclasses.fields(cls)
            if not field.name.startswith("_")
        ]
    parts = []
    for field in cls.__dataclass_fields__.values():
        kind = field._field_type.name  # the only way to see InitVars, which `fields()` leaves out
        if kind == "_FIELD_CLASSVAR" or not field.init:
            continue
        hint = hints[field.name]
        annotation = hint.type if isinstance(hint, dataclasses.InitVar) else hint
        default = NO_DEFAULT if field.default is dataclasses.MISSING else field.default
        required = default is NO_DEFAULT and field.default_factory is dataclasses.MISSING
        parts.append(_Part(field.name, annotation, required, default, field.metadata.get("description")))
    return parts


def _attrs_parts(cls: Any, hints: dict[str, Any], *, output: bool) -> list[_Part]:
    parts = []
    for field in attrs.fields(cls):
        annotation = hints.get(field.name, Any)
        if output:
            if not field.name.startswith("_"):
                parts.append(_Part(field.name, annotation, True, description=field.metadata.get("description")))
        elif field.init:
            plain = field.default is not attrs.NOTHING and not isinstance(field.default, _FACTORY)
            default = field.default if plain else NO_DEFAULT
            required = field.default is attrs.NOTHING
            parts.append(_Part(field.alias, annotation, required, default, field.metadata.get("description")))
    return parts


def _named_tuple_parts(cls: Any, hints: dict[str, Any]) -> list[_Part]:
    defaults = cls._field_defaults
    return [
        _Part(name, hints.get(name, Any), name not in defaults, defaults.get(name, NO_DEFAULT)) for name in cls._fields
    ]


def _typed_dict_parts(cls: Any, hints: dict[str, Any]) -> list[_Part]:
    parts = []
    for name, hint in hints.items():
        qualifiers: set[str] = set()
        annotation = _unqualified(hint, qualifiers)
        # Under `from __future__ import annotations`, `__required_keys__` has not seen the qualifiers.
        required = "NotRequired" not in qualifiers and (name in cls.__required_keys__ or "Required" in qualifiers)
        parts.append(_Part(name, annotation, required))
    return parts


def _unqualified(hint: Any, found: set[str]) -> Any:
    """The type inside `Required`, `NotRequired`, `ReadOnly`, also where `Annotated` is around them."""
    origin = typing.get_origin(hint)
    name = getattr(origin, "_name", None) or getattr(origin, "__name__", "")
    if name in ("Required", "NotRequired", "ReadOnly"):
        found.add(name)
        return _unqualified(typing.get_args(hint)[0], found)
    if origin is typing.Annotated:
        inner = _unqualified(hint.__origin__, found)
        return typing.Annotated[(inner, *hint.__metadata__)]
    return hint


def _is_typeddict_of_extensions(cls: type) -> bool:
    return type(cls).__name__ == "_TypedDictMeta"


def _own_docstring(cls: type) -> str | None:
    """The docstring that somebody wrote for this class: not an inherited nor a generated one."""
    text = cls.__dict__.get("__doc__")
    return text if isinstance(text, str) and not text.startswith(f"{cls.__name__}(") else None


def implied_optional(annotation: Any, default: Any) -> Any:
    """`days: int = None` means `int | None`, though type checkers ask to write so."""
    if default is not None:
        return annotation
    if typing.get_origin(annotation) is typing.Annotated:
        return typing.Annotated[(typing.Union[annotation.__origin__, None], *annotation.__metadata__)]  # noqa: UP007
    return typing.Union[annotation, None]  # noqa: UP007 - not every hint has `|`


def type_arguments(annotation: Any) -> dict[Any, Any]:
    """The types that a generic class's variables stand for, through its bases.

    `annotation` is a class, or a class in square brackets.
    """
    cls = typing.get_origin(annotation) or annotation
    known: dict[Any, Any] = {}
    if cls is not annotation:
        known.update(zip(getattr(cls, "__parameters__", ()), typing.get_args(annotation), strict=False))
    for base in cls.__dict__.get("__orig_bases__", cls.__bases__):
        if typing.get_origin(base) not in (None, typing.Generic, typing.Protocol):
            inherited = type_arguments(substitute(base, known))
            known = {**inherited, **known}
    return known


def substitute(annotation: Any, known: dict[Any, Any]) -> Any:
    """An annotation with type variables replaced by the types they stand for."""
    if not known:
        return annotation
    if isinstance(annotation, typing.TypeVar):
        return known.get(annotation, annotation)
    if parameters := getattr(annotation, "__parameters__", ()):
        if isinstance(annotation, type) and typing.get_origin(annotation) is None:
            return annotation  # a generic class without brackets
        arguments = tuple(known.get(parameter, parameter) for parameter in parameters)
        return cast(Any, annotation)[arguments]
    return annotation
