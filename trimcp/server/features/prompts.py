"""Prompts: the registry that a program declares into, its snapshots, and the answers to requests for them.

The handlers run in the workers of the session's, or the endpoint's, handler actor for prompts. Each reads the
catalog once. server/prompts of every revision.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import attrs
import trio

from trimcp.errors import InvalidParams, UsageError
from trimcp.server.dependencies import Dependencies
from trimcp.server.features.pagination import Pages
from trimcp.server.features.provider import ProvidedPrompt
from trimcp.server.features.provider_lists import Listed, ProviderLists
from trimcp.server.function import MakeContext, PreparedFunction
from trimcp.server.messages import prompt_result
from trimcp.server.signature import ToolSignature, inspect_function
from trimcp.server.texts import InvalidTexts, TextBinder
from trimcp.session.request import InboundRequest
from trimcp.types.metadata import Icon
from trimcp.types.pagination import PaginatedRequestParams
from trimcp.types.prompts import GetPromptRequestParams, GetPromptResult, ListPromptsResult, Prompt, PromptArgument

NAME_LENGTH: Final = 256
"""The longest name of a prompt, in characters; the specification names no bound."""


@attrs.frozen(kw_only=True)
class PromptOptions:
    """What a declaration says of a prompt beyond its function."""

    name: str | None = None
    title: str | None = None
    description: str | None = None
    icons: Sequence[Icon] | None = None
    meta: dict[str, Any] | None = None


class FunctionPrompt:
    """One prompt, whose messages a function makes."""

    def __init__(
        self,
        signature: ToolSignature,
        options: PromptOptions,
        dependencies: Dependencies,
        threads: trio.CapacityLimiter,
    ) -> None:
        """
        Raises:
            UsageError: a parameter has no form as text.
        """
        self.name = signature.name
        self._owner = f"{signature.name}()"
        self.binder = TextBinder(signature.parameters, self._owner)
        self._function = PreparedFunction(signature, dependencies, threads)
        self._description = options.description or signature.description
        arguments = [
            PromptArgument(p.name, p.title, p.description, required=p.required) for p in self.binder.parameters.values()
        ]
        self.definition = Prompt(
            name=self.name,
            title=options.title,
            description=self._description,
            arguments=arguments or None,
            icons=None if options.icons is None else list(options.icons),
            meta=options.meta,
        )

    async def get(
        self, request: InboundRequest, arguments: Mapping[str, str] | None, context: MakeContext
    ) -> GetPromptResult:
        """Call the function, and shape what it returns.

        Raises:
            InvalidParams: an argument is missing, unknown, or does not fit.
        """
        try:
            kwargs = self.binder.bind(arguments)
        except InvalidTexts as exc:
            problems = [problem.replace("@ $", "@ $.arguments", 1) for problem in exc.problems]
            raise InvalidParams(f"Invalid arguments for the prompt {self.name}", {"problems": problems}) from None
        value = await self._function.call(request, kwargs, context)
        return prompt_result(value, self._description, self._owner)


@attrs.frozen(eq=False)
class PromptCatalog:
    """The declared prompts at one moment, in the order of declaration. A change makes another catalog."""

    prompts: Mapping[str, FunctionPrompt] = MappingProxyType({})
    """By name."""
    definitions: Mapping[str, Prompt] = MappingProxyType({})
    """As they are listed, by name."""

    def has_choices(self) -> bool:
        """Whether some argument has choices to complete it from."""
        return any(p.choices for prompt in self.prompts.values() for p in prompt.binder.parameters.values())

    def with_prompt(self, prompt: FunctionPrompt) -> PromptCatalog:
        """Return a catalog with one prompt more."""
        return PromptCatalog(
            MappingProxyType({**self.prompts, prompt.name: prompt}),
            MappingProxyType({**self.definitions, prompt.name: prompt.definition}),
        )

    def without(self, name: str) -> PromptCatalog:
        """Return a catalog without a prompt."""
        return PromptCatalog(
            MappingProxyType({key: kept for key, kept in self.prompts.items() if key != name}),
            MappingProxyType({key: kept for key, kept in self.definitions.items() if key != name}),
        )


class PromptRegistry:
    """The prompts that a program has declared on one server."""

    def __init__(self, dependencies: Dependencies, threads: trio.CapacityLimiter, show: Callable[[Any], None]) -> None:
        """`show` is called with each definition before it is entered, and may change or refuse it."""
        self._dependencies = dependencies
        self._threads = threads
        self._show = show
        self.catalog = PromptCatalog()
        """The newest snapshot."""

    def add(self, function: Callable[..., Any], options: PromptOptions) -> None:
        """Declare a prompt.

        Raises:
            UsageError: the name is taken or invalid, or the function cannot be a prompt.
        """
        signature = inspect_function(function, injected=self._dependencies.injects, name=options.name)
        name = signature.name
        if name in self.catalog.prompts:
            raise UsageError(f"there is a prompt named {name!r} already: give this one a name=…")
        if not 0 < len(name) <= NAME_LENGTH or not name.isprintable():
            raise UsageError(f"invalid prompt name {name!r}: use 1 to {NAME_LENGTH} characters that can be printed")
        prompt = FunctionPrompt(signature, options, self._dependencies, self._threads)
        self._show(prompt.definition)
        self.catalog = self.catalog.with_prompt(prompt)

    def remove(self, name: str) -> FunctionPrompt:
        """Remove a prompt. Its functions that run go on.

        Raises:
            UsageError: there is none of that name.
        """
        removed = self.catalog.prompts.get(name)
        if removed is None:
            raise UsageError(f"there is no prompt named {name!r}")
        self.catalog = self.catalog.without(name)
        return removed

    def __len__(self) -> int:
        return len(self.catalog.prompts)


PROMPTS: Final = Listed(
    "prompts", "prompts", Prompt, lambda prompt: prompt.name, "list_prompts", "find_prompt", ProvidedPrompt
)


class PromptRequests:
    """The handlers of `prompts/list` and `prompts/get`, in one run of a server."""

    def __init__(self, registry: PromptRegistry, providers: ProviderLists, pages: Pages, context: MakeContext) -> None:
        self._registry = registry
        self._providers = providers
        self._pages = pages
        self._context = context

    async def list(self, request: InboundRequest, params: PaginatedRequestParams) -> ListPromptsResult:
        """Answer `prompts/list`: in the order of declaration, then of the providers."""
        if self._providers.is_needed:
            page = await self._providers.page(PROMPTS, self._context(request), params.cursor)
        else:
            page = self._pages.page(self._registry.catalog.definitions, params.cursor, kind=PROMPTS.label)
        return ListPromptsResult([*page.items], next_cursor=page.next_cursor)

    def get(self, request: InboundRequest, params: GetPromptRequestParams) -> Awaitable[GetPromptResult]:
        """Answer `prompts/get`."""
        prompt = self._registry.catalog.prompts.get(params.name)
        if prompt is not None:
            return prompt.get(request, params.arguments, self._context)
        if not self._providers.is_needed:
            raise InvalidParams(f"Unknown prompt: {params.name}")
        return self._get_provided(request, params)

    async def _get_provided(self, request: InboundRequest, params: GetPromptRequestParams) -> GetPromptResult:
        ctx, name = self._context(request), params.name
        prompt = await self._providers.find("prompts", "find_prompt", ProvidedPrompt, ctx, name)
        if prompt is None:
            raise InvalidParams(f"Unknown prompt: {name}")
        value = await prompt.get(ctx, {} if params.arguments is None else params.arguments)
        return prompt_result(value, prompt.definition.description, f"the prompt {name}")
