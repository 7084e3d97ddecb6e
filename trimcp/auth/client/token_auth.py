"""`TokenAuth`: gets, keeps, renews and sends the access tokens of a client. How a token is obtained is the subclass's.

    401 ─▶ resource metadata ─▶ authorization server metadata ─▶ refresh, or obtain ─▶ store ─▶ repeat the request
    403 insufficient_scope ─▶ obtain with the union of scopes ─▶ repeat the request

Requests wait while a token is renewed, never while a person signs in.

basic/authorization of 2026-07-28, and of each revision since 2025-03-26.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import ClassVar, Final, Unpack

import attrs
import trio

from trimcp.auth.challenges import Challenge, parse_challenges, token_challenge
from trimcp.auth.client.client_pin import ClientPin, pin_key, stored_pin
from trimcp.auth.client.discovery import AuthorizationServer, ProtectedResource
from trimcp.auth.client.dpop import DpopKey
from trimcp.auth.client.finishing import finish
from trimcp.auth.client.grant import Grant, Obtained, TokenOptions
from trimcp.auth.client.http import AuthorizationHttp
from trimcp.auth.client.known_server import Binding, BoundTokens, KnownServer, put, renewal_lock, sign_in_lock
from trimcp.auth.client.registration import Registration
from trimcp.auth.client.server_search import ServerSearch
from trimcp.auth.client.tokens import Tokens
from trimcp.auth.client.urls import http_url, origin_of
from trimcp.auth.errors import AuthorizationFailed, AuthorizationServerUnavailable
from trimcp.auth.stores import MemoryStore
from trimcp.http.client.auth import AUTHORIZATION, AuthChallenge, AuthRequest, ClientAuth
from trimcp.observability import events, log

STEP_UPS: Final = 2
"""Authorizations for more scopes at most, for one resource and the same scopes, that do not end well."""
_STEP_UPS_KEPT: Final = 64
"""Scopes whose authorizations did not end well that are remembered; with more of them, none is tried."""
_SCOPE_LENGTH: Final = 16 * 1024
"""Characters of all scopes that are asked for. A step-up over it is refused; else earlier scopes are left out."""
SEARCH_TIME: Final = 20.0
"""Seconds in which the authorization server of a stored token must be found, while requests wait."""
RENEWAL_PAUSE: Final = 5.0
"""Seconds until a renewal that failed is tried again, while the token has not ended."""


class TokenAuth(ClientAuth):
    """The part that all ways to get a token share. Use a subclass, such as `OAuth` or `ClientCredentials`."""

    unattended: bool = False
    """Whether tokens are obtained without a person. They are obtained again then, never refreshed."""
    _flow: ClassVar[str] = "unattended"
    """Under which a registration is kept: each flow registers a client of its own. This one registers none."""

    def __init__(self, *, client_id: str | None, **options: Unpack[TokenOptions]) -> None:
        """See `TokenOptions`; `client_id`: registered by hand, so at one authorization server alone."""
        scopes = options.get("scopes")
        if isinstance(scopes, str):
            scopes = scopes.split()
        self._issuer = options.get("issuer")
        self._scopes = None if scopes is None else tuple(scopes)
        self._store = options.get("store") or MemoryStore()
        self._dpop = options.get("dpop", False)
        self._send_resource = options.get("send_resource", True)
        self._search = ServerSearch(
            issuer=self._issuer,
            strict_resource=options.get("strict_resource", False),
            allow_private=options.get("allow_private"),
        )
        self._client_id = client_id
        self._pin = ClientPin(client_id, is_named=self._issuer is not None, store=self._store)
        self._servers: dict[str, KnownServer] = {}

    # --- ClientAuth -------------------------------------------------------------------

    async def headers(self, request: AuthRequest) -> Mapping[str, str]:
        """See `ClientAuth`. Renews a token that ends within 30 seconds."""
        server = self._server_of(request)
        await server.load()
        url = http_url(request.url)
        current = self._usable(server)
        if current is None or origin_of(url) != origin_of(server.url):
            return {}
        if self._should_renew(server, current):
            async with server.renewing:
                if server.current is current:
                    await self._renew(server, current)
            current = self._usable(server)
            if current is None:
                return {}
        # A token that has ended by our clock goes along as well: the server decides.
        fields = {AUTHORIZATION: current.tokens.authorization}
        if current.dpop is not None:
            fields["DPoP"] = current.dpop.proof(request.method, url, current.tokens.access_token)
        return fields

    async def challenged(self, challenge: AuthChallenge) -> bool:
        """See `ClientAuth`."""
        server = self._server_of(challenge.request)
        asked = token_challenge(challenge.www_authenticate)
        parameters = asked.parameters if asked is not None else {}
        await server.load()
        has_nonce = self._keep_nonce(server, challenge.request, challenge.headers)
        if has_nonce and parameters.get("error") == "use_dpop_nonce":
            return True
        if asked is None and parse_challenges(challenge.www_authenticate):
            log.debug(events.AUTH_CHALLENGE_IGNORED, status=challenge.status)
            return False  # another scheme, such as that of a proxy
        sent = challenge.sent.get(AUTHORIZATION)
        async with server.authorizing:
            current = self._usable(server)
            is_newer = current is not None and sent != current.tokens.authorization and not current.tokens.is_expired
            if challenge.status == 403:
                return await self._step_up(server, asked, current, is_newer=is_newer)
            if is_newer:
                return True  # renewed while the request was under way
            await self._authorize(server, asked, None, refused=current)
        return True

    def responded(self, request: AuthRequest, headers: Mapping[str, str]) -> None:
        """See `ClientAuth`. Keeps the nonce for the next proof."""
        self._keep_nonce(self._server_of(request), request, headers)

    async def forget(self, url: str) -> None:
        """Forget the tokens for a server, and the client that this flow has registered. Nothing is revoked."""
        server = self._servers.pop(http_url(url), None) or self._new_server(url)
        await server.forget(self._flow)
        self._pin.forget()

    async def tokens_for(self, url: str) -> Tokens | None:
        """Return the tokens for a server that are known or stored; None if there are none."""
        server = self._servers.get(http_url(url)) or self._new_server(url)
        await server.load()
        current = self._usable(server)
        return None if current is None else current.tokens

    # --- for subclasses ---------------------------------------------------------------

    @abc.abstractmethod
    async def _obtain(self, grant: Grant) -> Obtained:
        """Get tokens by the flow."""

    async def _registration(self, server: AuthorizationServer, client_id: str | None = None) -> Registration | None:
        """Return how an authorization server knows the client; None where that is not known.

        Args:
            server: the authorization server.
            client_id: that tokens were given to; None for the one to use from now on.
        """
        return None

    async def _can_register_anew(self, grant: Grant, error: str | None) -> bool:
        """Forget a registration with which an authorization server refuses a sign-in; return whether it did."""
        return error == "invalid_client" and await self._forget_registration(grant.server.issuer)

    async def _forget_registration(self, issuer: str, client_id: str | None = None) -> bool:
        """Forget a registration that the authorization server does not know; return whether a new one can be made."""
        return False

    def _scope(
        self, challenge: Challenge | None, resource: ProtectedResource | None, server: AuthorizationServer
    ) -> str | None:
        """Choose the scopes of a first request; None to send no `scope`."""
        asked = () if challenge is None else tuple(challenge.parameters.get("scope", "").split())
        chosen = dict.fromkeys([*asked, *(self._scopes or ())])
        if not chosen and self._scopes is None and resource is not None:
            chosen = dict.fromkeys(resource.scopes_supported or ())
        return " ".join(chosen) or None

    # --- obtaining --------------------------------------------------------------------

    async def _step_up(
        self, server: KnownServer, asked: Challenge | None, current: BoundTokens | None, *, is_newer: bool
    ) -> bool:
        if asked is None or asked.parameters.get("error") != "insufficient_scope":
            return False
        wanted = frozenset(asked.parameters.get("scope", "").split())
        if is_newer and current is not None and current.tokens.covers(" ".join(wanted)):
            return True  # authorized while the request was under way
        requested = frozenset() if current is None else frozenset((current.tokens.requested or "").split())
        tries = server.step_ups.get(wanted, 0)
        union = " ".join(sorted(requested | wanted))
        has_room = len(union) <= _SCOPE_LENGTH and (tries > 0 or len(server.step_ups) < _STEP_UPS_KEPT)
        if not wanted or wanted <= requested or tries >= STEP_UPS or not has_room:
            log.debug(events.AUTH_STEP_UP_REFUSED, tries=tries)
            return False
        server.step_ups[wanted] = tries + 1
        await self._authorize(server, asked, union, refused=current)
        server.step_ups.pop(wanted, None)
        return True

    async def _authorize(
        self, server: KnownServer, asked: Challenge | None, step_up: str | None, *, refused: BoundTokens | None
    ) -> None:
        """Find the authorization server again, then take what another process has got, refresh, or obtain.

        What is known of the server changes when there are tokens, not before.

        Args:
            server: the MCP server.
            asked: its challenge.
            step_up: the scopes of a step-up; None for the usual choice.
            refused: the tokens that the server did not take; None if there are none.
        """
        async with self._search.open_http(server.url) as http:
            named = asked.parameters.get("resource_metadata") if asked is not None else None
            place = await self._search.find(http, server.url, named)
            found, binding = place.server, place.binding
            last = server.last_binding
            await self._pin.check(found.issuer, last.issuer if last is not None and self._accepts(last) else None)
            scope = step_up or self._scope(asked, place.resource, found)
            is_same = last is not None and last.is_at(binding)
            if is_same and step_up is None:  # so that what earlier step-ups have got is not lost
                both = " ".join(dict.fromkeys([*(scope or "").split(), *sorted(server.requested)]))
                scope = both if 0 < len(both) <= _SCOPE_LENGTH else scope
            elif not is_same:
                refused = None
            async with server.renewing, self._store.lock(renewal_lock(binding.issuer, binding.resource)):
                if await self._take_newer(server, binding, scope, refused):
                    return
                known = self._usable(server)
                if known is not None and known.binding.is_at(binding) and step_up is None and not self.unattended:
                    grant = self._grant(http, found, known.binding, scope, known.dpop)
                    if await self._refresh(server, grant, known):
                        server.authorization_server = found
                        return
            async with self._store.lock(sign_in_lock(binding.issuer, binding.resource)):
                if await self._take_newer(server, binding, scope, refused):
                    return  # another process was first
                dpop = refused.dpop if refused is not None else None
                await self._obtain_and_keep(server, self._grant(http, found, binding, scope, dpop), binding)

    async def _take_newer(
        self, server: KnownServer, binding: Binding, scope: str | None, refused: BoundTokens | None
    ) -> bool:
        """Take what the store has; return whether it is worth a try: not what was refused, and enough."""
        stored = await server.read(binding.issuer, binding.resource)
        if stored is None or not self._accepts(stored.binding):
            return False
        server.current = stored
        is_refused = refused is not None and stored.tokens.access_token == refused.tokens.access_token
        return not is_refused and not stored.tokens.is_expired and stored.tokens.covers(scope)

    async def _obtain_and_keep(
        self, server: KnownServer, grant: Grant, binding: Binding, *, is_renewal: bool = False
    ) -> None:
        issuer = grant.server.issuer
        try:
            try:
                obtained = await self._obtain(grant)
            except AuthorizationFailed as exc:
                if not await self._can_register_anew(grant, exc.error):
                    raise
                obtained = await self._obtain(grant)
        except AuthorizationFailed as exc:
            if exc.error == "invalid_scope":
                server.requested = frozenset()  # the next try asks for what the challenge names alone
            raise
        binding = attrs.evolve(binding, client_id=obtained.client_id)
        if is_renewal:  # which holds the locks
            await server.keep(binding, obtained.tokens, grant.dpop)
        else:
            async with server.renewing, self._store.lock(renewal_lock(binding.issuer, binding.resource)):
                await server.keep(binding, obtained.tokens, grant.dpop)
        server.authorization_server = grant.server
        if self._client_id is not None and await stored_pin(self._store, self._client_id) != issuer:
            await put(self._store, pin_key(self._client_id), {"issuer": issuer})

    # --- renewing ---------------------------------------------------------------------

    def _should_renew(self, server: KnownServer, current: BoundTokens) -> bool:
        can_renew = self.unattended or current.tokens.refresh_token is not None
        return can_renew and current.tokens.is_due and trio.current_time() >= server.retry_at

    async def _renew(self, server: KnownServer, current: BoundTokens) -> None:
        """Renew a token before it ends. Where that fails, the token is sent, and the server's answer decides."""
        server.retry_at = trio.current_time() + RENEWAL_PAUSE
        binding = current.binding
        try:
            async with self._search.open_http(server.url) as http:
                found = server.authorization_server
                if found is None or found.issuer != binding.issuer:
                    with trio.fail_after(SEARCH_TIME):
                        found = await self._search.find_again(http, server.url, binding)
                    server.authorization_server = found
                async with self._store.lock(renewal_lock(binding.issuer, binding.resource)):
                    server.current = stored = await server.read(binding.issuer, binding.resource)
                    if stored is not None and stored.tokens.is_due:
                        grant = self._grant(http, found, binding, stored.tokens.requested, stored.dpop)
                        if self.unattended:
                            await self._obtain_and_keep(server, grant, binding, is_renewal=True)
                        elif not await self._refresh(server, grant, stored):
                            return
            server.retry_at = 0.0
        except (AuthorizationFailed, trio.TooSlowError) as exc:
            log.warning(events.AUTH_RENEWAL_FAILED, reason=str(exc) or "no answer in time")

    async def _refresh(self, server: KnownServer, grant: Grant, known: BoundTokens) -> bool:
        """Refresh tokens; return False where that needs another way. 5xx and no network keep everything, and raise."""
        client_id = known.binding.client_id
        registration = await self._registration(grant.server, client_id)
        refresh_token = known.tokens.refresh_token
        if refresh_token is None or registration is None:
            return False
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token, "resource": grant.resource}

        async def refresh() -> None:
            renewed = await grant.endpoint(registration).tokens(form, grant.dpop, old=known.tokens)
            await server.keep(known.binding, renewed, grant.dpop)

        try:
            await finish(refresh)
        except AuthorizationServerUnavailable:
            raise
        except AuthorizationFailed as exc:
            log.debug(events.AUTH_REFRESH_REFUSED, error=exc.error)
            if exc.error == "invalid_client":
                await self._forget_registration(grant.server.issuer, client_id)
            if exc.error in ("invalid_client", "invalid_grant"):
                await server.drop(known)  # but not what another process has got since
            newer = server.current
            return newer is not None and newer.tokens != known.tokens and not newer.tokens.is_expired
        return True

    # --- where ------------------------------------------------------------------------

    def _grant(
        self,
        http: AuthorizationHttp,
        server: AuthorizationServer,
        binding: Binding,
        scope: str | None,
        dpop: DpopKey | None,
    ) -> Grant:
        return Grant(
            http=http,
            server=server,
            resource=binding.resource if self._send_resource else None,
            scope=scope,
            dpop=(dpop or DpopKey()) if self._dpop else None,
            pin=self._pin,
        )

    def _new_server(self, url: str) -> KnownServer:
        return KnownServer(http_url(url), self._store, dpop=self._dpop, unattended=self.unattended)

    def _server_of(self, request: AuthRequest) -> KnownServer:
        url = http_url(request.server_url or request.url)
        server = self._servers.get(url)
        if server is None:
            server = self._servers[url] = self._new_server(url)
        return server

    def _usable(self, server: KnownServer) -> BoundTokens | None:
        """The tokens to send; None if there are none for this configuration."""
        current = server.current
        return current if current is not None and self._accepts(current.binding) else None

    def _accepts(self, binding: Binding) -> bool:
        """Whether tokens are of the issuer and the client that are pinned, if any are."""
        return self._issuer in (None, binding.issuer) and self._client_id in (None, binding.client_id)

    def _keep_nonce(self, server: KnownServer, request: AuthRequest, headers: Mapping[str, str]) -> bool:
        current = server.current
        return (
            current is not None and current.dpop is not None and current.dpop.keep_nonce(http_url(request.url), headers)
        )
