"""Schemas of classes with named parts: dataclasses, attrs classes, TypedDicts, NamedTuples.

Each is a JSON object with a property for each part, under the part's own name. Arguments refuse
unknown properties, so that a model learns of a misspelling; results of other programs may have them.
The classes of pydantic and msgspec are in `third_party`.

The loader of a class (a function from a JSON object to an instance) is compiled, since a loop over
the properties takes twice as long. The compiled function leaves every error to the general loader,
which has the loop and finds the place; so a class that refuses its arguments is called twice.
"""

from __future__ import annotations

import dataclasses
import inspect
import keyword
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

import attrs

from trimcp.schema.definitions import Definitions
from trimcp.schema.docstrings import read_docstring
from trimcp.schema.dump import (
    ToBuiltins,
    is_private,
    named_tuple_to_builtins,
    object_to_builtins,
    typed_dict_to_builtins,
)
from trimcp.schema.hints import class_hints
from trimcp.schema.scalars import as_float, as_int
from trimcp.schema.type_schema import LOAD_ERRORS, NO_DEFAULT, TypeSchema, located

OBJECT: Final = frozenset({"object"})
_FACTORY: Final = cast(type, attrs.Factory)  # its stubs make it a function


@attrs.frozen(eq=False, repr=False)
class _Part:
    """Holds one part of a class."""

    name: str
    annotation: Any
    required: bool
    default: Any = NO_DEFAULT
    description: str | None = None


def is_structured(cls: type) -> bool:
    """Tell whether this file reads a class."""
    return (
        attrs.has(cls)
        or dataclasses.is_dataclass(cls)
        or typing.is_typeddict(cls)
        or _is_typeddict_of_extensions(cls)
        or (issubclass(cls, tuple) and hasattr(cls, "_fields"))
    )


def class_schema(
    cls: type,
    known: dict[Any, Any],
    where: str,
    read: Callable[[Any, str], TypeSchema],
    definitions: Definitions,
) -> TypeSchema:
    """Return the schema of a class.

    Args:
        cls: the class.
        known: the types of its type variables.
        where: the owner of the hint, for errors.
        read: reads the hints of its parts.
        definitions: of the schema that is built.
    """
    hints = {name: substitute(hint, known) for name, hint in class_hints(cls, where).items()}
    description, described = read_docstring(_own_docstring(cls))
    typed_dict = typing.is_typeddict(cls) or _is_typeddict_of_extensions(cls)
    if typed_dict:
        parts = _typed_dict_parts(cls, hints)
    elif attrs.has(cls):
        parts = _attrs_parts(cls, hints, output=definitions.output)
    elif dataclasses.is_dataclass(cls):
        parts = _dataclass_parts(cls, hints, output=definitions.output)
    else:
        parts = _named_tuple_parts(cls, hints)
    schema: dict[str, Any] = {"type": "object"}
    if description:
        schema["description"] = description
    properties: dict[str, Any] = {}
    loads: dict[str, Callable[[Any], Any]] = {}
    converters: dict[str, ToBuiltins | None] = {}
    for part in parts:
        annotation = implied_optional(part.annotation, part.default)
        found = read(annotation, f"{where}, in `{cls.__name__}.{part.name}`")
        properties[part.name] = definitions.property(found, part.default, part.description or described.get(part.name))
        converters[part.name] = found.to_builtins
        if found.load is not None:
            loads[part.name] = found.load
    schema["properties"] = properties
    always = {part.name for part in parts} if definitions.output and not typed_dict else set()
    if required := [part.name for part in parts if part.required or part.name in always]:
        schema["required"] = required
    if definitions.closed:
        schema["additionalProperties"] = False
    known_names = None if definitions.closed or typed_dict else frozenset(properties)
    if definitions.output:
        return TypeSchema(schema, None, OBJECT, to_builtins=_to_builtins(cls, converters))
    made = None if typed_dict else cls
    load = _loader(made, loads, known_names)
    if load is not None:
        all_loads = {name: loads.get(name) for name in properties}
        load = compiled_loader(made, all_loads, load, closed=known_names is None)
    return TypeSchema(schema, load, OBJECT)


