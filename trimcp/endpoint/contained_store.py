"""An event store of the user's, contained: what goes wrong in it costs a client its resumption, and nobody else.

It is called in the turn of a crew that serves all sessions, so what it raises must not go further.
"""

from __future__ import annotations

from trimcp.endpoint.event_store import EventStore
from trimcp.observability import events, log


class ContainedStore(EventStore):
    """Hands everything on to a store, and logs what it raises."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._failures = 0

    def append(self, session: str, stream: int, number: int, event: bytes) -> None:
        try:
            self._store.append(session, stream, number, event)
        except Exception as exc:  # noqa: BLE001 - see above
            self._failed(exc)

    async def replay(self, session: str, stream: int, after: int) -> list[tuple[int, bytes]] | None:
        return await self._store.replay(session, stream, after)  # in the request's own turn, which it fails

    def finish(self, session: str, stream: int) -> None:
        try:
            self._store.finish(session, stream)
        except Exception as exc:  # noqa: BLE001 - see above
            self._failed(exc)

    def forget(self, session: str) -> None:
        try:
            self._store.forget(session)
        except Exception as exc:  # noqa: BLE001 - see above
            self._failed(exc)

    def _failed(self, exc: Exception) -> None:
        self._failures += 1
        if log.is_worth_saying(self._failures):
            log.error(events.STORE_FAILED, exc_info=exc, count=self._failures)
