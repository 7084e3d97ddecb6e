"""The providers of one server, in their order, and the calls to them: bounded in time, and contained.

A provider that raises, hangs or returns garbage fails the one request that needed it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from trimcp.errors import RequestFailed, UsageError
from trimcp.observability import events, log
from trimcp.protocol.cancelling import CancelReason
from trimcp.server.features.kinds import KINDS
from trimcp.server.features.provider import Provider, attach, detach
from trimcp.types.jsonrpc import INTERNAL_ERROR, TIMED_OUT

if TYPE_CHECKING:
    from trimcp.server.features.kinds import Kind

TIMEOUT: Final = 30.0
"""Seconds that one call to a provider may take, unless `add_provider` says otherwise."""

METHODS: Final[dict[Kind, tuple[str, ...]]] = {
    "tools": ("list_tools", "find_tool"),
    "resources": ("list_resources", "find_resource"),
    "prompts": ("list_prompts", "find_prompt"),
    "completions": ("complete",),
}
"""The methods that a provider of a feature must have."""


@attrs.frozen(eq=False)
class AddedProvider:
    """A provider as one server uses it."""

    provider: Provider
    name: str
    features: frozenset[Kind]
    timeout: float | None
    """Seconds that one call to it may take."""

    async def ask(self, expected: tuple[type[Any], ...], method: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        """Call a method of the provider, and check the class of its result.

        Raises:
            RequestFailed: the provider raised it; it failed (-32603), returned something else (-32603), or took too
                long (timed out).
        """
        with trio.CancelScope() as scope:
            if self.timeout is not None:
                scope.deadline = trio.current_time() + self.timeout
            try:
                result = await method(*args)
            except RequestFailed:
                raise
            except Exception as exc:
                raise self.failure(f"{getattr(method, '__name__', method)} raised", exc) from exc
            if not isinstance(result, expected):
                raise self.failure(f"{getattr(method, '__name__', method)} returned a {type(result).__name__}")
            return result
        log.error(events.PROVIDER_FAILED, provider=self.name, why="it did not answer in time", seconds=self.timeout)
        text = f"The provider {self.name} did not answer within {self.timeout:g} s"
        raise RequestFailed(TIMED_OUT, text, {"reason": CancelReason.DEADLINE.value})

    def failure(self, why: str, exc: Exception | None = None) -> RequestFailed:
        """Log a failure of the provider; return the error that answers the request."""
        log.error(events.PROVIDER_FAILED, exc_info=exc, provider=self.name, why=why)
        return RequestFailed(INTERNAL_ERROR, f"The provider {self.name} failed")


class ProviderRegistry:
    """The providers that were added to one server. The first one that has a name wins it."""

    def __init__(self, declared: Provider, changed: Callable[[Kind], None], updated: Callable[[str], None]) -> None:
        """
        Args:
            declared: the provider of the functions that the program declares: always the first.
            changed: tells the clients of the server that a list has changed.
            updated: tells them that a resource has changed.
        """
        self.declared = AddedProvider(declared, "", frozenset(KINDS), None)
        self.added: tuple[AddedProvider, ...] = ()
        """Without the first. A snapshot: a change makes another tuple."""
        self._tell_changed = changed
        self._tell_updated = updated

    def of(self, kind: Kind) -> tuple[AddedProvider, ...]:
        """The added providers that have a feature, in their order."""
        return tuple(added for added in self.added if kind in added.features)

    def check(self, provider: Any, timeout: float | None) -> AddedProvider:
        """Check a provider before it is added.

        Raises:
            UsageError: it is no provider, its features, its name or the timeout cannot be, or it is there already.
        """
        if timeout is not None and not timeout > 0:
            raise UsageError("the timeout of a provider must be more than 0 seconds")
        if not isinstance(provider, Provider):
            hint = ": @server.dependency declares where objects for parameters come from" if callable(provider) else ""
            raise UsageError(f"{provider!r} is no trimcp.Provider{hint}")
        features: Any = getattr(provider, "features", None)
        name: Any = provider.name or type(provider).__name__
        if isinstance(features, str) or not features or not set(features) <= set(KINDS):
            raise UsageError(f"the features of {provider!r} must be some of {', '.join(KINDS)}, and not {features!r}")
        if not isinstance(name, str):
            raise UsageError(f"the name of {provider!r} must be a text, and not {name!r}")
        for kind in features:
            for method in METHODS[kind]:
                if getattr(type(provider), method) is getattr(Provider, method):
                    raise UsageError(f"{name} has the feature {kind}: define {method} for it")
        for added in self.added:
            if added.provider is provider:
                raise UsageError(f"the server has the provider {name} already")
            if added.name == name:
                raise UsageError(f"the server has a provider named {name!r} already: give this one another name")
        return AddedProvider(provider, name, frozenset(features), timeout)

    def add(self, added: AddedProvider) -> None:
        """Add a provider behind the others."""
        self.added = (*self.added, added)
        attach(added.provider, self)

    def remove(self, provider: Provider) -> AddedProvider:
        """Remove a provider. Requests that it works for go on.

        Raises:
            UsageError: it is not there.
        """
        for added in self.added:
            if added.provider is provider:
                self.added = tuple(each for each in self.added if each is not added)
                detach(provider, self)
                return added
        raise UsageError(f"the server has no provider {provider!r}")

    # --- ChangeListener ---------------------------------------------------------------

    def changed(self, kind: Kind) -> None:
        """See `ChangeListener`."""
        self._tell_changed(kind)

    def updated(self, uri: str) -> None:
        """See `ChangeListener`."""
        self._tell_updated(uri)