def _to_builtins(cls: type, parts: dict[str, ToBuiltins | None]) -> ToBuiltins | None:
    if typing.is_typeddict(cls) or _is_typeddict_of_extensions(cls):
        return typed_dict_to_builtins(parts)
    return named_tuple_to_builtins(cls, parts) if issubclass(cls, tuple) else object_to_builtins(cls, parts)


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
            if not is_private(field)
        ]
    parts = []
    for field in cls.__dataclass_fields__.values():
        kind = field._field_type.name  # `fields()` leaves out InitVars
        if kind == "_FIELD_CLASSVAR" or not field.init or is_private(field):
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
        # Under `from __future__ import annotations`, `__required_keys__` ignores the qualifiers.
        required = "NotRequired" not in qualifiers and (name in cls.__required_keys__ or "Required" in qualifiers)
        parts.append(_Part(name, annotation, required))
    return parts


def _unqualified(hint: Any, found: set[str]) -> Any:
    """Return the type inside `Required`, `NotRequired`, `ReadOnly`, also inside `Annotated`."""
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
    """Return the docstring written for this class; not an inherited or a generated one."""
    text = cls.__dict__.get("__doc__")
    return text if isinstance(text, str) and not text.startswith(f"{cls.__name__}(") else None


def implied_optional(annotation: Any, default: Any) -> Any:
    """Add None to a hint with the default None: `days: int = None` means `int | None`."""
    if default is not None:
        return annotation
    if typing.get_origin(annotation) is typing.Annotated:
        return typing.Annotated[(typing.Union[annotation.__origin__, None], *annotation.__metadata__)]  # noqa: UP007
    return typing.Union[annotation, None]  # noqa: UP007 - not every hint has `|`


def type_arguments(annotation: Any) -> dict[Any, Any]:
    """Return the types of a generic class's variables, those of its bases included.

    `annotation` is a class, or a class with type arguments.
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
    """Replace the type variables of an annotation by their types."""
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


Load = Callable[[Any], Any]

_INLINE: Final[dict[Load | None, str]] = {
    None: "{}",
    as_int: "(int(x) if type(x := {}) is float else x)",
    as_float: "(float(x) if type(x := {}) is int else x)",
}
_IN_PLACE: Final[dict[Load, str]] = {
    as_int: "if type(x := made.get({0!r})) is float: made[{0!r}] = int(x)",
    as_float: "if type(x := made.get({0!r})) is int: made[{0!r}] = float(x)",
}


def compiled_loader(cls: Any, loads: Mapping[str, Load | None], general: Load, *, closed: bool) -> Load:
    """Return a faster function with the results of `general`.

    Args:
        cls: the class to make of the properties; None: a dict.
        loads: all properties, with the loaders of their values.
        general: the loader for errors and unusual objects.
        closed: whether the JSON object has no other properties.
    """
    made: dict[str, Any] = {"cls": cls, "general": general, "errors": (*LOAD_ERRORS, KeyError), "names": loads.keys()}
    made |= {f"load_{number}": load for number, load in enumerate(loads.values())}
    lines = []
    if cls is not None and all(name.isidentifier() and not keyword.iskeyword(name) for name in loads):
        is_whole = f"len(value) == {len(loads)}" if closed else "value.keys() == names"
        lines += [f"if {is_whole}: return cls({', '.join(_arguments(cls, loads))})"]
    if closed or cls is None:
        lines += ["made = value.copy()"]
        for number, (name, load) in enumerate(loads.items()):
            if load is not None:
                otherwise = f"if {{0!r}} in made: made[{{0!r}}] = load_{number}(made[{{0!r}}])"
                lines.append(_IN_PLACE.get(load, otherwise).format(name))
        lines.append("return made" if cls is None else "return cls(**made)")
    body = "\n        ".join(lines)
    # Compiled, as dataclasses and attrs do it. The source holds only identifiers and literals.
    exec(f"def load(value):\n    try:\n        {body}\n    except errors: pass\n    return general(value)", made)  # noqa: S102
    compiled: Load = made["load"]
    return compiled


def _arguments(cls: Any, loads: Mapping[str, Load | None]) -> list[str]:
    positional = _positional(cls)
    arguments = []
    for number, (name, load) in enumerate(loads.items()):
        given = _INLINE.get(load, f"load_{number}({{}})").format(f"value[{name!r}]")
        by_position = number < len(positional) and positional[number] == name
        if not by_position:
            positional = ()
        arguments.append(given if by_position else f"{name}={given}")
    return arguments


def _positional(cls: Any) -> Sequence[str]:
    """Return the parameters that the class certainly takes by position, twice as fast as by name."""
    if type(cls).__call__ is not type.__call__ or cls.__new__ is not object.__new__:
        return ()
    try:
        parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
    except (ValueError, TypeError):  # written in C, without a signature
        return ()
    return [parameter.name for parameter in parameters if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
