"""`Client`: typed calls on one server, as programs see it. `trimcp.connect` opens it; `ClientRun` does the work."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from trimcp.client.calls import CallsByName, TaskCalls
from trimcp.client.features.prompts import complete
from trimcp.client.features.resources import read_resource
from trimcp.client.run import ClientRun
from trimcp.types.revisions import Era

if TYPE_CHECKING:
    from trimcp.client.cache import ResultCache
    from trimcp.client.features.client_features import RootsSource
    from trimcp.client.features.resources import ResourceResult
    from trimcp.client.listing import Listing
    from trimcp.client.notifications.notices import Notices
    from trimcp.session.call import OnProgress
    from trimcp.session.session import Session
    from trimcp.types.capabilities import ServerCapabilities
    from trimcp.types.completion import Completion
    from trimcp.types.extensions import ExtensionMethod
    from trimcp.types.metadata import Implementation
    from trimcp.types.prompts import ListPromptsResult, Prompt
    from trimcp.types.resources import ListResourcesResult, ListResourceTemplatesResult, Resource, ResourceTemplate
    from trimcp.types.tools import ListToolsResult, Tool

P = TypeVar("P")
R = TypeVar("R")


class Client(TaskCalls, CallsByName):
    """A session with a server. All of it may be used from any task, by any number at once.

    Every call is a request of its own: leaving it early, by a deadline or a cancel of Trio's,
    tells the server, and does not wait for it. Every call may raise

    * `RequestFailed`: the server answered with an error;
    * `RequestTimedOut`: it did not answer within the timeouts;
    * `ConnectionEnded`: the connection is gone (`ConnectionLost`, `ServerExited`: by the other
      side; `ConnectionClosed`: by this one);
    * `InvalidResult`: its answer breaks the schema.
    """

    def __init__(self, run: ClientRun) -> None:
        """Made by `trimcp.connect`."""
        self._run: ClientRun = run

    async def _route(self, kind: Literal["tools", "prompts"], name: str) -> tuple[ClientRun, str]:
        return self._run, name

    # --- the server -------------------------------------------------------------------

    @property
    def protocol_version(self) -> str:
        """The revision that is spoken, such as `2026-07-28`."""
        return self._run.protocol_version

    @property
    def server_info(self) -> Implementation | None:
        """The server's name and version, unverified: for display and logs. None where a modern server is silent."""
        return self._run.requests.agreement.server_info

    @property
    def server_capabilities(self) -> ServerCapabilities:
        """The capabilities that the server declared."""
        return self._run.requests.agreement.capabilities

    @property
    def instructions(self) -> str | None:
        """How the server wants to be used, for a model to read."""
        return self._run.requests.agreement.instructions

    @property
    def cache(self) -> ResultCache | None:
        """The results that the server lets this client keep; None where none are kept."""
        return self._run.requests.cache

    @property
    def session(self) -> Session:
        """The session below: `session.snapshot()` shows what it does."""
        return self._run.requests.session

    # --- requests ---------------------------------------------------------------------

    async def request(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        on_progress: OnProgress | None = None,
        fresh: bool = False,
    ) -> dict[str, Any]:
        """Make any request, params and result as raw JSON objects. `_meta` is added where the revision wants it.

        Args:
            method: its name.
            params: its params.
            timeout: seconds to wait, instead of `Timeouts.request`.
            on_progress: called, or awaited, with progress, total and message of each report, in
                order, before this returns. A slow callback misses reports, but not the last one.
            fresh: ask the server also where an earlier result may still be used.
        """
        return await self._run.requests.request(method, params, timeout=timeout, on_progress=on_progress, fresh=fresh)

    def notify(self, method: str, params: Mapping[str, Any] | None = None) -> None:
        """Send a notification. It is not known whether it arrives.

        Raises:
            ConnectionEnded: the connection is gone.
        """
        self._run.notify(method, params)

    async def ping(self) -> None:
        """Ask whether the server is there: by `ping`, or, in 2026-07-28, by `server/discover`."""
        is_legacy = self._run.requests.agreement.revision.era is Era.LEGACY
        await self.request("ping" if is_legacy else "server/discover", fresh=True)

    def close(self) -> None:
        """End the session at once. May be called from any task, any number of times.

        Calls that wait for an answer raise `ConnectionClosed`.
        """
        self._run.session.close()

    # --- tools ------------------------------------------------------------------------

    async def list_tools(self, *, fresh: bool = False) -> list[Tool]:
        """All tools of the server, page after page (server/tools).

        Args:
            fresh: ask the server also where an earlier list may still be used.

        Raises:
            InvalidResult: the list does not end.
        """
        return await self._run.tools.list_all(fresh=fresh)

    def iter_tools(self, *, fresh: bool = False) -> Listing[Tool]:
        """The same one by one: `async for tool in client.iter_tools()`; pages are read as needed."""
        return self._run.tools.iter(fresh=fresh)

    async def tools_page(self, cursor: str | None = None, *, fresh: bool = False) -> ListToolsResult:
        """One page of the server's tools; `next_cursor` leads to the one after it, None where there is none."""
        return await self._run.tools.page(cursor, fresh=fresh)

    # --- resources --------------------------------------------------------------------

    async def list_resources(self, *, fresh: bool = False) -> list[Resource]:
        """All resources of the server that have URIs of their own, page after page.

        Args:
            fresh: ask the server also where an earlier list may still be used.

        Raises:
            InvalidResult: the list does not end.
        """
        return await self.iter_resources(fresh=fresh).all()

    def iter_resources(self, *, fresh: bool = False) -> Listing[Resource]:
        """The same one by one: `async for resource in client.iter_resources()`; pages are read as needed."""
        return self._run.requests.listing("resources/list", fresh=fresh)

    async def resources_page(self, cursor: str | None = None, *, fresh: bool = False) -> ListResourcesResult:
        """One page of the server's resources; `next_cursor` leads to the one after it, None where there is none."""
        page: ListResourcesResult = await self._run.requests.page("resources/list", cursor, fresh=fresh)
        return page

    async def list_resource_templates(self, *, fresh: bool = False) -> list[ResourceTemplate]:
        """All templates by which the server makes resources, page after page; see `list_resources`."""
        return await self.iter_resource_templates(fresh=fresh).all()

    def iter_resource_templates(self, *, fresh: bool = False) -> Listing[ResourceTemplate]:
        """The same one by one; see `iter_resources`."""
        return self._run.requests.listing("resources/templates/list", fresh=fresh)

    async def resource_templates_page(
        self, cursor: str | None = None, *, fresh: bool = False
    ) -> ListResourceTemplatesResult:
        """One page of the server's templates; see `resources_page`."""
        method = "resources/templates/list"
        page: ListResourceTemplatesResult = await self._run.requests.page(method, cursor, fresh=fresh)
        return page

    async def read_resource(
        self,
        uri: str,
        *,
        timeout: float | None = None,
        on_progress: OnProgress | None = None,
        meta: Mapping[str, Any] | None = None,
        fresh: bool = False,
    ) -> ResourceResult:
        """Read a resource (server/resources, "Reading Resources").

        Args:
            uri: of the resource.
            timeout: seconds to wait, instead of `Timeouts.request`.
            on_progress: see `request`.
            meta: further keys for the request's `_meta`.
            fresh: ask the server also where an earlier result may still be used.

        Raises:
            ResourceNotFound: there is none of that URI.
        """
        return await read_resource(self._run.requests, uri, timeout, on_progress, meta, fresh)

    # --- prompts and completion -------------------------------------------------------

    async def list_prompts(self, *, fresh: bool = False) -> list[Prompt]:
        """All prompts of the server, page after page.

        Args:
            fresh: ask the server also where an earlier list may still be used.

        Raises:
            InvalidResult: the list does not end.
        """
        return await self.iter_prompts(fresh=fresh).all()

    def iter_prompts(self, *, fresh: bool = False) -> Listing[Prompt]:
        """The same one by one: `async for prompt in client.iter_prompts()`; pages are read as needed."""
        return self._run.requests.listing("prompts/list", fresh=fresh)

    async def prompts_page(self, cursor: str | None = None, *, fresh: bool = False) -> ListPromptsResult:
        """One page of the server's prompts; `next_cursor` leads to the one after it, None where there is none."""
        page: ListPromptsResult = await self._run.requests.page("prompts/list", cursor, fresh=fresh)
        return page

    async def complete(
        self,
        argument: str,
        value: str = "",
        *,
        prompt: str | None = None,
        template: str | None = None,
        given: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Completion:
        """Ask how an argument of a prompt, or a variable of a template, may go on (server/utilities/completion).

        Args:
            argument: its name.
            value: the beginning of its value.
            prompt: the prompt's name; or
            template: the resource template, as it is listed.
            given: the other arguments that are known (sent from 2025-06-18 on).
            timeout: seconds to wait, instead of `Timeouts.request`.

        Raises:
            UsageError: neither a prompt nor a template is named, or both are.
        """
        return await complete(self._run.requests, argument, value, prompt, template, given, timeout)

    # --- subscriptions ----------------------------------------------------------------

    def notices(self) -> AbstractAsyncContextManager[Notices]:
        """Read all notices of the server from here on.

            async with client.notices() as notices:
                async for notice in notices:
                    ...  # ToolsChanged(), PromptsChanged(), ResourcesChanged(), ResourceUpdated(uri)

        A legacy server tells of its lists by itself; a server of 2026-07-28 tells only of the changes
        that `listen` or `subscribe` asked for. Any number may be open at once, each for one task to
        read; see `Notices` for a slow reader, and for the end.

        Raises:
            ConnectionEnded: the connection is gone.
        """
        return self._run.subscriptions.notices()

    def listen(
        self,
        *,
        tools: bool = False,
        prompts: bool = False,
        resources: bool = False,
        uris: Iterable[str] = (),
        more: Mapping[str, Iterable[str]] | None = None,
    ) -> AbstractAsyncContextManager[Notices]:
        """Be told of certain changes for as long as the context lasts, in every revision alike.

            async with client.listen(tools=True, uris=["file:///etc/motd"]) as notices:
                async for notice in notices:
                    ...

        Entering it waits until the server has agreed; `notices.acknowledged` says to what. Leaving it
        tells the server, and does not wait. When the server ends it in good order, reading ends, and
        `notices.end` says so; when the connection is lost, reading raises `ConnectionLost`.

        Args:
            tools: changes of the list of tools.
            prompts: changes of the list of prompts.
            resources: changes of the list of resources.
            uris: changes of these resources.
            more: topics of extensions (2026-07-28), by the member that names them: `{"taskIds": ["7"]}`.

        Raises:
            UsageError: nothing to listen to.
            RequestFailed: the server refuses (it may be busy), or cannot.
            RequestTimedOut: it did not agree within `Timeouts.request`.
            ConnectionEnded: the connection is gone.

        See basic/patterns/subscriptions of 2026-07-28, and server/resources before it.
        """
        from trimcp.client.notifications.notices import topics  # late, as `ClientRun.subscriptions`

        return self._run.subscriptions.listen(topics(tools, prompts, resources, uris, more))

    async def subscribe(self, uri: str) -> None:
        """Be told of the changes of a resource until `unsubscribe`; `notices` is where they arrive.

        A second call for the same resource changes nothing. In 2026-07-28 all of them share one listen request,
        which is replaced without a gap.

        Raises:
            UsageError: the server did not declare that it can.
            RequestFailed: it refuses.
            RequestTimedOut, ConnectionEnded: there was no answer.
        """
        await self._run.subscriptions.subscribe(uri)

    async def unsubscribe(self, uri: str) -> None:
        """Take back a `subscribe`; without one, do nothing.

        Raises: as `subscribe`, in 2026-07-28; the subscription then goes on.
        """
        await self._run.subscriptions.unsubscribe(uri)

    # --- extensions -------------------------------------------------------------------

    @property
    def extensions(self) -> Mapping[str, Mapping[str, Any]]:
        """The extensions that the server declared, known here or not: their settings, by identifier."""
        return self._run.declared_extensions

    async def call(
        self,
        method: ExtensionMethod[P, R],
        params: P,
        *,
        timeout: float | None = None,
        on_progress: OnProgress | None = None,
    ) -> R:
        """Make a request of an extension that this client was given.

        Args:
            method: as the extension declares it.
            params: an object of its class of params.
            timeout: see `request`.
            on_progress: see `request`.

        Returns:
            An object of its class of results.

        Raises:
            UsageError: none of `connect(extensions=…)` sends it in the revision that is spoken, or the server did
                not declare the extension: do what the core of the protocol does.
        """
        result: R = await self._run.call(method, params, timeout, on_progress)
        return result

    async def answer(self, questions: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Answer input requests of 2026-07-28 that an extension brings, by the functions that `connect` was given.

        Args:
            questions: by key, as raw JSON objects.

        Returns:
            The input responses by key, as raw JSON objects.

        Raises:
            InvalidResult: a question is not an input request, or there are too many.
            RequestFailed: a question was refused, by the user or since the client does not offer an answer.
        """
        return await self._run.requests.answer(questions)

    # --- roots ------------------------------------------------------------------------

    def set_roots(self, roots: RootsSource) -> None:
        """Let the server work in other folders from now on, or have another function give them. It does not wait.

        A server of the legacy era is told that they have changed, once for all changes that it has not
        read of. A server of 2026-07-28 asks anew whenever it needs to know. (client/roots)

        Args:
            roots: as `connect(roots=…)` takes them. The same function again says that it gives others now.

        Raises:
            UsageError: `connect` was given no roots, so the server was told not to ask for them; or
                a root is not a folder.
        """
        self._run.set_roots(roots)
