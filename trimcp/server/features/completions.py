"""Completion: the registry of functions that complete arguments, its snapshots, and `completion/complete`.

Completers are functions of the user; an argument whose type lists its values (`Literal`, an
enumeration, `bool`) needs none. server/utilities/completion of every revision.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sized
from types import MappingProxyType
from typing import Any

import trio

from trimcp.errors import InvalidParams, InvalidResult, UsageError
from trimcp.server.dependencies import Dependencies
from trimcp.server.features.prompts import FunctionPrompt, PromptRegistry
from trimcp.server.features.provider_registry import ProviderRegistry
from trimcp.server.features.resources import ResourceRegistry
from trimcp.server.function import MakeContext, PreparedFunction
from trimcp.server.resource import FunctionResource
from trimcp.server.signature import inspect_function
from trimcp.server.texts import InvalidTexts, TextBinder, TextParameter
from trimcp.session.request import InboundRequest
from trimcp.types.completion import MAX_COMPLETION_VALUES, CompleteRequestParams, CompleteResult, Completion
from trimcp.types.prompts import PromptReference

Owner = FunctionPrompt | FunctionResource


class Completer:
    """One function that completes one argument."""

    def __init__(
        self,
        function: Callable[..., Any],
        names: Iterable[str],
        dependencies: Dependencies,
        threads: trio.CapacityLimiter,
    ) -> None:
        """
        Raises:
            UsageError: the function takes no value, or something that is no argument.
        """
        signature = inspect_function(function, injected=dependencies.injects)
        self.owner = f"{signature.name}()"
        if not signature.parameters:
            raise UsageError(f"{self.owner} completes an argument: its first parameter is what there is of it, a str")
        self._value, *given = signature.parameters
        for parameter in given:
            if parameter.name not in names:
                raise UsageError(f"{self.owner}: {parameter.name!r} is none of the arguments {', '.join(names)}")
        self._binder = TextBinder(given, self.owner)
        self._function = PreparedFunction(signature, dependencies, threads)

    async def complete(
        self, request: InboundRequest, value: str, given: Mapping[str, str], context: MakeContext
    ) -> Completion:
        """Call the function; nothing is known as long as an argument that it needs is not."""
        known = {name: text for name, text in given.items() if self._fits(name, text)}
        try:
            kwargs = self._binder.bind(known)
        except InvalidTexts:
            return Completion([], total=0, has_more=False)
        kwargs[self._value.name] = value
        return completion_of(await self._function.call(request, kwargs, context), self.owner)

    def _fits(self, name: str, text: str) -> bool:
        parameter = self._binder.parameters.get(name)
        if parameter is None:
            return False
        try:
            parameter.read(text)
        except InvalidTexts:
            return False  # half written, perhaps
        return True


Completers = Mapping[Owner, Mapping[str, Completer]]
"""By prompt or template, and by the name of the argument."""


class CompletionRegistry:
    """The completers that a program has declared on one server."""

    def __init__(
        self,
        dependencies: Dependencies,
        threads: trio.CapacityLimiter,
        prompts: PromptRegistry,
        resources: ResourceRegistry,
    ) -> None:
        self._dependencies = dependencies
        self._threads = threads
        self._prompts = prompts
        self._resources = resources
        self.catalog: Completers = MappingProxyType({})
        """The newest snapshot."""

    def add(self, of: str, argument: str, function: Callable[..., Any]) -> None:
        """Declare how an argument is completed.

        Raises:
            UsageError: there is no such prompt, template or argument, the argument has a completer,
                or the function cannot be one.
        """
        prompt = self._prompts.catalog.prompts.get(of)
        owner: Owner | None = prompt or self._resources.catalog.templates.get(of)
        if owner is None:
            raise UsageError(f"there is no prompt and no resource template {of!r}: declare it first")
        parameters = owner.binder.parameters
        if argument not in parameters:
            raise UsageError(f"{of!r} has no argument {argument!r}; it has {', '.join(parameters) or 'none'}")
        completers = self.catalog.get(owner, {})
        if argument in completers:
            raise UsageError(f"{argument!r} of {of!r} is completed already")
        completer = Completer(function, list(parameters), self._dependencies, self._threads)
        self.catalog = MappingProxyType(
            {**self.catalog, owner: MappingProxyType({**completers, argument: completer})},
        )

    def forget(self, owner: object) -> None:
        """Remove the completers of a prompt or a template that is gone."""
        self.catalog = MappingProxyType({key: kept for key, kept in self.catalog.items() if key is not owner})

    def __len__(self) -> int:
        """Count the completers, and the features whose arguments have choices of their own."""
        own = self._prompts.catalog.has_choices() + self._resources.catalog.has_choices()
        return sum(map(len, self.catalog.values())) + own

    # --- for a request ----------------------------------------------------------------

    def find(self, params: CompleteRequestParams) -> tuple[Owner, Mapping[str, Completer]] | None:
        """Find the prompt or the template that a request names, and its completers."""
        ref = params.ref
        owner: Owner | None
        if isinstance(ref, PromptReference):
            owner = self._prompts.catalog.prompts.get(ref.name)
        else:
            catalog = self._resources.catalog
            owner = catalog.templates.get(ref.uri) or catalog.matching(ref.uri)
        return None if owner is None else (owner, self.catalog.get(owner, {}))


class CompletionRequests:
    """The handler of `completion/complete`, in one run of a server."""

    def __init__(self, registry: CompletionRegistry, providers: ProviderRegistry, context: MakeContext) -> None:
        self._registry = registry
        self._providers = providers
        self._context = context

    async def complete(self, request: InboundRequest, params: CompleteRequestParams) -> CompleteResult:
        """Answer `completion/complete`."""
        found = self._registry.find(params)
        if found is None:
            return await self._complete_provided(request, params)
        owner, completers = found
        argument = params.argument
        parameter = owner.binder.parameters.get(argument.name)
        if parameter is None:
            raise InvalidParams(f"Unknown argument: {argument.name}")
        completer = completers.get(argument.name)
        if completer is None:
            return CompleteResult(chosen(parameter, argument.value))
        given = {} if params.context is None else params.context.arguments or {}
        return CompleteResult(await completer.complete(request, argument.value, given, self._context))

    async def _complete_provided(self, request: InboundRequest, params: CompleteRequestParams) -> CompleteResult:
        for added in self._providers.of("completions"):
            expected = (Iterable, Completion, CompleteResult, type(None))
            value = await added.ask(expected, added.provider.complete, self._context(request), params)
            if value is not None:
                return CompleteResult(completion_of(value, f"the provider {added.name}"))
        ref = params.ref
        if isinstance(ref, PromptReference):
            raise InvalidParams(f"Unknown prompt: {ref.name}")
        raise InvalidParams(f"Unknown resource template: {ref.uri}")


def chosen(parameter: TextParameter, value: str) -> Completion:
    """Those of a parameter's choices that go on from a value, then those that have it inside."""
    sought = value.casefold()
    begins = [text for text in parameter.choices if text.casefold().startswith(sought)]
    holds = [text for text in parameter.choices if sought in text.casefold() and text not in begins]
    return completion_of(begins + holds, parameter.name)


def completion_of(value: Any, owner: str) -> Completion:
    """What a completer returned, cut to what one answer may hold.

    Raises:
        InvalidResult: it is no texts.
    """
    most = MAX_COMPLETION_VALUES
    if isinstance(value, CompleteResult):
        value = value.completion
    if isinstance(value, Completion):
        if len(value.values) <= most:
            return value
        all_of_them = len(value.values) if value.total is None else value.total
        return Completion(value.values[:most], all_of_them, has_more=True, extra=value.extra)
    values: list[Any] = []
    total: int | None = 0
    more = False
    if value is None:
        pass
    elif isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise InvalidResult([f"{owner} returned a {type(value).__name__}: return a list of texts"])
    else:
        found = list(itertools.islice(value, most + 1))
        values, more = found[:most], len(found) > most
        total = len(value) if isinstance(value, Sized) else (None if more else len(values))
    if not all(isinstance(text, str) for text in values):
        raise InvalidResult([f"{owner} returned something other than texts"])
    return Completion(values, total, more)
