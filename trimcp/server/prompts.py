"""Prompts: the actor that owns what prompts there are, for all sessions.

It has nothing to wait for, so it has no task: its functions are called from the request's task.
server/prompts of every revision.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import attrs
import trio

from trimcp.errors import InvalidParams, UsageError
from trimcp.server.dependencies import Providers
from trimcp.server.function import MakeContext, PreparedFunction
from trimcp.server.messages import prompt_result
from trimcp.server.pagination import Pages
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
        self, signature: ToolSignature, options: PromptOptions, providers: Providers, threads: trio.CapacityLimiter
    ) -> None:
        """
        Raises:
            UsageError: a parameter has no form as text.
        """
        self.name = signature.name
        self._owner = f"{signature.name}()"
        self.binder = TextBinder(signature.parameters, self._owner)
        self._function = PreparedFunction(signature, providers, threads)
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


class Prompts:
    """The prompts of one server."""

    def __init__(
        self, providers: Providers, threads: trio.CapacityLimiter, pages: Pages, show: Callable[[Any], None]
    ) -> None:
        """`show` is called with each definition before it is one, and may change or refuse it."""
        self._show = show
        self._providers = providers
        self._threads = threads
        self._pages = pages
        self._prompts: dict[str, FunctionPrompt] = {}
        self._definitions: dict[str, Prompt] = {}

    def add(self, function: Callable[..., Any], options: PromptOptions) -> None:
        """Declare a prompt.

        Raises:
            UsageError: the name is taken or not a name, or the function cannot be a prompt.
        """
        signature = inspect_function(function, injected=self._providers.injects, name=options.name)
        name = signature.name
        if name in self._prompts:
            raise UsageError(f"there is a prompt named {name!r} already: give this one a name=…")
        if not 0 < len(name) <= NAME_LENGTH or not name.isprintable():
            raise UsageError(f"{name!r} is no name for a prompt: 1 to {NAME_LENGTH} characters that can be printed")
        prompt = FunctionPrompt(signature, options, self._providers, self._threads)
        self._show(prompt.definition)
        self._prompts[name] = prompt
        self._definitions[name] = prompt.definition

    def remove(self, name: str) -> FunctionPrompt:
        """Take a prompt back; what runs of it goes on.

        Raises:
            UsageError: there is none of that name.
        """
        removed = self._prompts.pop(name, None)
        if removed is None:
            raise UsageError(f"there is no prompt named {name!r}")
        del self._definitions[name]
        return removed

    def __len__(self) -> int:
        return len(self._prompts)

    def definitions(self) -> Iterable[Prompt]:
        """What is listed of each."""
        return self._definitions.values()

    def find(self, name: str) -> FunctionPrompt | None:
        """The prompt of that name."""
        return self._prompts.get(name)

    def has_choices(self) -> bool:
        """Whether some argument has choices to complete it from."""
        return any(p.choices for prompt in self._prompts.values() for p in prompt.binder.parameters.values())

    async def list(self, request: InboundRequest, params: PaginatedRequestParams) -> ListPromptsResult:
        """Answer `prompts/list`: in the order of declaration."""
        page = self._pages.page(self._definitions, params.cursor, kind="prompts")
        return ListPromptsResult(list(page.items), next_cursor=page.next_cursor)

    def getter(
        self, context: MakeContext
    ) -> Callable[[InboundRequest, GetPromptRequestParams], Awaitable[GetPromptResult]]:
        """What answers `prompts/get`, with that way of making a context."""
        prompts = self._prompts

        def get(request: InboundRequest, params: GetPromptRequestParams) -> Awaitable[GetPromptResult]:
            prompt = prompts.get(params.name)
            if prompt is None:
                raise InvalidParams(f"Unknown prompt: {params.name}")
            return prompt.get(request, params.arguments, context)

        return get
