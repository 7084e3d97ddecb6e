"""Dependencies of a handler: objects that it gets beside its arguments, by the annotation of a parameter.

A dependency is a function that returns, or an async generator function that yields once, an object of the
type it is annotated with. A handler that annotates a parameter with that type gets one for each call; the
code after the `yield` runs when the call has ended. A `trimcp.Provider` is another thing: see `features/provider`.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import attrs
import trio

from trimcp.errors import UsageError
from trimcp.server.context import Context
from trimcp.shapes.hints import function_hints


@attrs.frozen
class Dependency:
    """A function that makes objects of one type."""

    provides: Any
    make: Callable[..., Any]
    takes_context: bool
    kind: str
    """`value`, `awaitable` or `managed`."""


class Dependencies:
    """The types that a server can inject: the context, and those of its dependencies."""

    def __init__(self) -> None:
        self._by_type: dict[Any, Dependency] = {}

    def add(self, function: Callable[..., Any]) -> None:
        """Register a function under the type of its return annotation.

        Raises:
            UsageError: it has none, takes arguments other than the context, or the type has a dependency.
        """
        name = getattr(function, "__name__", repr(function))
        hints = function_hints(function, f"the dependency {name}")
        provides = hints.get("return")
        if provides is None or provides is Any:
            raise UsageError(f"annotate what the dependency {name} returns: handlers ask for it by that type")
        kind = "awaitable" if inspect.iscoroutinefunction(function) else "value"
        make = function
        if inspect.isasyncgenfunction(function):
            if typing.get_origin(provides) not in (AsyncIterator, AsyncGenerator):
                raise UsageError(f"annotate the dependency {name} as returning AsyncIterator[…]")
            provides = typing.get_args(provides)[0]
            make, kind = asynccontextmanager(function), "managed"
        parameters = list(inspect.signature(function).parameters.values())
        if len(parameters) > 1 or any(hints.get(p.name) is not Context for p in parameters):
            raise UsageError(f"the dependency {name} may take one parameter, annotated trimcp.Context, and no other")
        if provides is Context or provides in self._by_type:
            raise UsageError(f"{provides!r} has a dependency already")
        self._by_type[provides] = Dependency(provides, make, bool(parameters), kind)

    def injects(self, annotation: Any) -> bool:
        """Whether a parameter with this annotation is injected rather than an argument."""
        if is_context(annotation):
            return True
        try:
            return annotation in self._by_type
        except TypeError:  # an annotation that cannot be hashed is no dependency's type
            return False

    def injection(self, wanted: dict[str, Any]) -> Injection | None:
        """Compile what a function wants, as parameter name to annotation; None where it wants nothing."""
        if not wanted:
            return None
        contexts = [name for name, annotation in wanted.items() if is_context(annotation)]
        provided = {name: self._by_type[a] for name, a in wanted.items() if not is_context(a)}
        return Injection(tuple(contexts), provided)


def is_context(annotation: Any) -> bool:
    """Whether it is `Context`, or `Context | None`."""
    if annotation is Context:
        return True
    return Context in typing.get_args(annotation) and type(None) in typing.get_args(annotation)


@attrs.frozen
class Injection:
    """What one function wants injected."""

    contexts: tuple[str, ...]
    provided: dict[str, Dependency]

    async def fill(self, arguments: dict[str, Any], context: Context, stack: AsyncExitStack) -> None:
        """Add what is wanted to the arguments; `stack` holds what must be undone after the call."""
        for name in self.contexts:
            arguments[name] = context
        for name, dependency in self.provided.items():
            made = dependency.make(context) if dependency.takes_context else dependency.make()
            if dependency.kind == "awaitable":
                made = await made
            elif dependency.kind == "managed":
                made = await stack.enter_async_context(made)
            arguments[name] = made


async def swallowed(function: str) -> RuntimeError:
    """Returns the error of a call whose failure a dependency swallowed, so that there is no result.

    Raises:
        Cancelled: it was that.
    """
    await trio.lowlevel.checkpoint()
    return RuntimeError(f"a dependency of {function} swallowed what the call raised: raise it again after its yield")
