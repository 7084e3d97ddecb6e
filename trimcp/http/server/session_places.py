"""The sessions of each principal, counted over all nodes that share a store."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from typing import Final

import trio

from trimcp.http.server.session_node import digest_of
from trimcp.http.server.shared_session import SharedSession
from trimcp.limits import Limits
from trimcp.protocol.principal import key_of
from trimcp.stores.admission_store import AdmissionStore
from trimcp.stores.contained import WRITE_SECONDS, StoreCalls, StoreFailed, log_failure
from trimcp.stores.memory import SESSION_TTL

RENEWALS: Final = 4
"""Renewals in the time of one place."""


class SessionPlaces:
    """Takes a place for each session of a principal, by `Limits.shared_sender_sessions`.

    While the store is down all sessions have a place: each node then counts its own by `Limits.sender_sessions`.
    """

    def __init__(self, store: AdmissionStore, calls: StoreCalls, limits: Limits) -> None:
        """`calls`: call the store."""
        self._store = store
        self._calls = calls
        self._most = limits.shared_sender_sessions
        self._taken_at: dict[SharedSession, float] = {}

    async def take(self, session: SharedSession) -> bool:
        """Whether there is a place for a session; it is kept for longer, if the session has it already."""
        key = key_of(session.principal)
        if self._most is None or key is None:
            return True
        self._taken_at[session] = trio.current_time()
        take = functools.partial(self._store.take, most=self._most, seconds=SESSION_TTL)
        try:
            return await self._calls.call(WRITE_SECONDS, take, key, digest_of(session.id)) is not False
        except StoreFailed as exc:  # the limit is not worth a session
            log_failure(exc)
            return True

    def due(self, sessions: Iterable[SharedSession]) -> Sequence[SharedSession]:
        """Return those of the sessions that live here whose places should be renewed: call `take` for each."""
        if self._most is None:
            return ()
        before = trio.current_time() - SESSION_TTL / RENEWALS
        self._taken_at = {each: self._taken_at.get(each, -math.inf) for each in sessions}
        return [each for each, taken_at in self._taken_at.items() if taken_at < before]

    async def give(self, session: SharedSession) -> None:
        """Give the place of a session back."""
        key = key_of(session.principal)
        if self._most is None or key is None:
            return
        try:
            await self._calls.call(WRITE_SECONDS, self._store.give, key, digest_of(session.id))
        except StoreFailed as exc:
            log_failure(exc)
