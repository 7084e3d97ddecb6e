"""Reads the signature of a function that is declared as a tool, a prompt, a resource or a completer.

The signature has the name, the description, the parameters, and the parameters that trimcp fills. This file knows
neither JSON Schema nor contexts: a predicate of the caller recognises the annotations of injected parameters.
"""

from __future__ import annotations

import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from trimcp.errors import UsageError
from trimcp.schema.docstrings import read_docstring
from trimcp.schema.hints import function_hints

CONTEXT_NAME: Final = "ctx"
"""The usual name of the context. Without its type hint, clients would have to give it as an argument."""


class _Missing:
    """The type of `MISSING`, which stands for a default or an annotation that is not there."""

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = _Missing()


@attrs.frozen(eq=False, repr=False)
class Parameter:
    """A parameter that a client gives."""

    name: str
    annotation: Any = MISSING
    """The resolved type hint with its `Annotated` metadata, or `MISSING`."""
    default: Any = MISSING
    description: str | None = None
    """The text of the docstring. A description in the annotation comes first."""
    make_default: Callable[[], Any] | None = None
    """Makes the value to pass if the client gives none, for a default that describes the value (pydantic's `Field`)."""

    @property
    def required(self) -> bool:
        """Whether the client must give the parameter."""
        return self.default is MISSING and self.make_default is None


@attrs.frozen(eq=False, repr=False)
class FunctionSignature:
    """The signature of a function, as trimcp uses it."""

    function: Callable[..., Any]
    name: str
    description: str | None
    parameters: tuple[Parameter, ...]
    injected: Mapping[str, Any]
    """The parameters that trimcp fills, with the annotations that the predicate recognised."""
    returns: Any
    """The resolved return annotation, or `MISSING`."""
    is_async: bool


def inspect_function(
    fn: Callable[..., Any], *, injected: Callable[[Any], bool], name: str | None = None
) -> FunctionSignature:
    """Read the signature of a function, bound method, callable object or `functools.partial`.

    Arguments that a partial has bound are no parameters.

    Args:
        fn: the function. `*args`, `**kwargs` and positional-only parameters are refused, since arguments come by
            name and a schema must list them.
        injected: whether trimcp fills a parameter with this annotation. It is called with the whole annotation, and
            with each member of a union.
        name: the name to use in place of the function's name.

    Raises:
        UsageError: the function cannot be declared. The message names the function and the parameter.
    """
    shown = name if name is not None else _name_of(fn)
    owner = f"{shown}()"
    _refuse_uncallable(fn, owner)
    try:
        declared = inspect.signature(fn)
    except ValueError:
        raise UsageError(f"No readable signature of {owner}: wrap it in a function") from None
    hints = function_hints(fn, owner)
    description, described = read_docstring(_docstring_of(fn))
    bound: Mapping[str, Any] = fn.keywords if isinstance(fn, functools.partial) else {}
    parameters: list[Parameter] = []
    filled: dict[str, Any] = {}
    for parameter in declared.parameters.values():
        if parameter.name in bound:
            continue
        _refuse_kind(parameter, owner, fn)
        annotation = hints.get(parameter.name, MISSING)
        if annotation is MISSING and parameter.name == CONTEXT_NAME:
            raise UsageError(f"{owner}: `ctx` has no type hint: write `ctx: trimcp.Context`")
        if (recognised := _recognise(annotation, injected)) is not None:
            filled[parameter.name] = recognised
            continue
        parameters.append(_parameter(parameter, annotation, described.get(parameter.name), owner))
    return FunctionSignature(
        function=fn,
        name=shown,
        description=description,
        parameters=tuple(parameters),
        injected=filled,
        returns=hints.get("return", MISSING),
        is_async=_is_async(fn),
    )


def _name_of(fn: Any) -> str:
    inner = fn
    while isinstance(inner, functools.partial):
        inner = inner.func
    name = getattr(inner, "__name__", type(inner).__name__)
    if name == "<lambda>":
        raise UsageError("A lambda has no name: add name=…")
    return str(name)


