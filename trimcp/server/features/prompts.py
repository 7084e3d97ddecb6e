"""Prompts: the declarations of a program, and the handlers of `prompts/list` and `prompts/get`.

A request runs in a worker of the handler actor for prompts, and reads the catalog once. server/prompts of every
revision.
"""

from __future__ import annotations

import typing
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, cast

import trio

from trimcp.codec.revisions import codec_for
from trimcp.errors import InvalidParams, InvalidPayload, InvalidResult, UsageError
from trimcp.protocol.scopes import check_scopes
from trimcp.schema.dump import dump, text_of
from trimcp.schema.exact_json import NotJson
from trimcp.server.context.client_view import ContextRun
from trimcp.server.context.context import Context
from trimcp.server.features.provider import ProvidedPrompt
from trimcp.server.features.provider_lists import DefinitionList, ProviderLists
from trimcp.server.invocation.dependencies import Dependencies
from trimcp.server.invocation.function import PreparedFunction
from trimcp.server.invocation.media import Audio, File, Image
from trimcp.server.invocation.signature import FunctionSignature, inspect_function
from trimcp.server.invocation.string_arguments import InvalidStringArguments, StringArgumentBinder
from trimcp.server.options import DefinitionOptions
from trimcp.session.request import InboundRequest
from trimcp.types.content import (
    BlobResourceContents,
    ContentBlock,
    EmbeddedResource,
    TextContent,
    TextResourceContents,
)
from trimcp.types.payload import PaginatedRequestParams
from trimcp.types.prompts import (
    GetPromptRequestParams,
    GetPromptResult,
    ListPromptsResult,
    Prompt,
    PromptArgument,
    PromptMessage,
)
from trimcp.types.revisions import REVISIONS

NAME_LENGTH: Final = 256
"""The most characters in the name of a prompt. The specification has no bound."""


class FunctionPrompt:
    """A prompt whose messages a function makes."""

    def __init__(
        self,
        signature: FunctionSignature,
        options: DefinitionOptions,
        dependencies: Dependencies,
        threads: trio.CapacityLimiter,
    ) -> None:
        """
        Raises:
            UsageError: a parameter has no form as text.
        """
        self.name: str = signature.name
        self.scopes: frozenset[str] = frozenset(check_scopes(options.scopes, f"scopes of the prompt {self.name}"))
        self._owner = f"{signature.name}()"
        self.binder: StringArgumentBinder = StringArgumentBinder(signature.parameters, self._owner)
        self._function = PreparedFunction(signature, dependencies, threads)
        arguments = [
            PromptArgument(p.name, p.title, p.description, required=p.required) for p in self.binder.parameters.values()
        ]
        self.definition: Prompt = Prompt(
            name=self.name,
            title=options.title,
            description=options.description or signature.description,
            arguments=arguments or None,
            icons=None if options.icons is None else list(options.icons),
            meta=options.meta,
        )
        self._description = self.definition.description

    async def get(
        self, request: InboundRequest, arguments: Mapping[str, str] | None, run: ContextRun
    ) -> GetPromptResult:
        """Call the function, and convert its value to a result.

        Raises:
            InvalidParams: an argument is missing, unknown, or does not fit.
        """
        try:
            kwargs = self.binder.bind(arguments)
        except InvalidStringArguments as exc:
            problems = [problem.replace("@ $", "@ $.arguments", 1) for problem in exc.problems]
            raise InvalidParams(f"Invalid arguments for the prompt {self.name}", {"problems": problems}) from None
        value = await self._function.call(request, kwargs, run)
        return _result(value, self._description, self._owner)


class PromptRegistry:
    """Holds the prompts that a program has declared on one server."""

    def __init__(self, dependencies: Dependencies, threads: trio.CapacityLimiter) -> None:
        self._dependencies = dependencies
        self._threads = threads
        self.catalog: Mapping[str, FunctionPrompt] = MappingProxyType({})
        """The declared prompts by name, in the order of declaration. Each change makes another mapping."""

    def prepare(self, function: Callable[..., Any], options: DefinitionOptions) -> FunctionPrompt:
        """Prepare a function as a prompt. `add` declares the prompt.

        Raises:
            UsageError: the name is taken or invalid, or the function cannot be a prompt.
        """
        signature = inspect_function(function, injected=self._dependencies.injects, name=options.name)
        name = signature.name
        if name in self.catalog:
            raise UsageError(f"Duplicate prompt name {name!r}: give one of the two prompts another name=…")
        if not 0 < len(name) <= NAME_LENGTH or not name.isprintable():
            raise UsageError(f"Invalid prompt name {name!r}: use 1 to {NAME_LENGTH} printable characters")
        return FunctionPrompt(signature, options, self._dependencies, self._threads)

    def add(self, prompt: FunctionPrompt) -> None:
        """Declare a prompt that was prepared."""
        self.catalog = MappingProxyType({**self.catalog, prompt.name: prompt})

    def remove(self, name: str) -> FunctionPrompt:
        """Remove a prompt. Requests for the prompt that run continue.

        Raises:
            UsageError: no prompt has that name.
        """
        removed = self.catalog.get(name)
        if removed is None:
            raise UsageError(f"Unknown prompt {name!r}: use the name of a declared prompt")
        self.catalog = MappingProxyType({key: prompt for key, prompt in self.catalog.items() if key != name})
        return removed

    def definitions(self) -> Iterator[Prompt]:
        """Yield the definitions of the declared prompts, in the order of declaration."""
        return (prompt.definition for prompt in self.catalog.values())

    def has_choices(self) -> bool:
        """Whether an argument of a prompt has choices to complete it from."""
        return any(p.choices for prompt in self.catalog.values() for p in prompt.binder.parameters.values())

    def __len__(self) -> int:
        return len(self.catalog)


