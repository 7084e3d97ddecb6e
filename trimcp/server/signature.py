"""A plain function, read once as the declaration of a tool (or a prompt, or a resource).

Owns what the function's own source says: name, description, parameters, what it is given by
trimcp beside its arguments. It knows no JSON Schema (`schema` does) and no context class: the
caller's predicate says which annotations are not arguments. The registries of tools and prompts
call `inspect_function` at registration.
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
from trimcp.shapes.docstrings import read_docstring
from trimcp.shapes.hints import function_hints


class _Missing:
    """The default of a parameter that has none, the annotation of what has none."""

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = _Missing()


@attrs.frozen
class Parameter:
    """One parameter that the caller of the tool gives."""

    name: str
    annotation: Any = MISSING
    """The resolved type hint with its `Annotated` metadata; `MISSING` if there is none."""
    default: Any = MISSING
    description: str | None = None
    """From the docstring; what the annotation itself says comes first."""
    make_default: Callable[[], Any] | None = None
    """Set where the function's own default is not the value but describes it (pydantic's
    `Field`): whoever calls the function must then pass what this makes."""

    @property
    def required(self) -> bool:
        """Whether the caller must give it."""
        return self.default is MISSING and self.make_default is None


@attrs.frozen
class ToolSignature:
    """What a function's source says about it as a tool."""

    function: Callable[..., Any]
    name: str
    description: str | None
    parameters: tuple[Parameter, ...]
    injected: Mapping[str, Any]
    """Parameters that trimcp fills, with the annotation that the predicate recognised."""
    returns: Any
    """The resolved return annotation; `MISSING` if there is none."""
    is_async: bool


def inspect_function(
    fn: Callable[..., Any], *, injected: Callable[[Any], bool], name: str | None = None
) -> ToolSignature:
    """Read a function, bound method, callable object or `functools.partial`.

    What a partial has bound is fixed and no parameter any more.

    Args:
        fn: the function. `*args`, `**kwargs` and positional-only parameters are refused, since
            arguments come by name and a schema must list them.
        injected: whether an annotation is filled by trimcp. It is asked about the whole
            annotation, and about each member of a union.
        name: the name to use instead of the function's own.

    Raises:
        UsageError: the function cannot be a tool; the message names it, the parameter, and what
            to do.
    """
    shown = name if name is not None else _name_of(fn)
    owner = f"{shown}()"
    _refuse_uncallable(fn, owner)
    try:
        declared = inspect.signature(fn)
    except ValueError:
        raise UsageError(f"{owner} has no signature that Python can read; wrap it in a function of your own") from None
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
        if (recognised := _recognise(annotation, injected)) is not None:
            filled[parameter.name] = recognised
            continue
        parameters.append(_parameter(parameter, annotation, described.get(parameter.name), owner))
    return ToolSignature(
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
        raise UsageError("a lambda has no name of its own: give one, name=…")
    return str(name)


def _refuse_uncallable(fn: Any, owner: str) -> None:
    if isinstance(fn, staticmethod | classmethod | property):
        raise UsageError(f"{owner} is a {type(fn).__name__} inside a class: register it on the class or an instance")
    if isinstance(fn, type):
        raise UsageError(f"{owner} is a class: register a function that makes an instance")
    if not callable(fn):
        raise UsageError(f"{owner} is not callable")
    inner = fn.func if isinstance(fn, functools.partial) else fn
    call = inner if inspect.isroutine(inner) else type(inner).__call__
    if inspect.isgeneratorfunction(call) or inspect.isasyncgenfunction(call):
        raise UsageError(f"{owner} is a generator: return the whole result, and report progress by the context")


def _refuse_kind(parameter: inspect.Parameter, owner: str, fn: Any) -> None:
    if parameter.kind is parameter.VAR_POSITIONAL:
        raise UsageError(f"{owner} has *{parameter.name}: arguments come by name; take a list instead")
    if parameter.kind is parameter.VAR_KEYWORD:
        raise UsageError(f"{owner} has **{parameter.name}: a schema must list them; take a dict[str, Any] instead")
    if parameter.kind is parameter.POSITIONAL_ONLY:
        raise UsageError(f"{owner} has the positional-only parameter `{parameter.name}`: arguments come by name")
    if parameter.name in ("self", "cls") and parameter.annotation is parameter.empty and _is_method(fn):
        raise UsageError(f"{owner} is a method that is not bound: register it on an instance, tool(instance.method)")


def _is_method(fn: Any) -> bool:
    outer = getattr(fn, "__qualname__", "").rpartition(".")[0]
    return bool(outer) and not outer.endswith("<locals>")


def _recognise(annotation: Any, injected: Callable[[Any], bool]) -> Any:
    """The annotation that trimcp fills, or None; `Context | None` is recognised by its member."""
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
    if not _is_pydantic_field(default):
        return Parameter(parameter.name, annotation, default, described)
    # `days: int = Field(3, ge=1)`: the field describes the parameter and holds the default.
    field: Any = default
    if annotation is MISSING:
        raise UsageError(f"{owner}: `{parameter.name}` has a Field but no type hint; add one")
    annotation = typing.Annotated[annotation, field]
    if field.is_required():
        return Parameter(parameter.name, annotation, MISSING, described)
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
