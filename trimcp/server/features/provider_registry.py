"""Holds the providers of one server, and calls them with a bound on time.

A provider that raises, hangs or returns a wrong value fails only the request that needed it.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final

import attrs
import trio

from trimcp.errors import RequestFailed, UsageError
from trimcp.observability import events, log
from trimcp.protocol.cancel_reason import CancelReason
from trimcp.protocol.scopes import check_scopes
from trimcp.server.features import FEATURES, Feature
from trimcp.server.features.provider import ChangeListener, Provider, attach, detach
from trimcp.types.jsonrpc import INTERNAL_ERROR, TIMED_OUT

TIMEOUT: Final = 30.0
"""The default of seconds for one call to a provider."""

METHODS: Final[dict[Feature, tuple[str, ...]]] = {
    "tools": ("list_tools", "find_tool"),
    "resources": ("list_resources", "find_resource"),
    "prompts": ("list_prompts", "find_prompt"),
    "completions": ("complete",),
}
"""The methods that a provider of a feature must have."""


@attrs.frozen(eq=False, repr=False)
class AddedProvider:
    """A provider that was added to one server."""

    provider: Provider
    name: str
    features: frozenset[Feature]
    timeout: float | None
    """Seconds for one call to the provider; None for no bound."""

    async def ask(self, expected: tuple[type[Any], ...], method: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        """Call a method of the provider, and check the class of its result.

        Raises:
            RequestFailed: the provider raised it; or the provider failed (-32603), returned another class (-32603),
                or took too long (timed out).
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
        log.error(events.PROVIDER_FAILED, provider=self.name, why="no answer in time", seconds=self.timeout)
        text = f"The provider {self.name} did not answer within {self.timeout:g} s"
        raise RequestFailed(TIMED_OUT, text, {"reason": CancelReason.DEADLINE.value})

    @property
    def has_scopes(self) -> bool:
        """Whether its items may need scopes."""
        return type(self.provider).scopes is not Provider.scopes

    def scopes(self, feature: Feature, key: str) -> frozenset[str]:
        """Return the scopes that an item of the provider needs.

        Raises:
            RequestFailed: the provider failed, or returned something else.
        """
        try:
            return frozenset(check_scopes(self.provider.scopes(feature, key)))
        except Exception as exc:
            raise self.failure("scopes raised, or returned something else", exc) from exc

    def failure(self, why: str, exc: Exception | None = None) -> RequestFailed:
        """Log a failure of the provider, and return the error that answers the request."""
        log.error(events.PROVIDER_FAILED, exc_info=exc, provider=self.name, why=why)
        return RequestFailed(INTERNAL_ERROR, f"The provider {self.name} failed")


class ProviderRegistry:
    """Holds the providers that were added to one server, in their order."""

    def __init__(self, listener: ChangeListener) -> None:
        """`listener`: notifies the clients of the server of the changes that providers report."""
        self._listener = listener
        self.added: tuple[AddedProvider, ...] = ()
        """A snapshot: each change makes another tuple."""

    def of(self, feature: Feature) -> tuple[AddedProvider, ...]:
        """Return the providers that have a feature, in their order."""
        return tuple(added for added in self.added if feature in added.features)

    def scopes(self, feature: Feature, key: str) -> frozenset[str]:
        """Return the scopes that an item needs by the answers of all providers.

        Raises:
            RequestFailed: a provider failed.
        """
        return frozenset[str]().union(*(added.scopes(feature, key) for added in self.added))

    def check(self, provider: Any, timeout: float | None) -> AddedProvider:
        """Check a provider before it is added.

        Raises:
            UsageError: the object is no provider, its features, its name or the timeout are invalid, or the server
                has the provider already.
        """
        if timeout is not None and not timeout > 0:
            raise UsageError(f"Invalid timeout of the provider {provider!r}: use more than 0 seconds")
        if not isinstance(provider, Provider):
            hint = " (objects for the parameters of handlers: @server.dependency)" if callable(provider) else ""
            raise UsageError(f"Invalid provider {provider!r}: add an instance of a subclass of trimcp.Provider{hint}")
        features: Any = getattr(provider, "features", None)
        name: Any = provider.name or type(provider).__name__
        if isinstance(features, str) or not features or not set(features) <= set(FEATURES):
            raise UsageError(f"Invalid features {features!r} of {provider!r}: use some of {', '.join(FEATURES)}")
        if not isinstance(name, str):
            raise UsageError(f"Invalid name {name!r} of {provider!r}: use a str")
        for feature in features:
            for method in METHODS[feature]:
                if getattr(type(provider), method) is getattr(Provider, method):
                    raise UsageError(f"The provider {name} has the feature {feature}, not {method}: define it")
        if inspect.iscoroutinefunction(provider.scopes):
            raise UsageError(f"The method scopes of the provider {name} is async: it must not be async, nor wait")
        for added in self.added:
            if added.provider is provider:
                raise UsageError(f"Duplicate provider {name}: add a provider once to a server")
            if added.name == name:
                raise UsageError(f"Duplicate provider name {name!r}: give one of the two providers another name")
        return AddedProvider(provider, name, frozenset(features), timeout)

    def add(self, added: AddedProvider) -> None:
        """Add a provider behind the others."""
        self.added = (*self.added, added)
        attach(added.provider, self._listener)

    def remove(self, provider: Provider) -> AddedProvider:
        """Remove a provider. Requests that the provider works for continue.

        Raises:
            UsageError: the server does not have the provider.
        """
        for added in self.added:
            if added.provider is provider:
                self.added = tuple(each for each in self.added if each is not added)
                detach(provider, self._listener)
                return added
        raise UsageError(f"Unknown provider {provider!r}: use a provider that was added to the server")
