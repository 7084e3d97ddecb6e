"""`Provider`: a source of tools, resources and prompts beside the functions that a program declares.

A catalog in a database, another server, an API that describes itself: what a server offers need not be known
when the program starts. The features that a provider has must be, since `initialize` tells them.

(`@server.dependency` is another thing: it makes objects for the parameters of handlers.)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import attrs

if TYPE_CHECKING:
    from trimcp.server.context import Context
    from trimcp.server.features.kinds import Kind
    from trimcp.types.completion import CompleteRequestParams, Completion
    from trimcp.types.prompts import Prompt
    from trimcp.types.resources import Resource, ResourceTemplate
    from trimcp.types.tools import Tool

T = TypeVar("T")


@attrs.frozen
class ProvidedPage(Generic[T]):
    """One page of a provider's list.

    Attributes:
        items: their definitions, in the order of the list.
        next_cursor: leads to the page after it, up to 4096 characters; None after the last. It is the provider's
            own, and comes back to it unchanged: clients may read it inside of the server's cursor, and not change it.
    """

    items: Sequence[T]
    next_cursor: str | None = None


@attrs.frozen
class ProvidedTool:
    """A tool that a provider has found.

    Attributes:
        definition: of the tool; its name is the one that was looked for.
        call: runs it, as `await call(ctx, arguments)`. The arguments are as the client sent them, not checked against
            the input schema. It returns a `CallToolResult`, or anything that a tool's function may return, and raises
            as one: `ToolError` for the model, `RequestFailed` for a protocol error.
    """

    definition: Tool
    call: Callable[[Context, Mapping[str, Any]], Awaitable[Any]]


@attrs.frozen
class ProvidedResource:
    """A resource that a provider has found.

    Attributes:
        definition: of the resource, or of the template that its URI matches.
        read: reads it, as `await read(ctx, uri)`. It returns a `ReadResourceResult`, or anything that the function of
            a resource may return: text, bytes, a path, contents; None says that there is none.
    """

    definition: Resource | ResourceTemplate
    read: Callable[[Context, str], Awaitable[Any]]


@attrs.frozen
class ProvidedPrompt:
    """A prompt that a provider has found.

    Attributes:
        definition: of the prompt; its name is the one that was looked for.
        get: gets it, as `await get(ctx, arguments)`. The arguments are as the client sent them. It returns a
            `GetPromptResult`, or anything that the function of a prompt may return.
    """

    definition: Prompt
    get: Callable[[Context, Mapping[str, str]], Awaitable[Any]]


class ChangeListener(Protocol):
    """A server, as its providers tell it of changes."""

    def changed(self, kind: Kind) -> None: ...

    def updated(self, uri: str) -> None: ...


class Provider:
    """A source of tools, resources and prompts, for any number of servers. Derive from it.

        class Shelf(trimcp.Provider):
            features = {"resources"}

            async def list_resources(self, ctx, cursor):
                return [Resource(uri=f"book://{isbn}", name=title) async for isbn, title in self.db.books()]

            async def find_resource(self, ctx, uri):
                ...

        server.add_provider(Shelf())

    For each feature that it names it has the methods that list and find. They run in the task of the request
    that needs them, so they may wait, and are cancelled with it. `find_…` must agree with `list_…`: it finds what
    is listed. It is asked often (for each call, and for lists of the providers behind it), so it should be cheap.
    """

    features: Collection[Kind]
    """The features it has: of `tools`, `resources`, `prompts`, `completions`. Most simply an attribute of the class."""
    name: str = ""
    """Its name in logs, in errors and in cursors: unique on a server, and the same in processes that serve the same
    clients. The name of the class, where it is empty."""

    # --- lists, by pages or whole -----------------------------------------------------

    async def list_tools(self, ctx: Context, cursor: str | None) -> Sequence[Tool] | ProvidedPage[Tool]:
        """List the tools: all of them, or the page that a cursor of this provider leads to; None for the first."""
        return ()

    async def list_resources(self, ctx: Context, cursor: str | None) -> Sequence[Resource] | ProvidedPage[Resource]:
        """List the resources; see `list_tools`."""
        return ()

    async def list_resource_templates(
        self, ctx: Context, cursor: str | None
    ) -> Sequence[ResourceTemplate] | ProvidedPage[ResourceTemplate]:
        """List the resource templates; see `list_tools`. A provider without any does not need the method."""
        return ()

    async def list_prompts(self, ctx: Context, cursor: str | None) -> Sequence[Prompt] | ProvidedPage[Prompt]:
        """List the prompts; see `list_tools`."""
        return ()

    # --- one definition ---------------------------------------------------------------

    async def find_tool(self, ctx: Context, name: str) -> ProvidedTool | None:
        """Find a tool by its name; None where there is none."""
        return None

    async def find_resource(self, ctx: Context, uri: str) -> ProvidedResource | None:
        """Find a resource by its URI, also one that matches a template; None where there is none."""
        return None

    async def find_prompt(self, ctx: Context, name: str) -> ProvidedPrompt | None:
        """Find a prompt by its name; None where there is none."""
        return None

    async def complete(self, ctx: Context, params: CompleteRequestParams) -> Sequence[str] | Completion | None:
        """Complete an argument of a prompt or of a template.

        Returns:
            The values, best first; None where the prompt or the template is not of this provider.
        """
        return None

    # --- changes ----------------------------------------------------------------------

    def notify_changed(self, kind: Kind) -> None:
        """Tell the clients of every server that the list of `tools`, `resources` or `prompts` has changed.

        Never waits, nor fails. From any thread.
        """
        for listener in _listeners(self):
            listener.changed(kind)

    def notify_updated(self, uri: str) -> None:
        """Tell the clients that subscribed to a resource of this provider that it has changed; see `notify_changed`."""
        for listener in _listeners(self):
            listener.updated(uri)


def _listeners(provider: Provider) -> tuple[ChangeListener, ...]:
    """The servers of a provider. Subclasses need not call `super().__init__`, so they may not be set yet."""
    listeners: tuple[ChangeListener, ...] = provider.__dict__.get("_listeners", ())
    return listeners


def attach(provider: Provider, listener: ChangeListener) -> None:
    """Let a provider tell a server of its changes."""
    provider.__dict__["_listeners"] = (*_listeners(provider), listener)


def detach(provider: Provider, listener: ChangeListener) -> None:
    """Undo `attach`."""
    provider.__dict__["_listeners"] = tuple(each for each in _listeners(provider) if each is not listener)
