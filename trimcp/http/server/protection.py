"""The interface of `trimcp.auth.ResourceServer`, which protects an endpoint by access tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from trimcp.http.binding import HttpRequest
from trimcp.http.server.authentication import Authenticate
from trimcp.http.server.routes import HttpRoute
from trimcp.stores.replay_store import ReplayStore


class Protection(Protocol):
    """Verifies the requests to an endpoint, and tells clients where to get tokens."""

    @property
    def routes(self) -> Sequence[HttpRoute]:
        """The routes of the metadata."""
        ...

    def bound(
        self,
        needed: Callable[[HttpRequest], frozenset[str]],
        *,
        replay: ReplayStore | None = None,
        nonce_secret: bytes | None = None,
    ) -> Authenticate:
        """Return the `authenticate` function of an endpoint.

        Args:
            needed: the scopes of the operations in a request.
            replay: remembers the proofs that were used on all nodes.
            nonce_secret: for nonces that all nodes accept.
        """
        ...
