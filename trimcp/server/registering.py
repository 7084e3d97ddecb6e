"""What every declaration on a server goes through, whichever feature it is of.

Owns the rule that what a server can do is fixed when it starts to run, and the news that a list
has changed. The declarations of each feature derive from it; `Server` derives from them all.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from trimcp.errors import UsageError
from trimcp.server.dependencies import Dependencies
from trimcp.server.features.kinds import Kind
from trimcp.server.features.pagination import Pages
from trimcp.server.keys import Keys

if TYPE_CHECKING:
    from trimcp.server.extensions import Extensions
    from trimcp.server.features.completions import CompletionRegistry
    from trimcp.server.features.prompts import PromptRegistry
    from trimcp.server.features.resources import ResourceRegistry
    from trimcp.server.running import Running
    from trimcp.session.limits import Limits

F = TypeVar("F", bound=Callable[..., Any])
"""A decorated function: it is returned as it was."""


class Registering:
    """Declares things, before the server runs or while it does."""

    def __init__(self, limits: Limits, keys: Keys) -> None:
        self.limits = limits
        self.keys = keys
        self._dependencies = Dependencies()
        self._threads = trio.CapacityLimiter(limits.tool_threads)
        self.pages = Pages(keys, limits.page)
        self.extensions: Extensions | None = None
        """Those that the server uses; None while there are none."""
        self._runs: list[Running] = []
        self._began_with: frozenset[Kind] = frozenset()
        """The features that the newest run began with: it told peers of these, and keeps them."""

    @functools.cached_property
    def resources(self) -> ResourceRegistry:
        """The registry of resources; made, and its modules imported, when it is first used."""
        from trimcp.server.features.resources import ResourceRegistry

        return ResourceRegistry(self._dependencies, self._threads, self._show)

    @functools.cached_property
    def prompts(self) -> PromptRegistry:
        """The registry of prompts; see `resources`."""
        from trimcp.server.features.prompts import PromptRegistry

        return PromptRegistry(self._dependencies, self._threads, self._show)

    @functools.cached_property
    def completions(self) -> CompletionRegistry:
        """The registry of completers; see `resources`."""
        from trimcp.server.features.completions import CompletionRegistry

        return CompletionRegistry(self._dependencies, self._threads, self.prompts, self.resources)

    def has(self, kind: Kind) -> bool:
        """Whether the capability is declared: what a run began with, it keeps."""
        return kind in self._began_with or self.offers(kind)

    def offers(self, kind: Kind) -> bool:
        """Whether there is something of a feature now, or a provider that may have it."""
        raise NotImplementedError

    def count(self, kind: Kind) -> int:
        """How much is declared of a feature."""
        raise NotImplementedError

    def _check_may_declare(self, kind: Kind, what: str) -> None:
        """
        Raises:
            UsageError: the server runs, and began without any.
        """
        if self._runs and not self.has(kind):
            raise UsageError(
                f"declare the first {what} before the server runs: what it can do is told when a peer asks"
            )

    def _show(self, definition: Any) -> None:
        """Show what is about to be declared to the extensions.

        Raises:
            UsageError: one of them refuses it.
        """
        if self.extensions is not None:
            self.extensions.show(definition)

    def _changed(self, kind: Kind) -> None:
        """Tell every client, wherever the server runs."""
        for running in list(self._runs):
            running.subscriptions.changed(kind)

    # --- news -------------------------------------------------------------------------

    def notify_tools_changed(self) -> None:
        """Tell clients that the list of tools is another, for a reason that trimcp does not see.

        Declaring and removing tells them by itself. This, and its siblings, reach every client
        in the way of its revision: a session of the legacy era, a `subscriptions/listen` that
        asked for it in 2026-07-28. They do not wait, may be called from any thread, and many
        calls become one notice where a client is slow to read. While the server does not run,
        nobody is told.
        """
        self._changed("tools")

    def notify_prompts_changed(self) -> None:
        """Tell clients that the list of prompts is another; see `notify_tools_changed`."""
        self._changed("prompts")

    def notify_resources_changed(self) -> None:
        """Tell clients that the list of resources is another; see `notify_tools_changed`."""
        self._changed("resources")

    def notify_resource_updated(self, uri: str) -> None:
        """Tell the clients that subscribed to a resource that it has changed; see `notify_tools_changed`.

        Args:
            uri: exactly as clients subscribe to it.
        """
        for running in list(self._runs):
            running.subscriptions.updated(uri)

    def notify_elicitation_complete(self, id: str) -> bool:
        """Tell the client whose user was sent to a web page that what was to be done there is done.

        Only 2025-11-25 has such a notice; in 2026-07-28 a client learns by asking again.

        Args:
            id: as it was given to `Context.elicit_url`.

        Returns:
            Whether there is a client to tell.
        """
        told = [running.url_elicitations.complete(id) for running in self._runs]
        return any(told)
