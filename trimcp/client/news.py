"""The part of `Client` that a server tells things: notices, and what is asked for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trimcp.client.client import Timeouts
    from trimcp.client.listen import Subscriptions
    from trimcp.client.negotiation import Agreement
    from trimcp.client.notices import NoticeBoard, Notices
    from trimcp.session.session import Session


class News:
    """What `Client` inherits. Its modules are imported, and its state made, when they are first used."""

    _session: Session
    _agreement: Agreement
    _timeouts: Timeouts
    _board: NoticeBoard | None = None
    _subscriptions: Subscriptions | None = None

    def notices(self) -> AbstractAsyncContextManager[Notices]:
        """Read what the server tells, all of it, from here on.

            async with client.notices() as notices:
                async for notice in notices:
                    ...  # ToolsChanged(), PromptsChanged(), ResourcesChanged(), ResourceUpdated(uri)

        A legacy server tells of its lists by itself; one of 2026-07-28 tells nothing that was not
        asked for by `listen` or `subscribe`. Any number may be open at once, each for one task to
        read; see `Notices` for one that is slow, and for the end.

        Raises:
            ConnectionEnded: the connection is gone.
        """
        return self._subscribing().notices()

    def listen(
        self, *, tools: bool = False, prompts: bool = False, resources: bool = False, uris: Iterable[str] = ()
    ) -> AbstractAsyncContextManager[Notices]:
        """Be told of certain changes for as long as the context lasts, in every revision alike.

            async with client.listen(tools=True, uris=["file:///etc/motd"]) as notices:
                async for notice in notices:
                    ...

        Entering it waits until the server has agreed; `notices.acknowledged` says to what. Leaving it
        tells the server, and does not wait. When the server ends it in good order, reading ends, and
        `notices.end` says so; when the connection is lost, reading raises `ConnectionLost`.

        Args:
            tools: of the list of tools.
            prompts: of the list of prompts.
            resources: of the list of resources.
            uris: of what is in these resources.

        Raises:
            UsageError: nothing to listen to.
            RequestFailed: the server does not want to (it may be busy), or cannot.
            RequestTimedOut: it did not agree within `Timeouts.request`.
            ConnectionEnded: the connection is gone.

        See basic/patterns/subscriptions of 2026-07-28, and server/resources before it.
        """
        from trimcp.client.notices import topics

        return self._subscribing().listen(topics(tools, prompts, resources, uris))

    async def subscribe(self, uri: str) -> None:
        """Be told of the changes of a resource until `unsubscribe`; `notices` is where they arrive.

        A second call for the same resource changes nothing. In 2026-07-28 one listen stands for
        all of them, and is replaced without a gap.

        Raises:
            UsageError: the server did not declare that it can.
            RequestFailed: it does not want to.
            RequestTimedOut, ConnectionEnded: it did not work out.
        """
        await self._subscribing().subscribe(uri)

    async def unsubscribe(self, uri: str) -> None:
        """Take back a `subscribe`; where there was none, do nothing.

        Raises: as `subscribe`, in 2026-07-28; the subscription then goes on.
        """
        await self._subscribing().unsubscribe(uri)

    def _subscribing(self) -> Subscriptions:
        if self._subscriptions is None:
            from trimcp.client.listen import Subscriptions
            from trimcp.client.notices import NoticeBoard

            session = self._session
            self._board = NoticeBoard(session.limits.notices)
            if session.end is not None:
                self._board.over(session.end)
            self._subscriptions = Subscriptions(session.calls, self._agreement, self._board, self._timeouts.request)
        return self._subscriptions

    # --- what the session brings ------------------------------------------------------

    def noticed(self, method: str, params: Mapping[str, Any] | None) -> None:
        """Called by the session for each notification that is not its own."""
        if self._board is not None:
            self._board.arrived(method, params)

    def ended(self) -> None:
        """Called when the session is over."""
        if self._board is not None and self._session.end is not None:
            self._board.over(self._session.end)
