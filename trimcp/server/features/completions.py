"""Completion: the functions that complete arguments, and the handler of `completion/complete`.

An argument whose type lists its values (`Literal`, an enumeration, `bool`) is completed without a function.
server/utilities/completion of every revision.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sized
from types import MappingProxyType
from typing import Any

import trio

from trimcp.errors import InvalidParams, InvalidResult, UsageError
from trimcp.server.context.client_view import ContextRun
from trimcp.server.context.context import Context
from trimcp.server.features.declared_resources import FunctionResource
from trimcp.server.features.prompts import FunctionPrompt, PromptRegistry
from trimcp.server.features.provider_registry import ProviderRegistry
from trimcp.server.features.resources import ResourceRegistry
from trimcp.server.invocation.dependencies import Dependencies
from trimcp.server.invocation.function import PreparedFunction
from trimcp.server.invocation.signature import inspect_function
from trimcp.server.invocation.string_arguments import InvalidStringArguments, StringArgumentBinder, StringParameter
from trimcp.session.request import InboundRequest
from trimcp.types.completion import MAX_COMPLETION_VALUES, CompleteRequestParams, CompleteResult, Completion
from trimcp.types.prompts import PromptReference

Owner = FunctionPrompt | FunctionResource
"""The prompt or the template that has the arguments."""


class Completer:
    """A function that completes one argument."""

    def __init__(
        self,
        function: Callable[..., Any],
        names: Iterable[str],
        dependencies: Dependencies,
        threads: trio.CapacityLimiter,
    ) -> None:
        """
        Raises:
            UsageError: the function has no parameter for the value, or a parameter that is no argument.
        """
        signature = inspect_function(function, injected=dependencies.injects)
        self.owner: str = f"{signature.name}()"
        if not signature.parameters:
            raise UsageError(f"{self.owner} has no parameter: add one, a str, for the text to complete")
        self._value, *given = signature.parameters
        for parameter in given:
            if parameter.name not in names:
                raise UsageError(
                    f"Unknown argument {parameter.name!r} as a parameter of {self.owner}: use {', '.join(names)}"
                )
        self._binder = StringArgumentBinder(given, self.owner)
        self._function = PreparedFunction(signature, dependencies, threads)

    async def complete(
        self, request: InboundRequest, value: str, given: Mapping[str, str], run: ContextRun
    ) -> Completion:
        """Call the function. Without an argument that the function needs, return no values."""
        known = {name: text for name, text in given.items() if self._fits(name, text)}
        try:
            kwargs = self._binder.bind(known)
        except InvalidStringArguments:
            return Completion([], total=0, has_more=False)
        kwargs[self._value.name] = value
        return _completion(await self._function.call(request, kwargs, run), self.owner)

    def _fits(self, name: str, text: str) -> bool:
        parameter = self._binder.parameters.get(name)
        if parameter is None:
            return False
        try:
            parameter.read(text)
        except InvalidStringArguments:
            return False  # the user may have written half of it
        return True


Completers = Mapping[Owner, Mapping[str, Completer]]
"""The completers by prompt or template, and by the name of the argument."""


class CompletionRegistry:
    """Holds the completers that a program has declared on one server."""

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
        """Declare the function that completes an argument.

        Raises:
            UsageError: the prompt, the template or the argument is unknown, the argument has a completer, or the
                function cannot be a completer.
        """
        prompt = self._prompts.catalog.get(of)
        owner: Owner | None = prompt or self._resources.catalog.templates.get(of)
        if owner is None:
            raise UsageError(f"Unknown prompt or resource template {of!r}: declare it before its completions")
        parameters = owner.binder.parameters
        if argument not in parameters:
            raise UsageError(f"Unknown argument {argument!r} of {of!r}: use {', '.join(parameters) or 'another owner'}")
        completers = self.catalog.get(owner, {})
        if argument in completers:
            raise UsageError(f"Duplicate completion of {argument!r} of {of!r}: declare one for each argument")
        completer = Completer(function, list(parameters), self._dependencies, self._threads)
        self.catalog = MappingProxyType(
            {**self.catalog, owner: MappingProxyType({**completers, argument: completer})},
        )

    def forget(self, owner: object) -> None:
        """Remove the completers of a prompt or a template that was removed."""
        self.catalog = MappingProxyType({key: kept for key, kept in self.catalog.items() if key is not owner})

    def __len__(self) -> int:
        """Return the number of completers and of features whose arguments have choices of their own."""
        own = self._prompts.has_choices() + self._resources.has_choices()
        return sum(map(len, self.catalog.values())) + own

    # --- for a request ----------------------------------------------------------------

    def find(self, params: CompleteRequestParams) -> tuple[Owner, Mapping[str, Completer]] | None:
        """Find the prompt or the template that a request names, and its completers."""
        ref = params.ref
        owner: Owner | None
        if isinstance(ref, PromptReference):
            owner = self._prompts.catalog.get(ref.name)
        else:
            catalog = self._resources.catalog
            owner = catalog.templates.get(ref.uri) or catalog.matching(ref.uri)
        return None if owner is None else (owner, self.catalog.get(owner, {}))


class CompletionRequests:
    """The handler of `completion/complete`, in one run of a server."""

    def __init__(self, registry: CompletionRegistry, providers: ProviderRegistry, run: ContextRun) -> None:
        self._registry = registry
        self._providers = providers
        self._run = run

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
            return CompleteResult(_choose(parameter, argument.value))
        given = {} if params.context is None else params.context.arguments or {}
        return CompleteResult(await completer.complete(request, argument.value, given, self._run))

    async def _complete_provided(self, request: InboundRequest, params: CompleteRequestParams) -> CompleteResult:
        context = Context(request, self._run)
        for added in self._providers.of("completions"):
            expected = (Iterable, Completion, CompleteResult, type(None))
            value = await added.ask(expected, added.provider.complete, context, params)
            if value is not None:
                return CompleteResult(_completion(value, f"the provider {added.name}"))
        ref = params.ref
        if isinstance(ref, PromptReference):
            raise InvalidParams(f"Unknown prompt: {ref.name}")
        raise InvalidParams(f"Unknown resource template: {ref.uri}")


def _choose(parameter: StringParameter, value: str) -> Completion:
    """Return the choices of a parameter that begin with a value, then the choices that contain it."""
    sought = value.casefold()
    begins = [text for text in parameter.choices if text.casefold().startswith(sought)]
    holds = [text for text in parameter.choices if sought in text.casefold() and text not in begins]
    return _completion(begins + holds, parameter.name)


def _completion(value: Any, owner: str) -> Completion:
    """Convert the value that a completer returned, cut to the most values of one answer.

    Raises:
        InvalidResult: the value is no list of strings.
    """
    most = MAX_COMPLETION_VALUES
    if isinstance(value, CompleteResult):
        value = value.completion
    if isinstance(value, Completion):
        if len(value.values) <= most:
            return value
        known = len(value.values) if value.total is None else value.total
        return Completion(value.values[:most], known, has_more=True, extra=value.extra)
    if value is None:
        value = ()
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise InvalidResult([f"{owner} returned a {type(value).__name__}: return a list of strings"])
    found = list(itertools.islice(value, most + 1))
    values, more = found[:most], len(found) > most
    if not all(isinstance(text, str) for text in values):
        raise InvalidResult([f"{owner} returned values that are no strings: return a list of strings"])
    total = len(value) if isinstance(value, Sized) else (None if more else len(values))
    return Completion(values, total, more)
