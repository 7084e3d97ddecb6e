"""`Delegated`: the part that `OAuth` and `DeviceFlow` share: tokens for a person, and the registration of the client.

basic/authorization/client-registration of 2026-07-28.
"""

from __future__ import annotations

from typing import ClassVar, Final, Unpack
from urllib.parse import urlsplit

import attrs

from trimcp.auth.challenges import Challenge
from trimcp.auth.client.discovery import AuthorizationServer, ProtectedResource
from trimcp.auth.client.grant import Grant, TokenOptions
from trimcp.auth.client.known_server import client_key, put, registration_key
from trimcp.auth.client.registration import ClientIdentity, Registration, auth_method_of, known_registration, register
from trimcp.auth.client.token_auth import TokenAuth
from trimcp.errors import UsageError

OFFLINE: Final = "offline_access"


class Delegated(TokenAuth):
    """Tokens for a person, who has a client registered at the authorization server."""

    _flow: ClassVar[str] = ""
    _grant_type: ClassVar[str] = ""

    def __init__(self, identity: ClientIdentity, **options: Unpack[TokenOptions]) -> None:
        """
        Args:
            identity: how the program names itself.
            options: see `TokenOptions`.

        Raises:
            UsageError: the identity is invalid.
        """
        if identity.client_secret is not None and identity.client_id is None:
            raise UsageError("Missing client_id: give the id that the client_secret belongs to")
        if identity.metadata_url is not None:
            parts = urlsplit(identity.metadata_url)
            if parts.scheme != "https" or not parts.hostname or not parts.path.strip("/"):
                raise UsageError("Invalid client_metadata_url: give an https URL with a path")
        super().__init__(client_id=identity.client_id, **options)
        self._identity = identity

    def _scope(
        self, challenge: Challenge | None, resource: ProtectedResource | None, server: AuthorizationServer
    ) -> str | None:
        scope = super()._scope(challenge, resource, server)
        if OFFLINE not in (server.scopes_supported or ()):
            kept = [name for name in (scope or "").split() if name != OFFLINE or OFFLINE in (self._scopes or ())]
            return " ".join(kept) or None
        if scope is None or OFFLINE in scope.split():
            return scope
        return f"{scope} {OFFLINE}"

    async def _registration(self, server: AuthorizationServer, client_id: str | None = None) -> Registration | None:
        known = known_registration(self._identity, server)
        if known is not None:
            return known if client_id in (None, known.client_id) else None
        # By its id as well: another sign-in may have registered another client since.
        keys = [registration_key(server.issuer, self._flow)]
        if client_id is not None:
            keys.insert(0, client_key(server.issuer, client_id))
        for key in keys:
            entry = await self._store.read(key)
            try:
                found = None if entry is None else Registration.from_json(entry.value)
            except ValueError:
                continue
            if found is not None and client_id in (None, found.client_id):
                if not found.is_dynamic:  # registered by hand: no response has named a method
                    has_secret = found.client_secret is not None
                    found = attrs.evolve(found, auth_method=auth_method_of(server, has_secret=has_secret))
                return found
        return None

    async def _can_register_anew(self, grant: Grant, error: str | None) -> bool:
        if error != "invalid_scope":
            return await super()._can_register_anew(grant, error)
        # Many servers hold a client to the scopes of its registration, which a step-up exceeds.
        known = await self._registration(grant.server)
        if (
            known is None
            or not known.is_dynamic
            or set((grant.scope or "").split()) <= set((known.scope or "").split())
        ):
            return False
        await put(self._store, registration_key(grant.server.issuer, self._flow), None)
        return True

    async def _forget_registration(self, issuer: str, client_id: str | None = None) -> bool:
        if self._identity.client_id is not None:
            return False
        key = registration_key(issuer, self._flow)
        entry = await self._store.read(key)
        current = None if entry is None else entry.value.get("client_id")
        if client_id in (None, current):
            await put(self._store, key, None)
        for each in {client_id, current if client_id is None else None}:
            if isinstance(each, str):
                await put(self._store, client_key(issuer, each), None)
        return True

    async def _register(self, grant: Grant, redirect_uri: str | None) -> Registration:
        """Register a client at an authorization server, and keep the registration."""
        issuer = grant.server.issuer
        made = await register(
            grant.http,
            grant.server,
            self._identity,
            redirect_uris=[] if redirect_uri is None else [redirect_uri],
            grant_types=[self._grant_type, "refresh_token"],
            scope=grant.scope,
        )
        for key in (client_key(issuer, made.client_id), registration_key(issuer, self._flow)):
            await put(self._store, key, made.to_json())
        return made
