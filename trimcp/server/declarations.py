"""`Declarations`: the part of a server that holds its settings and everything that the program declared.

`FeatureDecorators` and `HookDecorators` are the public face of this part. Each run of the server reads it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterator, Sequence, Sized
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import trio

from trimcp.errors import UsageError
from trimcp.limits import Limits
from trimcp.server.features import FEATURES, Feature
from trimcp.server.features.caching import Caching
from trimcp.server.features.pagination import Paginator
from trimcp.server.features.provider import Provider
from trimcp.server.features.provider_registry import ProviderRegistry
from trimcp.server.features.tools import ToolRegistry
from trimcp.server.invocation.dependencies import Dependencies
from trimcp.server.middleware import Middleware
from trimcp.server.options import check_icons, check_option
from trimcp.stores.server_secrets import ServerSecrets
from trimcp.types.metadata import Implementation
from trimcp.types.revisions import BY_VERSION, REVISIONS, Revision
from trimcp.types.utilities import LOGGING_LEVELS, LoggingLevel

if TYPE_CHECKING:
    from trimcp.http.server.routes import HttpRoute
    from trimcp.server.context.context import Context
    from trimcp.server.context.session_context import SessionContext
    from trimcp.server.extension_registry import ExtensionRegistry
    from trimcp.server.features.completions import CompletionRegistry
    from trimcp.server.features.pending_url_elicitations import PendingUrlElicitations
    from trimcp.server.features.prompts import PromptRegistry
    from trimcp.server.features.resources import ResourceRegistry
    from trimcp.server.features.subscriptions.bus import SubscriptionBus
    from trimcp.server.features.task_support import TaskFeature
    from trimcp.server.server_extension import ServerExtension
    from trimcp.stores.store import Store
    from trimcp.types.extensions import ExtensionNotification

P = TypeVar("P")
MaySubscribe = Callable[[str, "Context"], bool]
OnRootsChanged = Callable[["SessionContext"], Awaitable[None]]


class NotifiedRun(Protocol):
    """A run of the server, as far as it notifies clients of changes."""

    subscriptions: SubscriptionBus
    url_elicitations: PendingUrlElicitations


class Declarations:
    """Holds the settings and the declarations of one server, and notifies its runs of changes."""

    def __init__(
        self,
        info: Implementation,
        instructions: str | None,
        *,
        limits: Limits,
        keys: ServerSecrets,
        revisions: Sequence[str] | None,
        show_errors: bool,
        ignored_arguments: frozenset[str],
        logging: bool,
        log_level: LoggingLevel | None,
        caching: Caching,
    ) -> None:
        """
        Raises:
            UsageError: there is no such revision or log level.
        """
        check_option(info.name, "name", str, "the name of the server")
        check_icons(info.icons)
        check_option(limits, "limits", Limits, "a trimcp.Limits")
        check_option(caching, "caching", Caching, "a trimcp.Caching")
        if revisions is not None:
            check_option(revisions, "revisions", (list, tuple), f"a list of {', '.join(BY_VERSION)}")
        unknown = [version for version in revisions or () if version not in BY_VERSION]
        if unknown or revisions == []:
            raise UsageError(f"No revision {', '.join(unknown) or 'given'}: choose from {', '.join(BY_VERSION)}")
        self.info: Implementation = info
        self.instructions: str | None = instructions
        self.limits: Limits = limits
        self.keys: ServerSecrets = keys
        self.store: Store | None = None
        """Keeps everything of the server; None: in the memory of each run."""
        self.revisions: tuple[Revision, ...] = tuple(
            r for r in REVISIONS if revisions is None or r.version in revisions
        )
        if log_level is not None and log_level not in LOGGING_LEVELS:
            raise UsageError(f"Unknown log level {log_level!r}: use {', '.join(LOGGING_LEVELS)}")
        self.logging: bool = logging
        self.log_level: LoggingLevel | None = log_level
        self.caching: Caching = caching
        self.paginator: Paginator = Paginator(keys, limits.page)
        self.dependencies: Dependencies = Dependencies()
        self._threads = trio.CapacityLimiter(limits.tool_threads)
        self.tools: ToolRegistry = ToolRegistry(
            self.dependencies, self._threads, show_errors=show_errors, ignored_arguments=ignored_arguments
        )
        self.providers: ProviderRegistry = ProviderRegistry(self)
        """The providers that were added, in their order."""
        self.middleware: list[Middleware] = []
        """The outermost comes first."""
        self.subscribing: MaySubscribe | None = None
        """Decides who may subscribe to which URI; None allows all."""
        self.roots_changed: OnRootsChanged | None = None
        """Handles the notification that the roots of a client have changed."""
        self.http_routes: list[HttpRoute] = []
        """Answer HTTP requests beside the endpoint."""
        self.extensions: ExtensionRegistry | None = None
        """The extensions that the server uses; None while there are none."""
        self.tasks: TaskFeature | None = None
        """Runs tools as tasks; None while no tool is declared with `task=`, and no provider has `tasks`."""
        self.declares_scopes: bool = False
        """Whether any tool, resource or prompt has needed scopes, or may need some of a provider."""
        self._runs: list[NotifiedRun] = []
        self._began_with: frozenset[Feature] = frozenset()
        """The features that the newest run began with. It declared them to peers, and keeps them."""

    # --- runs -------------------------------------------------------------------------

    def set_store(self, store: Store | None) -> None:
        """Set the store of all later runs.

        Raises:
            UsageError: it is not a store, or the server runs.
        """
        if store is not None:
            from trimcp.stores.store import Store as Kind

            check_option(store, "store", Kind, 'a store, such as trimcp.stores.SQLite("state.db")')
        if self._runs:
            raise UsageError("Late store: set the store before the server runs")
        self.store = store
        self.keys.source = None if store is None or self.keys.are_given else store.secrets

    def run_began(self, run: NotifiedRun) -> None:
        """Notify a run of changes from now on, and fix the features that it declares to peers."""
        self._began_with = frozenset(feature for feature in FEATURES if self._offers(feature))
        self._runs.append(run)

    def run_ended(self, run: NotifiedRun) -> None:
        """Forget a run."""
        self._runs.remove(run)

    def changed(self, feature: Feature) -> None:
        """Notify all clients that a list has changed."""
        for run in list(self._runs):
            run.subscriptions.changed(feature)

    def resource_updated(self, uri: str) -> None:
        """Notify the subscribers of a resource that it has changed."""
        for run in list(self._runs):
            run.subscriptions.updated(uri)

    def elicitation_complete(self, id: str) -> bool:
        """Notify the client of a URL elicitation that it is complete. Returns whether there is one."""
        notified = [run.url_elicitations.complete(id) for run in self._runs]
        return any(notified)

    def notify(self, notification: ExtensionNotification[P], params: P, *, topic: str | None, key: str) -> None:
        """Send a notification of an extension. See `Server.tell`."""
        identifier = self.extension_of(notification.name)
        if notification.sender != "server":
            raise UsageError(
                f"Notification {notification.name} is for clients to send: declare it with sender='server'"
            )
        for run in list(self._runs):
            run.subscriptions.notify(identifier, notification, params, None if topic is None else (topic, key))

    # --- features ---------------------------------------------------------------------

    @functools.cached_property
    def resources(self) -> ResourceRegistry:
        """The registry of resources. The first use makes it, and imports its modules."""
        from trimcp.server.features.resources import ResourceRegistry

        return ResourceRegistry(self.dependencies, self._threads)

    @functools.cached_property
    def prompts(self) -> PromptRegistry:
        """The registry of prompts. See `resources`."""
        from trimcp.server.features.prompts import PromptRegistry

        return PromptRegistry(self.dependencies, self._threads)

    @functools.cached_property
    def completions(self) -> CompletionRegistry:
        """The registry of completers. See `resources`."""
        from trimcp.server.features.completions import CompletionRegistry

        return CompletionRegistry(self.dependencies, self._threads, self.prompts, self.resources)

    def has(self, feature: Feature) -> bool:
        """Whether the capability is declared. A run keeps the features that it began with."""
        return feature in self._began_with or self._offers(feature)

    def _offers(self, feature: Feature) -> bool:
        return self.count(feature) > 0 or bool(self.providers.of(feature))

    def count(self, feature: Feature) -> int:
        """Count the declarations of a feature."""
        if feature == "completions" and self.__dict__.keys() & {"prompts", "resources"}:
            return len(self.completions)  # the arguments of prompts and templates may have choices
        registry: Sized = self.__dict__.get(feature, ())  # a registry that was not used yet is not there
        return len(registry)

    @contextmanager
    def declaring(self, feature: Feature, noun: str, scopes: Sequence[str] = ()) -> Iterator[None]:
        """Check that the server may declare a feature; after the block, notify clients.

        Args:
            feature: the feature.
            noun: one of its items, for errors.
            scopes: the scopes that the item needs.

        Raises:
            UsageError: the server runs, and began without this feature.
        """
        if self._runs and not self.has(feature):
            raise UsageError(
                f"Late declaration: declare the first {noun} before the server runs, as peers ask for its features once"
            )
        yield
        self.declares_scopes |= bool(scopes)
        if feature != "completions":  # which has no list
            self.changed(feature)

    def add_provider(self, provider: Provider, timeout: float | None) -> None:
        """Add a provider. See `Server.add_provider`."""
        added = self.providers.check(provider, timeout)
        for feature in added.features:
            if self._runs and not self.has(feature):
                raise UsageError(
                    f"The server has no {feature} yet: add the provider {added.name} before the server runs, "
                    "as peers learn the features once"
                )
        if provider.tasks:
            self.use_tasks()
        self.declares_scopes |= added.has_scopes
        self.providers.add(added)
        for feature in added.features:
            self.changed(feature)

    def remove_provider(self, provider: Provider) -> None:
        """Remove a provider. See `Server.remove_provider`."""
        for feature in self.providers.remove(provider).features:
            self.changed(feature)

    def add_dependency(self, function: Callable[..., Any]) -> None:
        """Declare the function that makes objects of a type. See `Server.dependency`."""
        given: Any = function
        if isinstance(given, Provider) or (isinstance(given, type) and issubclass(given, Provider)):
            raise UsageError(f"{given!r} is a source of tools, resources or prompts: use server.add_provider(…)")
        self.dependencies.add(function)

    # --- hooks ------------------------------------------------------------------------

    def add_middleware(self, function: Middleware) -> None:
        """Put a function around the answering of requests. See `Server.middleware`."""
        _check_callable(function, "middleware")
        if self._runs:
            raise UsageError("Late declaration of middleware: declare it before the server runs")
        self.middleware.append(function)

    def set_may_subscribe(self, function: MaySubscribe) -> None:
        """Set the function that decides who may subscribe. See `Server.may_subscribe`."""
        _check_callable(function, "may_subscribe")
        if inspect.iscoroutinefunction(function):
            raise UsageError(
                "The function under @server.may_subscribe is async: it must not be async, as it must not wait"
            )
        if self._runs or self.subscribing is not None:
            raise UsageError("Second or late @server.may_subscribe: declare it once, before the server runs")
        self.subscribing = function

    def set_roots_changed(self, function: OnRootsChanged) -> None:
        """Set the function that handles changed roots. See `Server.on_roots_changed`."""
        _check_callable(function, "on_roots_changed")
        if self._runs or self.roots_changed is not None:
            raise UsageError("Second or late @server.on_roots_changed: declare it once, before the server runs")
        self.roots_changed = function

    def check_may_route(self, path: str) -> None:
        """
        Raises:
            UsageError: the server runs already.
        """
        if self._runs:
            raise UsageError(f"Late declaration of the route {path}: declare routes before the server runs")

    def add_route(self, route: HttpRoute) -> None:
        """Add a route. See `Server.route`."""
        from trimcp.http.server.routes import RouteTable

        table = RouteTable()
        for each in (*self.http_routes, route):
            table.add(each)
        self.http_routes.append(route)

    # --- extensions -------------------------------------------------------------------

    def use(self, extension: ServerExtension) -> None:
        """Use an extension of the protocol. See `Server.use`."""
        from trimcp.server.extension_registry import ExtensionRegistry
        from trimcp.server.server_extension import ServerExtension as Extension

        check_option(extension, "extension", Extension, "a trimcp.ServerExtension")
        if self._runs:
            raise UsageError(
                f"Late use of {extension.identifier}: use extensions before the server runs, as peers learn them once"
            )
        extensions = ExtensionRegistry() if self.extensions is None else self.extensions
        extensions.check(extension)
        for definition in self._definitions():
            for hook in extension.declare_hooks:
                hook(definition)
        extensions.add(extension)
        self.extensions = extensions

    def use_tasks(self) -> None:
        """Load the tasks, for the first tool that is declared with `task=`, or the first provider with `tasks`.

        Raises:
            UsageError: the server runs already, or uses another extension with that identifier.
        """
        if self.tasks is None:
            from trimcp.server.features.task_support import load_tasks

            tasks = load_tasks()
            self.use(tasks.extension)
            self.tasks = tasks

    def _definitions(self) -> Iterator[Any]:
        """All definitions that were declared so far."""
        yield from self.tools.definitions()
        if "resources" in self.__dict__:
            yield from self.resources.definitions()
        if "prompts" in self.__dict__:
            yield from self.prompts.definitions()

    def show(self, definition: Any) -> None:
        """Show the extensions a definition that will be declared.

        Raises:
            UsageError: an extension refuses it.
        """
        if self.extensions is not None:
            self.extensions.show(definition)

    def may_have_extension(self, identifier: str, revision: Revision) -> bool:
        """Whether a revision has an extension. True for extensions that the server does not use."""
        return self.extensions is None or self.extensions.may_exist(identifier, revision)

    def extension_of(self, name: str) -> str:
        """Return the identifier of the extension that has a method or notification, or sends it.

        Raises:
            UsageError: no extension of the server has it.
        """
        found = None if self.extensions is None else self.extensions.owner_of(name)
        if found is None:
            raise UsageError(f"No extension that this server uses has {name}: declare it in a ServerExtension")
        return found


def _check_callable(function: object, decorator: str) -> None:
    if not callable(function):
        raise UsageError(f"{function!r} is no function: write @server.{decorator} above a function")
