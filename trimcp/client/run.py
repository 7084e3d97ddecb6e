"""`ClientRun`: the parts of one connected client, and the events of its session and connection.

`Client` is the face of it for programs. `trimcp.client.connect` makes both, and supervises the session beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

import trio

from trimcp.client.features.tools import ToolCalls, ToolHeaders
from trimcp.client.requests import ClientRequests, ExtendedResults
from trimcp.codec.envelope import encode_notification
from trimcp.errors import UsageError

if TYPE_CHECKING:
    from trimcp.actors.supervisor import Supervisor
    from trimcp.client.cache import ResultCache
    from trimcp.client.features.client_features import ClientFeatures, RootsSource
    from trimcp.client.features.subscriptions import Subscriptions
    from trimcp.client.notifications.handlers import NotificationHandlers
    from trimcp.client.notifications.hub import NotificationHub
    from trimcp.client.notifications.notices import ExtensionNotice
    from trimcp.client.requests import Decode, Timeouts
    from trimcp.client.tasks.calls import Tasks
    from trimcp.errors import ConnectionEnded
    from trimcp.session.call import OnProgress
    from trimcp.session.negotiation import Agreement
    from trimcp.session.request import Route
    from trimcp.session.session import Session
    from trimcp.types.extensions import ExtensionMethod
    from trimcp.types.revisions import Revision


ROOTS_CHANGED: Final = "notifications/roots/list_changed"


class SpokenExtensions(ExtendedResults, Protocol):
    """The extensions of a client in the revision that it speaks."""

    def codecs_of(
        self, method: ExtensionMethod[Any, Any], declared: Mapping[str, Any]
    ) -> tuple[Callable[[Any], dict[str, Any]], Decode]:
        """Return the encoder of a method's params and the decoder of its results."""
        ...

    def notice_of(self, method: str, params: Mapping[str, Any] | None) -> ExtensionNotice | None:
        """Return the notice that a notification of an extension is."""
        ...

    def handlers_of(self, method: str) -> Sequence[Callable[[Any, Any], None]]:
        """Return the functions that are called for a notification of an extension."""
        ...


class GivenExtensions(Protocol):
    """The extensions that `connect` was given."""

    def agreed(self, revision: Revision, run: ClientRun) -> SpokenExtensions:
        """Return the extensions that exist in the revision that was agreed upon."""
        ...

    def routes(self, revision: Revision) -> Mapping[str, Route]:
        """Return the requests of servers that extensions answer in a revision."""
        ...


