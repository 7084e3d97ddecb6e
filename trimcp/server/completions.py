"""Completion: the actor that owns how arguments of prompts and resource templates are completed.

Completers are functions of the user; an argument whose type lists its values (`Literal`, an
enumeration, `bool`) needs none. server/utilities/completion of every revision.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sized
from typing import Any

import trio

from trimcp.errors import InvalidParams, InvalidResult, UsageError
from trimcp.server.dependencies import Providers
from trimcp.server.function import MakeContext, PreparedFunction
from trimcp.server.prompts import FunctionPrompt, Prompts
from trimcp.server.resource import FunctionResource
from trimcp.server.resources import Resources
from trimcp.server.signature import inspect_function
from trimcp.server.texts import InvalidTexts, TextBinder, TextParameter
from trimcp.session.request import InboundRequest
from trimcp.types.completion import MAX_COMPLETION_VALUES, CompleteRequestParams, CompleteResult, Completion
from trimcp.types.prompts import PromptReference

Owner = FunctionPrompt | FunctionResource


class Completer:
    """One function that completes one argument."""

    def __init__(
        self, function: Callable[..., Any], names: Iterable[str], providers: Providers, threads: trio.CapacityLimiter
    ) -> None:
        """
        Raises:
            UsageError: the function takes no value, or something that is no argument.
        """
        signature = inspect_function(function, injected=providers.injects)
        self.owner = f"{signature.name}()"
        if not signature.parameters:
            raise UsageError(f"{self.owner} completes an argument: its first parameter is what there is of it, a str")
        self._value, *given = signature.parameters
        for parameter in given:
            if parameter.name not in names:
                raise UsageError(f"{self.owner}: {parameter.name!r} is none of the arguments {', '.join(names)}")
        self._binder = TextBinder(given, self.owner)
        self._function = PreparedFunction(signature, providers, threads)

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


class Completions:
    """The completers of one server."""

    def __init__(
        self, providers: Providers, threads: trio.CapacityLimiter, prompts: Prompts, resources: Resources
    ) -> None:
        self._providers = providers
        self._threads = threads
        self._prompts = prompts
        self._resources = resources
        self._completers: dict[Owner, dict[str, Completer]] = {}

    def add(self, of: str, argument: str, function: Callable[..., Any]) -> None:
        """Declare how an argument is completed.

        Raises:
            UsageError: there is no such prompt, template or argument, the argument has a completer,
                or the function cannot be one.
        """
        owner: Owner | None = self._prompts.find(of) or self._resources.template(of)
        if owner is None:
            raise UsageError(f"there is no prompt and no resource template {of!r}: declare it first")
        parameters = owner.binder.parameters
        if argument not in parameters:
            raise UsageError(f"{of!r} has no argument {argument!r}; it has {', '.join(parameters) or 'none'}")
        if argument in self._completers.get(owner, {}):
            raise UsageError(f"{argument!r} of {of!r} is completed already")
        completer = Completer(function, list(parameters), self._providers, self._threads)
        self._completers.setdefault(owner, {})[argument] = completer

    def forget(self, owner: object) -> None:
        """A prompt or a template is gone."""
        self._completers.pop(owner, None)  # type: ignore[call-overload]  # what is not there is not found

    def __len__(self) -> int:
        """How much there is to complete: the completers, and the features with choices of their own."""
        own = self._prompts.has_choices() + self._resources.has_choices()
        return sum(map(len, self._completers.values())) + own

    def completer(self, context: MakeContext) -> Callable[[InboundRequest, CompleteRequestParams], Any]:
        """What answers `completion/complete`, with that way of making a context."""

        async def complete(request: InboundRequest, params: CompleteRequestParams) -> CompleteResult:
            owner = self._owner(params)
            argument = params.argument
            parameter = owner.binder.parameters.get(argument.name)
            if parameter is None:
                raise InvalidParams(f"Unknown argument: {argument.name}")
            completer = self._completers.get(owner, {}).get(argument.name)
            if completer is None:
                return CompleteResult(chosen(parameter, argument.value))
            given = {} if params.context is None else params.context.arguments or {}
            return CompleteResult(await completer.complete(request, argument.value, given, context))

        return complete

    def _owner(self, params: CompleteRequestParams) -> Owner:
        ref = params.ref
        if isinstance(ref, PromptReference):
            prompt = self._prompts.find(ref.name)
            if prompt is None:
                raise InvalidParams(f"Unknown prompt: {ref.name}")
            return prompt
        template = self._resources.template(ref.uri) or self._resources.matching(ref.uri)
        if template is None:
            raise InvalidParams(f"Unknown resource template: {ref.uri}")
        return template


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
