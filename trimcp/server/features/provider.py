"""`Provider`: a source of tools, resources and prompts beside the functions that a program declares.

A provider can be a catalog in a database, another server, or an API that describes itself: its tools, resources and
prompts need not be known when the program starts. Its features must be known, since `initialize` declares them.

(`@server.dependency` is different: it makes objects for the parameters of handlers.)
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import attrs

from trimcp.server.features import Feature
from trimcp.values import FrozenValue

if TYPE_CHECKING:
    from trimcp.server.context.context import Context
    from trimcp.server.features.task_support import OnLost, TaskMode
    from trimcp.types.completion import CompleteRequestParams, Completion
    from trimcp.types.prompts import Prompt
    from trimcp.types.resources import Resource, ResourceTemplate
    from trimcp.types.tools import Tool

T = TypeVar("T")


@attrs.frozen(eq=False, repr=False)
class ProvidedPage(Generic[T]):
    """One page of a list of a provider.

    Attributes:
        items: the definitions, in the order of the list.
        next_cursor: the provider's cursor of the next page, up to 4096 characters; None on the last page. It comes
            back to the provider unchanged. Clients can read it inside the cursor of the server, but not change it.
    """

    items: Sequence[T]
    next_cursor: str | None = None


@attrs.frozen(eq=False, repr=False)
class ProvidedTool(FrozenValue):
    """A tool that a provider has found.

    Attributes:
        definition: of the tool, with the name that was looked for.
        call: runs the tool, as `await call(ctx, arguments)`. The arguments are as the client sent them, not checked
            against the input schema. It returns a `CallToolResult`, or any value that the function of a tool may
            return. It raises `ToolError` for the model, `RequestFailed` for a protocol error.
        on_lost: what becomes of a task whose node has died; see `@server.tool`. Whether a call may be a task is in the
            definition: `execution=ToolExecution(task_support="optional")`, for a provider with `tasks`.
    """

    definition: Tool
    call: Callable[[Context, Mapping[str, Any]], Awaitable[Any]]
    on_lost: OnLost = "fail"

    @property
    def name(self) -> str:
        """The name of the tool."""
        return self.definition.name

    @property
    def task(self) -> TaskMode:
        """Whether a call may be a task."""
        execution = self.definition.execution
        return "forbidden" if execution is None or execution.task_support is None else execution.task_support


@attrs.frozen(eq=False, repr=False)
class ProvidedResource(FrozenValue):
    """A resource that a provider has found.

    Attributes:
        definition: of the resource, or of the template that its URI matches.
        read: reads the resource, as `await read(ctx, uri)`. It returns a `ReadResourceResult`, or any value that the
            function of a resource may return: text, bytes, a path, contents; None if the resource does not exist.
    """

    definition: Resource | ResourceTemplate
    read: Callable[[Context, str], Awaitable[Any]]


@attrs.frozen(eq=False, repr=False)
class ProvidedPrompt(FrozenValue):
    """A prompt that a provider has found.

    Attributes:
        definition: of the prompt, with the name that was looked for.
        get: gets the prompt, as `await get(ctx, arguments)`. The arguments are as the client sent them. It returns a
            `GetPromptResult`, or any value that the function of a prompt may return.
    """

    definition: Prompt
    get: Callable[[Context, Mapping[str, str]], Awaitable[Any]]


class ChangeListener(Protocol):
    """Notifies the clients of one server of changes. From any thread."""

    def changed(self, feature: Feature) -> None:
        """Notify clients that the list of a feature has changed."""
        ...

    def resource_updated(self, uri: str) -> None:
        """Notify the subscribers of a resource that it has changed."""
        ...


class Provider:
    """A source of tools, resources and prompts, for any number of servers. Derive from it.

        class Shelf(trimcp.Provider):
            features = {"resources"}

            async def list_resources(self, ctx, cursor):
                return [Resource(uri=f"book://{isbn}", name=title) async for isbn, title in self.db.books()]

            async def find_resource(self, ctx, uri):
                ...

        server.add_provider(Shelf())

    A provider defines the methods that list and find for each of its features. They run in the task of the request
    that needs them, so they may wait, and are cancelled with the request. `find_…` must find each item that `list_…`
    lists. It runs often (for each call, and for lists of the providers behind this one), so it should be cheap.
    """

    features: Collection[Feature]
    """The features of the provider: some of `tools`, `resources`, `prompts`, `completions`."""
    name: str = ""
    """The name in logs, errors and cursors; the name of the class if empty.

    It must be unique on a server, and the same in all processes that serve the same clients."""

    tasks: bool = False
    """Whether calls of its tools may be tasks: as `execution` of each definition says."""

    # --- lists, by pages or whole -----------------------------------------------------

    async def list_tools(self, ctx: Context, cursor: str | None) -> Sequence[Tool] | ProvidedPage[Tool]:
        """List all tools, or the page that a cursor of this provider leads to; None for the first page."""
        return ()

    async def list_resources(self, ctx: Context, cursor: str | None) -> Sequence[Resource] | ProvidedPage[Resource]:
        """List the resources; see `list_tools`."""
        return ()

    async def list_resource_templates(
        self, ctx: Context, cursor: str | None
    ) -> Sequence[ResourceTemplate] | ProvidedPage[ResourceTemplate]:
        """List the resource templates; see `list_tools`. A provider without templates does not need this method."""
        return ()

    async def list_prompts(self, ctx: Context, cursor: str | None) -> Sequence[Prompt] | ProvidedPage[Prompt]:
        """List the prompts; see `list_tools`."""
        return ()

    # --- one definition ---------------------------------------------------------------

    async def find_tool(self, ctx: Context, name: str) -> ProvidedTool | None:
        """Find a tool by its name. Return None if the provider does not have it."""
        return None

    async def find_resource(self, ctx: Context, uri: str) -> ProvidedResource | None:
        """Find a resource, or the template of a resource, by a URI; see `find_tool`."""
        return None

    async def find_prompt(self, ctx: Context, name: str) -> ProvidedPrompt | None:
        """Find a prompt by its name; see `find_tool`."""
        return None

    async def complete(self, ctx: Context, params: CompleteRequestParams) -> Sequence[str] | Completion | None:
        """Complete an argument of a prompt or of a template.

        Returns:
            The values, best first; None if another source has the prompt or the template.
        """
        return None

    # --- access -----------------------------------------------------------------------

    def scopes(self, feature: Feature, key: str) -> Iterable[str]:
        """Return the scopes that an item needs.

        The key is the name of a tool or a prompt, the URI of a resource, or the URI template of a template.

        It is called before the head of a response is sent, for each item that a request is for, and for each item of
        a list where items are hidden. So it must not wait. The answers of all providers count, since only a search
        tells which one has the item: return scopes only for items of this provider. Where it raises, the request
        fails.
        """
        return ()

    # --- changes ----------------------------------------------------------------------

    def notify_changed(self, kind: Feature) -> None:
        """Notify the clients of every server that the list of `tools`, `resources` or `prompts` has changed.

        Never waits or fails. Can be called from any thread.
        """
        for listener in _listeners(self):
            listener.changed(kind)

    def notify_updated(self, uri: str) -> None:
        """Notify the subscribers of a resource that it has changed; see `notify_changed`."""
        for listener in _listeners(self):
            listener.resource_updated(uri)


def _listeners(provider: Provider) -> tuple[ChangeListener, ...]:
    """Return the servers of a provider. Subclasses need not call `super().__init__`, so the default is none."""
    listeners: tuple[ChangeListener, ...] = provider.__dict__.get("_listeners", ())
    return listeners


def attach(provider: Provider, listener: ChangeListener) -> None:
    """Report the changes of a provider to a server from now on."""
    provider.__dict__["_listeners"] = (*_listeners(provider), listener)


def detach(provider: Provider, listener: ChangeListener) -> None:
    """Report the changes of a provider to a server no more."""
    provider.__dict__["_listeners"] = tuple(each for each in _listeners(provider) if each is not listener)