def _refuse_uncallable(fn: Any, owner: str) -> None:
    if isinstance(fn, staticmethod | classmethod | property):
        raise UsageError(f"{owner} is a {type(fn).__name__} in a class body: declare it by the class or an instance")
    if isinstance(fn, type):
        raise UsageError(f"{owner} is a class: declare a function that makes an instance")
    if isinstance(fn, str):
        raise UsageError(f"{fn!r} is a text, not a function: write name={fn!r} if it is the name")
    if not callable(fn):
        raise UsageError(f"{owner} is not callable: declare a function")
    inner = fn.func if isinstance(fn, functools.partial) else fn
    call = inner if inspect.isroutine(inner) else type(inner).__call__
    if inspect.isgeneratorfunction(call) or inspect.isasyncgenfunction(call):
        raise UsageError(f"{owner} is a generator: return the whole result, and report progress by ctx.progress")


def _refuse_kind(parameter: inspect.Parameter, owner: str, fn: Any) -> None:
    if parameter.kind is parameter.VAR_POSITIONAL:
        raise UsageError(f"{owner} has *{parameter.name}, but arguments come by name: use a list")
    if parameter.kind is parameter.VAR_KEYWORD:
        raise UsageError(f"{owner} has **{parameter.name}, but a schema must list arguments: use a dict[str, Any]")
    if parameter.kind is parameter.POSITIONAL_ONLY:
        raise UsageError(f"{owner} has the positional-only parameter `{parameter.name}`: remove the `/`")
    if parameter.name in ("self", "cls") and parameter.annotation is parameter.empty and _is_method(fn):
        raise UsageError(f"{owner} is a method that is not bound: declare it by an instance, tool(instance.method)")


def _is_method(fn: Any) -> bool:
    outer = getattr(fn, "__qualname__", "").rpartition(".")[0]
    return bool(outer) and not outer.endswith("<locals>")


def _recognise(annotation: Any, injected: Callable[[Any], bool]) -> Any:
    """Return the injected annotation, or None. `Context | None` is recognised by its member."""
    if annotation is MISSING:
        return None
    if injected(annotation):
        return annotation
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _recognise(typing.get_args(annotation)[0], injected)
    if origin in (typing.Union, types.UnionType):
        for member in typing.get_args(annotation):
            if member is not type(None) and (found := _recognise(member, injected)) is not None:
                return found
    return None


def _parameter(parameter: inspect.Parameter, annotation: Any, described: str | None, owner: str) -> Parameter:
    default = MISSING if parameter.default is parameter.empty else parameter.default
    if _is_pydantic_field(default):
        # `days: int = Field(3, ge=1)`: the field describes the parameter and holds the default.
        field: Any = default
        if annotation is MISSING:
            raise UsageError(f"{owner}: `{parameter.name}` has a Field and no type hint: add one")
        annotation = typing.Annotated[annotation, field]
    elif default is not MISSING:
        return Parameter(parameter.name, annotation, default, described)
    else:
        # `days: Annotated[int, Field(default=3)]`
        fields = [item for item in getattr(annotation, "__metadata__", ()) if _is_pydantic_field(item)]
        field = next((item for item in reversed(fields) if not item.is_required()), None)
    if field is None or field.is_required():
        return Parameter(parameter.name, annotation, MISSING, described)
    if field.default_factory_takes_validated_data:
        raise UsageError(f"{owner}: the default_factory of `{parameter.name}` takes data: use one without parameters")
    make = functools.partial(field.get_default, call_default_factory=True)
    shown = MISSING if field.default_factory is not None else field.default
    return Parameter(parameter.name, annotation, shown, described, make_default=make)


def _is_pydantic_field(default: Any) -> bool:
    kind = type(default)
    return kind.__name__ == "FieldInfo" and kind.__module__.startswith("pydantic.")


def _docstring_of(fn: Any) -> str | None:
    inner = fn
    while isinstance(inner, functools.partial):
        inner = inner.func
    if inspect.isroutine(inner):
        return inspect.getdoc(inner)
    text: str | None = type(inner).__call__.__doc__ or type(inner).__doc__
    return text


def _is_async(fn: Any) -> bool:
    while isinstance(fn, functools.partial):
        fn = fn.func
    return inspect.iscoroutinefunction(fn if inspect.isroutine(fn) else type(fn).__call__)
