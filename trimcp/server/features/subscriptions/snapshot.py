"""Snapshots of the SubscriptionBus: the listens, and the subscriptions to resources, as frozen data."""

from __future__ import annotations

import attrs

from trimcp.types.jsonrpc import RequestId


@attrs.frozen(kw_only=True)
class ListenSnapshot:
    """One `subscriptions/listen`, at one moment."""

    session: int
    request: int
    """Its serial."""
    id: RequestId
    since: float
    """When it was read, by Trio's clock."""
    is_granted: bool
    """Whether it was acknowledged. Before that, functions of the user decide."""
    lists: tuple[str, ...]
    """The features whose lists it watches."""
    uris: tuple[str, ...]
    topics: tuple[tuple[str, str], ...]
    """The topics of extensions that it watches, with their keys."""


@attrs.frozen(kw_only=True)
class SubscriptionsSnapshot:
    """The listens and the subscriptions of all sessions, at one moment. The numbers count all, where it has some."""

    listens: tuple[ListenSnapshot, ...] = ()
    listens_open: int = 0
    uris: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """Resources, with the numbers of the sessions that watch them: by subscriptions, and by listens."""
    uris_watched: int = 0
