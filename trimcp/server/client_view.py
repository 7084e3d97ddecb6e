"""What the functions of a server may know of the client that they work for, and tell it beside answers.

`Context`, for a request, and `SessionContext`, for a session, are both such a view.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from trimcp.codec.envelope import encode_notification
from trimcp.codec.revisions import codec_for
from trimcp.errors import InvalidPayload, InvalidResult, UsageError
from trimcp.types.capabilities import ClientCapabilities
from trimcp.types.metadata import Implementation

if TYPE_CHECKING:
    from trimcp.protocol.principal import Principal
    from trimcp.protocol.profile import ClientProfile
    from trimcp.server.app import Server
    from trimcp.server.running import Running
    from trimcp.session.calls import Way
    from trimcp.session.delivery import Delivery
    from trimcp.session.session import Session
    from trimcp.types.extensions import ExtensionMethod, ExtensionNotification
    from trimcp.types.revisions import Revision

P = TypeVar("P")
R = TypeVar("R")


class ClientView:
    """A client, as those see it who work for it."""

    __slots__ = ()

    _running: Running

    # --- what the two kinds of view know ----------------------------------------------

    @property
    def _session(self) -> Session:
        raise NotImplementedError

    @property
    def _profile(self) -> ClientProfile | None:
        raise NotImplementedError

    @property
    def _revision(self) -> Revision:
        raise NotImplementedError

    @property
    def _delivery(self) -> Delivery:
        """Who sent what is worked for, and how."""
        raise NotImplementedError

    @property
    def _way(self) -> Way:
        """Where notifications leave."""
        raise NotImplementedError

    @property
    def _call_way(self) -> Way | None:
        """Where questions leave; None for the session's own stream."""
        raise NotImplementedError

    @property
    def server(self) -> Server:
        """The server that runs, to tell others by `notify_…` and `tell`."""
        return self._running.server

    # --- who it is --------------------------------------------------------------------

    @property
    def protocol_version(self) -> str:
        """The revision that is spoken, such as `2026-07-28`."""
        return self._revision.version

    @property
    def session_number(self) -> int:
        """A number for the connection, for logs. In 2026-07-28 a connection means nothing: keep no state by it."""
        return self._session.number

    @property
    def principal(self) -> Principal | None:
        """The authenticated sender; None for an anonymous request, and on stdio and plain sockets.

        Over HTTP each request brings its own, so that its scopes may differ from those of the request before.
        """
        return self._delivery.principal

    @property
    def request_headers(self) -> Mapping[str, str]:
        """The header fields of the HTTP request, read-only, by names in any case; empty on stdio and plain sockets.

        Of a WebSocket they are those of the request that opened it. They may hold secrets: do not log them.
        """
        return self._delivery.headers

    @property
    def client_info(self) -> Implementation | None:
        """What the client says it is. Unverified: for display and logs, never for decisions."""
        profile = self._profile
        return None if profile is None else profile.info

    @property
    def client_capabilities(self) -> ClientCapabilities:
        """What the client declared that it can do: for its session, or for this request (2026-07-28)."""
        profile = self._profile
        return ClientCapabilities() if profile is None else profile.capabilities

    @property
    def state(self) -> Any:
        """What the server's lifespan yielded; None if it has none."""
        return self._running.state

    # --- extensions -------------------------------------------------------------------

    @property
    def client_extensions(self) -> Mapping[str, Mapping[str, Any]]:
        """The extensions that the client declared, known here or not: their settings, by identifier."""
        from trimcp.types.extensions import declared_in

        return declared_in(self.client_capabilities)

    def extension(self, identifier: str) -> Mapping[str, Any] | None:
        """The client's settings of an extension; None where it did not declare it, or the revision has no such thing.

        Where this is None, do what the core of the protocol does.
        """
        extensions = self._running.server.extensions
        if extensions is not None and not extensions.may_exist(identifier, self._revision):
            return None
        return self.client_extensions.get(identifier)

    def require_extension(self, identifier: str) -> Mapping[str, Any]:
        """The same, for what cannot be done without it.

        Raises:
            CapabilityMissing: the client did not declare it; uncaught, it is the answer to the request.
        """
        settings = self.extension(identifier)
        if settings is None:
            from trimcp.server.requirements import extension_missing

            raise extension_missing(identifier, self._revision)
        return settings

    def state_of(self, identifier: str) -> Any:
        """What the lifespan of an extension yielded; None if it has none."""
        return self._running.extension_states.get(identifier)

    async def notify(self, notification: ExtensionNotification[P], params: P) -> bool:
        """Send the client a notification of an extension, if the client declared that.

        A checkpoint, which waits while the client is behind in reading.

        Returns:
            Whether it was sent.

        Raises:
            UsageError: no extension that the server uses has it, or clients send it.
            InvalidPayload: the params have no form in JSON.
        """
        identifier = self._running.server.extension_of(notification.name)
        if notification.sender != "server":
            raise UsageError(f"{notification.name} is for clients to send")
        way = self._way
        sent = notification.exists_in(self._revision) and self.extension(identifier) is not None and way.takes_posts
        if sent:
            from trimcp.codec.extensions import params_encoder

            encoded = params_encoder(codec_for(self._revision), notification.params)(params)
            way.post(encode_notification(notification.name, encoded))
        await trio.lowlevel.checkpoint()
        await way.wait_room()
        return sent

    async def call(self, method: ExtensionMethod[P, R], params: P, *, timeout: float | None = 60.0) -> R:
        """Make a request of an extension to the client, and wait for the answer (legacy era).

        Raises:
            UsageError: in 2026-07-28 a server sends no requests; or no extension of the server has this one.
            CapabilityMissing: the client did not declare the extension.
            InvalidResult, RequestFailed, RequestTimedOut, ConnectionEnded: it did not work out.
        """
        revision = self._revision
        identifier = self._running.server.extension_of(method.name)
        if not revision.server_asks or method.sender != "server" or not method.exists_in(revision):
            raise UsageError(f"in {revision.version} a server does not send {method.name}")
        self.require_extension(identifier)
        from trimcp.codec.extensions import params_encoder, result_decoder

        codec = codec_for(revision)
        raw = await self._session.calls.call(
            method.name,
            params_encoder(codec, method.params)(params),
            timeout=timeout,
            cancellable=method.cancellable,
            via=self._call_way,
        )
        try:
            result: R = result_decoder(codec, method)(raw)
        except InvalidPayload as exc:
            raise InvalidResult(exc.problems) from None
        return result
