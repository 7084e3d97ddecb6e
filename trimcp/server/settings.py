"""The settings of a server that may change until it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trimcp.limits import Limits
    from trimcp.server.declarations import Declarations
    from trimcp.stores.store import Store
    from trimcp.types.revisions import Revision


class ServerSettings:
    """The part of `Server` with the settings that may be set on it. Set them before the server runs."""

    _declarations: Declarations

    @property
    def limits(self) -> Limits:
        """The bounds of the server."""
        return self._declarations.limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self._declarations.limits = limits

    @property
    def revisions(self) -> tuple[Revision, ...]:
        """The revisions that the server serves, oldest first."""
        return self._declarations.revisions

    @revisions.setter
    def revisions(self, revisions: tuple[Revision, ...]) -> None:
        self._declarations.revisions = revisions

    @property
    def store(self) -> Store | None:
        """Where the server keeps its data; None: in the memory of each run."""
        return self._declarations.store

    @store.setter
    def store(self, store: Store | None) -> None:
        self._declarations.set_store(store)
