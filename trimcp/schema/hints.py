"""Resolves annotations: strings become types, wherever their names were defined.

`typing.get_type_hints` does not find the names of classes that are local to the function that
registers a tool; this file does. The signature of a tool resolves functions with it, `classes` the
fields of classes. `builder` reads the hints.
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable
from typing import Any

from trimcp.errors import UsageError


def function_hints(fn: Callable[..., Any], owner: str) -> dict[str, Any]:
    """Return the resolved annotations of a function or callable object, `Annotated` included.

    Raises:
        UsageError: a name in an annotation cannot be found; the message begins with `owner`.
    """
    target = fn
    while isinstance(target, functools.partial):
        target = target.func
    if not inspect.isroutine(target):
        target = type(target).__call__
    target = inspect.unwrap(getattr(target, "__func__", target))
    namespace: dict[str, Any] = getattr(target, "__globals__", {})
    return _resolve(target, namespace, target.__qualname__, owner)


def class_hints(cls: type, owner: str) -> dict[str, Any]:
    """Return the resolved annotations of a class and its bases, `Annotated` and `Required` included.

    Raises:
        UsageError: a name in an annotation cannot be found.
    """
    namespace = vars(sys.modules[cls.__module__]) if cls.__module__ in sys.modules else {}
    return _resolve(cls, namespace, cls.__qualname__, owner)


def alias_value(alias: Any, owner: str) -> Any:
    """Return the value of a type alias (`type X = …`, or `TypeAliasType`), with its names resolved.

    Raises:
        UsageError: a name in it cannot be found.
    """
    quoted = types.SimpleNamespace(__annotations__={"value": alias.__value__})
    namespace = vars(sys.modules[alias.__module__]) if alias.__module__ in sys.modules else {}
    try:
        return typing.get_type_hints(quoted, globalns=namespace, include_extras=True)["value"]
    except NameError as error:
        raise UsageError(
            f"{owner}: the alias {alias.__name__} needs the name `{error.name}`: define it before"
        ) from None


def _resolve(target: Any, namespace: dict[str, Any], qualname: str, owner: str) -> dict[str, Any]:
    try:
        return typing.get_type_hints(target, include_extras=True)
    except NameError:
        pass
    except (TypeError, SyntaxError, AttributeError) as error:
        raise UsageError(f"{owner}: an annotation is not a type: {error}") from None
    local_names = _enclosing_names(qualname, namespace)
    if isinstance(target, type):
        local_names.setdefault(target.__name__, target)
    try:
        return typing.get_type_hints(target, localns=local_names, include_extras=True)
    except NameError:
        pass
    for name, annotation in _unresolved(target).items():
        alone = types.SimpleNamespace(__annotations__={name: annotation})
        try:
            typing.get_type_hints(alone, globalns=namespace, localns=local_names)
        except NameError as error:
            what = "the return annotation" if name == "return" else f"the annotation of `{name}`"
            raise UsageError(
                f"{owner}: {what} needs the name `{error.name}`, which is not found at registration: "
                f"import it outside `if TYPE_CHECKING`, or define it at the level of the module"
            ) from None
    raise UsageError(f"{owner}: its annotations cannot be resolved: define their types at the level of the module")


def _unresolved(target: Any) -> dict[str, Any]:
    annotations: dict[str, Any] = {}
    for owner in reversed(target.__mro__) if isinstance(target, type) else (target,):
        try:
            annotations.update(inspect.get_annotations(owner))
        except NameError:  # from Python 3.14 on, reading annotations evaluates them
            continue
    return annotations


def _enclosing_names(qualname: str, namespace: dict[str, Any]) -> dict[str, Any]:
    """Return the local names of the enclosing functions of a definition that are still running.

    Registration happens where the function is defined, so its enclosing function is on the stack.
    """
    enclosing = set()
    outer, found, _ = qualname.rpartition(".<locals>.")
    while found:
        enclosing.add(outer)
        outer, found, _ = outer.rpartition(".<locals>.")
    names: dict[str, Any] = {}
    frame = sys._getframe(1) if enclosing else None
    while frame is not None:
        if frame.f_code.co_qualname in enclosing and frame.f_globals is namespace:
            names = {**frame.f_locals, **names}
        frame = frame.f_back
    return names
