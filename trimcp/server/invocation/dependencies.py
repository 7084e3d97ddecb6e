"""Dependencies: objects that handlers get beside their arguments, by the annotation of a parameter.

A dependency is a function that returns an object of the type that it is annotated with, or an async generator
function that yields one. A handler that annotates a parameter with that type gets an object for each call. The code
after the `yield` runs when the call has ended. (`trimcp.Provider` is different: see `features/provider`.)
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any

import attrs
import trio

from trimcp.errors import UsageError
from trimcp.schema.hints import function_hints
from trimcp.server.context.context import Context


@attrs.frozen(eq=False, repr=False)
class Dependency:
    """A function that makes objects of one type."""

    make: Callable[..., Any]
    """Returns the object, an awaitable of it, or the async generator or context manager that yields it."""
    takes_context: bool
    yields: bool


class Dependencies:
    """Holds the types of the objects that a server can inject: `Context`, and those of its dependencies."""

    def __init__(self) -> None:
        self._by_type: dict[Any, Dependency] = {}

    def add(self, function: Callable[..., Any]) -> None:
        """Register a function under the type of its return annotation.

        Raises:
            UsageError: the annotation is missing, the function takes other arguments than the context, or the type
                has a dependency.
        """
        name = getattr(function, "__name__", repr(function))
        hints = function_hints(function, f"the dependency {name}")
        provides = hints.get("return")
        if provides is None or provides is Any:
            raise UsageError(f"The dependency {name} has no return annotation: annotate the type that handlers ask for")
        inner = inspect.unwrap(function)
        if inspect.isgeneratorfunction(inner):
            raise UsageError(f"The dependency {name} is a plain generator: declare it with async def")
        yields = inspect.isasyncgenfunction(inner)
        if yields:
            if typing.get_origin(provides) not in (AsyncIterator, AsyncGenerator):
                raise UsageError(f"The dependency {name} yields: annotate its return as AsyncIterator[…]")
            provides = typing.get_args(provides)[0]
        parameters = list(inspect.signature(function).parameters.values())
        if len(parameters) > 1 or any(hints.get(p.name) is not Context for p in parameters):
            raise UsageError(
                f"Invalid parameters of the dependency {name}: use none, or one parameter annotated trimcp.Context"
            )
        if provides is Context or provides in self._by_type:
            raise UsageError(f"Duplicate dependency for {provides!r}: declare one for each type")
        self._by_type[provides] = Dependency(function, bool(parameters), yields)

    def injects(self, annotation: Any) -> bool:
        """Whether a parameter with this annotation is injected, and so no argument."""
        if is_context(annotation):
            return True
        try:
            return annotation in self._by_type
        except TypeError:  # the annotation cannot be hashed, so no dependency has it
            return False

    def injection(self, wanted: Mapping[str, Any]) -> Injection | None:
        """Compile the injected parameters of a function, given with their annotations; None if there are none."""
        if not wanted:
            return None
        contexts = [name for name, annotation in wanted.items() if is_context(annotation)]
        provided = {name: self._by_type[a] for name, a in wanted.items() if not is_context(a)}
        return Injection(tuple(contexts), provided)


def is_context(annotation: Any) -> bool:
    """Whether an annotation is `Context`, or `Context | None`."""
    if annotation is Context:
        return True
    return Context in typing.get_args(annotation) and type(None) in typing.get_args(annotation)


@attrs.frozen(eq=False, repr=False)
class Injection:
    """The injected parameters of one function."""

    contexts: tuple[str, ...]
    """Parameters that get the context."""
    provided: dict[str, Dependency]
    """Parameters that get an object of a dependency."""

    async def fill(self, arguments: dict[str, Any], context: Context, stack: AsyncExitStack) -> None:
        """Add the objects of dependencies to the arguments; `stack` closes them after the call."""
        for name, dependency in self.provided.items():
            made = dependency.make(context) if dependency.takes_context else dependency.make()
            if dependency.yields:
                made = await stack.enter_async_context(_as_context(made))
            elif inspect.isawaitable(made):
                made = await made
            arguments[name] = made


def _as_context(made: Any) -> AbstractAsyncContextManager[Any]:
    """Return the context manager that enters an async generator; or `made` itself, if it is one already."""
    return asynccontextmanager(lambda: made)() if isinstance(made, AsyncGenerator) else made


async def swallowed_error(function: str) -> RuntimeError:
    """Return the error of a call whose exception was swallowed by a dependency, so that there is no result.

    Raises:
        Cancelled: the exception was the cancellation.
    """
    await trio.lowlevel.checkpoint()
    return RuntimeError(f"A dependency of {function}() swallowed the exception of the call: raise it after the yield")