PROMPTS: Final = DefinitionList(
    "prompts", "prompts", Prompt, lambda prompt: prompt.name, "list_prompts", "find_prompt", ProvidedPrompt
)


class PromptRequests:
    """The handlers of `prompts/list` and `prompts/get`, in one run of a server."""

    def __init__(self, registry: PromptRegistry, providers: ProviderLists, run: ContextRun) -> None:
        self._registry = registry
        self._providers = providers
        self._run = run

    async def list(self, request: InboundRequest, params: PaginatedRequestParams) -> ListPromptsResult:
        """Answer `prompts/list`: the declared prompts, then the prompts of the providers."""
        page = await self._providers.page(PROMPTS, self._registry.catalog, request, params.cursor)
        return ListPromptsResult(page.items, next_cursor=page.next_cursor)

    def get(self, request: InboundRequest, params: GetPromptRequestParams) -> Awaitable[GetPromptResult]:
        """Answer `prompts/get`."""
        prompt = self._registry.catalog.get(params.name)
        if prompt is not None:
            return prompt.get(request, params.arguments, self._run)
        if not self._providers.is_needed:
            raise InvalidParams(f"Unknown prompt: {params.name}")
        return self._get_provided(request, params)

    async def _get_provided(self, request: InboundRequest, params: GetPromptRequestParams) -> GetPromptResult:
        ctx, name = Context(request, self._run), params.name
        prompt = await self._providers.find(PROMPTS, ctx, name)
        if prompt is None:
            raise InvalidParams(f"Unknown prompt: {name}")
        value = await prompt.get(ctx, {} if params.arguments is None else params.arguments)
        return _result(value, prompt.definition.description, f"the prompt {name}")


# --- from the value of a function to messages -----------------------------------------

_BLOCKS: Final = typing.get_args(ContentBlock)
_MEDIA: Final = (Image, Audio, File)
_CONTENTS: Final = (TextResourceContents, BlobResourceContents)
LATEST: Final = codec_for(REVISIONS[-1])


def _result(value: Any, description: str | None, owner: str) -> GetPromptResult:
    """Convert the value that the function of a prompt returned.

    A text, a content block and an `Image` become one message of the user. A list becomes a message for each item,
    which may be a whole `PromptMessage`, or one written as a dict. Any other value is sent as JSON text.

    Raises:
        InvalidResult: the value cannot be sent.
    """
    if isinstance(value, GetPromptResult):
        return value
    if value is None:
        raise InvalidResult([f"{owner} returned None: return a text, or messages"])
    items: Iterable[Any] = value if isinstance(value, list | tuple) else (value,)
    return GetPromptResult([_message(item, owner) for item in items], description)


def _message(value: Any, owner: str) -> PromptMessage:
    if isinstance(value, PromptMessage):
        return value
    if isinstance(value, Mapping) and "role" in value:
        return _written_message(value, owner)
    return PromptMessage("user", _block(value, owner))


def _written_message(value: Mapping[Any, Any], owner: str) -> PromptMessage:
    """Convert a message that is written as a dict, with a text or a content block of any form."""
    content = value.get("content")
    if not isinstance(content, Mapping):
        if not isinstance(content, (str, *_BLOCKS, *_MEDIA, *_CONTENTS)):
            raise InvalidResult([f"{owner} returned a message without a text or one content block: add its 'content'"])
        content = LATEST.unstructure(_block(content, owner))
    try:
        return LATEST.structure({**value, "content": content}, PromptMessage)
    except InvalidPayload as exc:
        raise InvalidResult([f"{owner} returned an invalid message: {exc}"]) from None


def _block(value: Any, owner: str) -> ContentBlock:
    if isinstance(value, str):
        return TextContent(value)
    if isinstance(value, _BLOCKS):
        return cast("ContentBlock", value)
    if isinstance(value, _MEDIA):
        return value.to_content()
    if isinstance(value, _CONTENTS):
        return EmbeddedResource(value)
    try:
        return TextContent(text_of(dump(value)))
    except NotJson as exc:
        raise InvalidResult([f"{owner} returned a value that cannot be sent: {exc}"]) from None
