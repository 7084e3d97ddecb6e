"""The part of `Client` that reads what a server tells, and asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

from trimcp.errors import ConnectionClosed

if TYPE_CHECKING:
    from trimcp.actors.supervisor import Supervisor
    from trimcp.client.client import Timeouts
    from trimcp.client.negotiation import Agreement
    from trimcp.client.notices import ExtensionNotice, Notices
    from trimcp.client.notification_hub import NotificationHub
    from trimcp.client.subscriptions import Subscriptions
    from trimcp.errors import ConnectionEnded
    from trimcp.session.session import Session


class SubscriptionCalls:
    """What `Client` inherits. Its modules are imported, and its actors made, when they are first used."""

    _session: Session
    _supervisor: Supervisor
    _agreement: Agreement
    _timeouts: Timeouts
    _hub: NotificationHub | None = None
    _subscriptions: Subscriptions | None = None
    _stays = False

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
            tools: of the list of tools.
            prompts: of the list of prompts.
            resources: of the list of resources.
            uris: of what is in these resources.
            more: of what extensions tell (2026-07-28), by the member that names it: `{"taskIds": ["7"]}`.

        Raises:
            UsageError: nothing to listen to.
            RequestFailed: the server does not want to (it may be busy), or cannot.
            RequestTimedOut: it did not agree within `Timeouts.request`.
            ConnectionEnded: the connection is gone.

        See basic/patterns/subscriptions of 2026-07-28, and server/resources before it.
        """
        from trimcp.client.notices import topics

        return self._subscribing().listen(topics(tools, prompts, resources, uris, more))

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
            from trimcp.client.subscriptions import Subscriptions

            session = self._session
            hub = self._notification_hub()
            self._subscriptions = Subscriptions(session.calls, self._agreement, hub, self._timeouts.request)
        return self._subscriptions

    def _notification_hub(self) -> NotificationHub:
        if self._hub is None:
            from trimcp.client.notification_hub import NotificationHub

            session = self._session
            self._hub = self._supervisor.add(NotificationHub(self._supervisor, session.limits.notices))
            self._hub.stays = self._stays
            if session.end is not None and not self._stays:
                self._hub.finish(session.end)
        return self._hub

    # --- over another connection ------------------------------------------------------

    def stay(self) -> None:
        """From now on a connection that is lost is not the end: whoever makes another says `Client.reconnected`.

        Until then those who read notices wait, and calls fail as they do on a lost connection.
        """
        self._stays = True
        if self._hub is not None:
            self._hub.stays = True

    def gave_up(self, end: ConnectionEnded, *, for_good: bool = True) -> None:
        """There will be no other connection: those who wait for notices are told why.

        Not for good: whoever asks from here on asks anew.
        """
        if self._subscriptions is not None:
            self._subscriptions.finish(end, for_good=for_good)
        if for_good:
            self._stays = False
        else:
            self._subscriptions = None

    async def _resume(self, *, anew: bool) -> None:
        """Ask again for what was to be told, on the session that there is now."""
        if self._subscriptions is not None:
            await self._subscriptions.resume(self._session.calls, self._agreement, anew=anew)

    # --- what the session brings ------------------------------------------------------

    def noticed(self, method: str, params: Mapping[str, Any] | None, known: ExtensionNotice | None = None) -> None:
        """Called by the session for each notification that is not its own."""
        if self._hub is not None:
            self._hub.arrived(method, params, known)

    def ended(self) -> None:
        """Called when the session is over."""
        end = self._session.end
        if self._hub is None or end is None:
            return
        if self._stays and not isinstance(end, ConnectionClosed):
            self._hub.interrupt()
        else:
            self._hub.finish(end)
