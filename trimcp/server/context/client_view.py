"""`ClientView`: the client as functions of a server see it, and the run as contexts reach it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import trio

from trimcp.codec.envelope import encode_notification
from trimcp.codec.revisions import codec_for
from trimcp.errors import InvalidPayload, InvalidResult, UsageError
from trimcp.types.capabilities import ClientCapabilities
from trimcp.types.metadata import Implementation

if TYPE_CHECKING:
    from trimcp.protocol.client_profile import ClientProfile
    from trimcp.protocol.principal import Principal
    from trimcp.server.context.sealed_state import Sealer
    from trimcp.session.call import CallRoute
    from trimcp.session.delivery import Delivery
    from trimcp.session.job import Jobs
    from trimcp.session.peer import Peer
    from trimcp.session.request import InboundRequest
    from trimcp.session.tasks.watched import WatchedTasks
    from trimcp.types.extensions import ExtensionMethod, ExtensionNotification
    from trimcp.types.revisions import Revision
    from trimcp.types.utilities import LoggingLevel

P = TypeVar("P")
R = TypeVar("R")


class NotifyingServer(Protocol):
    """The server of a context: notifies its clients of changes. At run time it is the `Server` itself."""

    name: str

    def notify_tools_changed(self) -> None:
        """See `Server.notify_tools_changed`."""

    def notify_prompts_changed(self) -> None:
        """See `Server.notify_prompts_changed`."""

    def notify_resources_changed(self) -> None:
        """See `Server.notify_resources_changed`."""

    def notify_resource_updated(self, uri: str) -> None:
        """See `Server.notify_resource_updated`."""

    def notify_elicitation_complete(self, id: str) -> bool:
        """See `Server.notify_elicitation_complete`."""
        ...

    def tell(
        self, notification: ExtensionNotification[P], params: P, *, topic: str | None = None, key: str = ""
    ) -> None:
        """See `Server.tell`."""


class ContextRun(Protocol):
    """The run of a server, as contexts reach it."""

    server: NotifyingServer
    state: Any
    """The value that the lifespan of the server yielded."""
    extension_states: Mapping[str, Any]
    """The values that the lifespans of extensions yielded, by identifier."""
    jobs: Jobs
    client_tasks: WatchedTasks
    """Gets the notifications of clients about tasks that they run for this server."""

    @property
    def sealer(self) -> Sealer:
        """Seals the states of requests that ask the client."""
        ...

    def log(self, request: InboundRequest, level: LoggingLevel, data: Any, logger: str | None) -> None:
        """Send a log message on the stream of a request. See `Context.log`."""

    def url_elicited(self, id: str, session: Peer) -> None:
        """Remember the session to notify when a URL elicitation is complete."""

    def may_have_extension(self, identifier: str, revision: Revision) -> bool:
        """Whether a revision has an extension. True for extensions that the server does not use."""
        ...

    def extension_of(self, name: str) -> str:
        """Return the identifier of the extension that has a method or notification.

        Raises:
            UsageError: no extension of the server has it.
        """
        ...


class ClientView:
    """Shows the client to the functions of a server. `Context` and `SessionContext` derive from it."""

    __slots__ = ()

    _run: ContextRun

    # --- set by the two kinds of context ----------------------------------------------

    @property
    def _session(self) -> Peer:
        raise NotImplementedError

    @property
    def _profile(self) -> ClientProfile | None:
        raise NotImplementedError

    @property
    def _revision(self) -> Revision:
        raise NotImplementedError

    @property
    def _delivery(self) -> Delivery:
        """The delivery of the request, or of the session."""
        raise NotImplementedError

    @property
    def _notify_route(self) -> CallRoute:
        """The stream for notifications."""
        raise NotImplementedError

    @property
    def _call_route(self) -> CallRoute | None:
        """The stream for requests to the client; None for the session's own stream."""
        raise NotImplementedError

    @property
    def server(self) -> NotifyingServer:
        """The server that runs, to notify other clients by `notify_…` and `tell`."""
        return self._run.server

    # --- the client -------------------------------------------------------------------

    @property
    def protocol_version(self) -> str:
        """The revision in use, such as `2026-07-28`."""
        return self._revision.version

    @property
    def session_number(self) -> int:
        """The number of the connection, for logs. Keep no state by it in 2026-07-28, where any connection will do."""
        return self._session.number

    @property
    def principal(self) -> Principal | None:
        """The authenticated sender; None for an anonymous request, and on stdio and plain sockets.

        Over HTTP each request brings its own, so its scopes may differ from those of the request before.
        """
        return self._delivery.principal

    @property
    def request_headers(self) -> Mapping[str, str]:
        """The header fields of the HTTP request, read-only, by names in any case; empty on stdio and plain sockets.

        On a WebSocket they are those of the request that opened it. They may hold secrets: do not log them.
        """
        return self._delivery.headers

    @property
    def client_info(self) -> Implementation | None:
        """The name and version that the client gave. Unverified: use it for display and logs, never for decisions."""
        profile = self._profile
        return None if profile is None else profile.info

    @property
    def client_capabilities(self) -> ClientCapabilities:
        """The capabilities that the client declared: for its session, or for this request (2026-07-28)."""
        profile = self._profile
        return ClientCapabilities() if profile is None else profile.capabilities

    @property
    def state(self) -> Any:
        """The value that the server's lifespan yielded; None if the server has no lifespan."""
        return self._run.state

    # --- extensions -------------------------------------------------------------------

    @property
    def client_extensions(self) -> Mapping[str, Mapping[str, Any]]:
        """The settings of the extensions that the client declared, by identifier. The server need not use them."""
        from trimcp.types.extensions import declared_in

        return declared_in(self.client_capabilities)

    def extension(self, identifier: str) -> Mapping[str, Any] | None:
        """Return the client's settings of an extension; None if it did not declare it, or the revision lacks it.

        Where this is None, do what the core of the protocol does.
        """
        if not self._run.may_have_extension(identifier, self._revision):
            return None
        return self.client_extensions.get(identifier)

    def require_extension(self, identifier: str) -> Mapping[str, Any]:
        """Return the client's settings of an extension that the function cannot do without.

        Raises:
            CapabilityMissing: the client did not declare it. If the function does not catch this error, it answers the
                request.
        """
        settings = self.extension(identifier)
        if settings is None:
            from trimcp.server.context.requirements import extension_missing

            raise extension_missing(identifier, self._revision)
        return settings

    def state_of(self, identifier: str) -> Any:
        """Return the value that the lifespan of an extension yielded; None if it has no lifespan."""
        return self._run.extension_states.get(identifier)

    async def notify(self, notification: ExtensionNotification[P], params: P) -> bool:
        """Send the client a notification of an extension, if the client declared the extension.

        A checkpoint, which waits while the client is behind in reading.

        Returns:
            Whether it was sent.

        Raises:
            UsageError: no extension that the server uses has the notification, or it is for clients to send.
            InvalidPayload: the params have no form in JSON.
        """
        identifier = self._run.extension_of(notification.name)
        if notification.sender != "server":
            raise UsageError(
                f"Notification {notification.name} is for clients to send: declare it with sender='server'"
            )
        route = self._notify_route
        sent = notification.exists_in(self._revision) and self.extension(identifier) is not None and route.takes_posts
        if sent:
            from trimcp.codec.extension_payloads import params_encoder

            encoded = params_encoder(codec_for(self._revision), notification.params)(params)
            route.post(encode_notification(notification.name, encoded))
        await trio.lowlevel.checkpoint()
        await route.wait_room()
        return sent

    async def call(self, method: ExtensionMethod[P, R], params: P, *, timeout: float | None = 60.0) -> R:
        """Send a request of an extension to the client, and wait for the answer (legacy era).

        Raises:
            UsageError: in 2026-07-28 a server sends no requests; or no extension of the server has this one.
            CapabilityMissing: the client did not declare the extension.
            InvalidResult, RequestFailed, RequestTimedOut, ConnectionEnded: there is no valid answer.
        """
        revision = self._revision
        identifier = self._run.extension_of(method.name)
        if not revision.server_asks or method.sender != "server" or not method.exists_in(revision):
            raise UsageError(
                f"A server cannot send {method.name} in {revision.version}: check ctx.protocol_version first"
            )
        self.require_extension(identifier)
        from trimcp.codec.extension_payloads import params_encoder, result_decoder

        codec = codec_for(revision)
        raw = await self._session.calls.call(
            method.name,
            params_encoder(codec, method.params)(params),
            timeout=timeout,
            cancellable=method.cancellable,
            via=self._call_route,
        )
        try:
            result: R = result_decoder(codec, method)(raw)
        except InvalidPayload as exc:
            raise InvalidResult(exc.problems) from None
        return result