class ClientRun:
    """Holds the parts of one connected client."""

    client: Any
    """The `Client` of this run, which functions of extensions get; set by `connect`."""
    extensions: SpokenExtensions | None
    """The extensions in the revision that is spoken."""

    def __init__(
        self,
        session: Session,
        supervisor: Supervisor,
        agreement: Agreement,
        timeouts: Timeouts,
        features: ClientFeatures,
        cache: ResultCache | None = None,
        extensions: GivenExtensions | None = None,
    ) -> None:
        """Compose the parts, for the session and the agreement with a server.

        The supervisor owns the actors of the client. Without a cache no results are kept.
        """
        self.features: ClientFeatures = features
        self.requests: ClientRequests = ClientRequests(timeouts, features, cache)
        self.tools: ToolCalls = ToolCalls(self.requests, features)
        self._supervisor = supervisor
        self._given_extensions = extensions
        self._hub: NotificationHub | None = None
        self._subscriptions: Subscriptions | None = None
        self._notification_handlers: NotificationHandlers | None = None
        self._tasks: Tasks | None = None
        self._stays = False
        self._use(session, agreement)

    def _use(self, session: Session, agreement: Agreement) -> None:
        given = self._given_extensions
        self.extensions = None if given is None else given.agreed(agreement.revision, self)
        self.requests.use(session, agreement, self.extensions)
        self.features.met(agreement.server_info)

    @property
    def session(self) -> Session:
        """The session that there is now."""
        return self.requests.session

    @property
    def protocol_version(self) -> str:
        """The revision that is spoken."""
        return self.requests.agreement.revision.version

    @property
    def subscriptions(self) -> Subscriptions:
        """The subscriptions of the client; made, with the hub, when they are first used."""
        if self._subscriptions is None:
            # Imported late: making their classes takes as long as those of all the rest of a client.
            from trimcp.client.features.subscriptions import Subscriptions

            requests = self.requests
            hub = self._notification_hub()
            self._subscriptions = Subscriptions(
                requests.session.calls, requests.agreement, hub, requests.timeouts.request
            )
        return self._subscriptions

    @property
    def tasks(self) -> Tasks:
        """The tasks of the client; made when they are first used."""
        if self._tasks is None:
            from trimcp.client.tasks.calls import Tasks  # late, as the subscriptions

            self._tasks = Tasks(self.requests, self.tools)
        return self._tasks

    async def reach_tasks(self) -> Tasks:
        """Return the tasks of the client, unless its connection is gone for good.

        Raises:
            ConnectionEnded: it is.
        """
        await trio.lowlevel.checkpoint()
        if self.session.end is not None:
            raise self.session.end.again()
        return self.tasks

    def _notification_hub(self) -> NotificationHub:
        if self._hub is None:
            from trimcp.client.notifications.hub import NotificationHub

            session = self.session
            self._hub = self._supervisor.add(NotificationHub(self._supervisor, session.limits.notices))
            if self._stays:
                self._hub.stay()
            if session.end is not None:
                self._hub.finish(session.end)
        return self._hub

    # --- for the program --------------------------------------------------------------

    def notify(self, method: str, params: Mapping[str, Any] | None) -> None:
        """Send a notification. See `Client.notify`."""
        if self.session.end is not None:
            raise self.session.end.again()
        self.session.writer.write(encode_notification(method, None if params is None else dict(params)))

    def set_roots(self, roots: RootsSource) -> None:
        """Replace the roots, and tell a legacy server so. See `Client.set_roots`."""
        if self.features.roots is None:
            raise UsageError("this client did not declare roots: pass connect(roots=[]), then call set_roots")
        self.features.set_roots(roots)
        if self.requests.agreement.revision.server_asks and self.session.end is None:
            self.session.writer.post_latest(ROOTS_CHANGED, encode_notification(ROOTS_CHANGED, None))

    @property
    def declared_extensions(self) -> Mapping[str, Mapping[str, Any]]:
        """The extensions that the server declared: their settings, by identifier."""
        from trimcp.types.extensions import declared_in  # late: few programs have extensions

        return declared_in(self.requests.agreement.capabilities)

    async def call(
        self, method: ExtensionMethod[Any, Any], params: Any, timeout: float | None, on_progress: OnProgress | None
    ) -> Any:
        """Make a request of an extension. See `Client.call`."""
        if self.extensions is None:
            raise UsageError(f"{method.name} belongs to an extension: give the extension to connect(extensions=…)")
        encode, decode = self.extensions.codecs_of(method, self.declared_extensions)
        return await self.requests.call(method.name, encode(params), decode, timeout=timeout, on_progress=on_progress)

    # --- over another stream ----------------------------------------------------------

    def stay(self) -> None:
        """Have readers of notices wait where their stream is lost, from now on, until `reconnected` is called."""
        self._stays = True
        if self._hub is not None:
            self._hub.stay()

    async def reconnected(self, agreement: Agreement | None = None, *, anew: bool = False) -> None:
        """Ask again for the notices of lost streams, after `stay`, and forget all results.

        Readers of notices get an `Interrupted` once the server has agreed.

        Args:
            agreement: with the server; the same as before, if not given.
            anew: whether the server has forgotten all that it was asked.
        """
        requests = self.requests
        self._use(requests.session, agreement or requests.agreement)
        self.tools.forget()
        requests.forget()
        if self._subscriptions is not None:
            await self._subscriptions.resume(requests.agreement, anew=anew)

    def gave_up(self, end: ConnectionEnded) -> None:
        """Tell readers of notices that no other stream follows, and why. `listen` and its like begin anew from here on.

        Args:
            end: the error that the readers get.
        """
        if self._subscriptions is not None:
            self._subscriptions.finish(end)
            self._subscriptions = None

    def use_tool_headers(self, tool_headers: ToolHeaders) -> None:
        """Have the lists of tools teach which arguments go into header fields too, over HTTP."""
        self.tools.headers = tool_headers

    # --- from the session -------------------------------------------------------------

    def noticed(self, method: str, params: Mapping[str, Any] | None) -> None:
        """Take a notification that is not the session's own."""
        if method == "notifications/tools/list_changed":
            self.tools.forget()
        if self.requests.cache is not None:
            self.requests.cache.noticed(method, params)
        notice = None if self.extensions is None else self.extensions.notice_of(method, params)
        if notice is not None:
            self._call_handlers(notice)
        if self._tasks is not None:
            self._tasks.noticed(method, params)
        if self._hub is not None:
            self._hub.arrived(method, params, notice)

    def _call_handlers(self, notice: ExtensionNotice) -> None:
        handlers = () if self.extensions is None else self.extensions.handlers_of(notice.method)
        if not handlers:
            return
        if self._notification_handlers is None:
            from trimcp.client.notifications.handlers import NotificationHandlers

            actor = NotificationHandlers(self._supervisor, self.client, self.session.limits.notices)
            self._notification_handlers = self._supervisor.add(actor)
        self._notification_handlers.call(notice.method, notice.params, handlers)

    def ended(self) -> None:
        """End the queues of notices, since the session is over."""
        end = self.session.end
        if self._hub is not None and end is not None:
            self._hub.finish(end)
