"""One MCP server as a client knows it: its authorization server and its tokens, in memory and in the store.

Kinds of entries, of which `TokenKey` says what they belong to:

    ("", URL of the MCP server, "")   which authorization server, resource and client id were used last;
                                      ("", URL, "unattended") the same for programs without a person
    (issuer, resource, client id)     tokens, and the key that they are bound to
    (issuer, "", flow)                the last registration of a client for a flow
    (issuer, "", "client " + id)      the same by its id: tokens are refreshed by the client that they were given to

`ClientPin` has one more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs
import trio

from trimcp.auth.client.client_pin import pin_key, stored_pin
from trimcp.auth.client.discovery import AuthorizationServer
from trimcp.auth.client.dpop import DpopKey
from trimcp.auth.client.tokens import Tokens
from trimcp.auth.stores import TokenKey, TokenStore

FLOWS: Final = ("", "device")
"""The flows that register clients of their own; the first is the browser's."""
_TRIES: Final = 10
"""Tries to replace an entry that other processes change."""


def registration_key(issuer: str, flow: str) -> TokenKey:
    """Return the key of a client's registration for a flow."""
    return TokenKey(issuer, "", flow)


def client_key(issuer: str, client_id: str) -> TokenKey:
    """Return the key of a registration by its id."""
    return TokenKey(issuer, "", f"client {client_id}")


def renewal_lock(issuer: str, resource: str) -> TokenKey:
    """Return the key of the lock that is held while tokens are renewed: for seconds."""
    return TokenKey(issuer, resource, "")


def sign_in_lock(issuer: str, resource: str) -> TokenKey:
    """Return the key of the lock that is held while a person signs in: for minutes."""
    return TokenKey(issuer, resource, "sign-in")


async def put(store: TokenStore, key: TokenKey, value: Mapping[str, Any] | None) -> None:
    """Replace an entry, whichever it is now."""
    for _ in range(_TRIES):
        entry = await store.read(key)
        if entry is None and value is None:
            return
        if await store.replace(key, None if entry is None else entry.generation, value):
            return


@attrs.frozen
class Binding:
    """Where the tokens for an MCP server come from."""

    issuer: str
    resource: str
    client_id: str = ""
    has_metadata: bool = True
    """False for a server of 2025-03-26, without resource metadata."""

    @property
    def key(self) -> TokenKey:
        """The key of the tokens."""
        return TokenKey(self.issuer, self.resource, self.client_id)

    def is_at(self, other: Binding) -> bool:
        """Whether the other one is for the same resource at the same authorization server."""
        return (self.issuer, self.resource) == (other.issuer, other.resource)


@attrs.frozen
class BoundTokens:
    """Tokens, where they come from, and the key that they are bound to."""

    binding: Binding
    tokens: Tokens
    generation: str | None
    """Of the entry in the store."""
    dpop: DpopKey | None


async def stored_tokens(store: TokenStore, url: str) -> BoundTokens | None:
    """Return the tokens that a store has for an MCP server, bound to a key or not."""
    for dpop in (False, True):
        server = KnownServer(url, store, dpop=dpop, unattended=False)
        await server.load()
        if server.current is not None:
            return server.current
    return None


class KnownServer:
    """One MCP server, as one `TokenAuth` knows it."""

    def __init__(self, url: str, store: TokenStore, *, dpop: bool, unattended: bool) -> None:
        """
        Args:
            url: of the MCP server.
            store: keeps what is known.
            dpop: whether tokens are bound to a key; others are not used.
            unattended: whether tokens are a program's own, and not a person's.
        """
        self.url = url
        self.renewing: trio.Lock = trio.Lock()
        """Held while tokens are renewed or kept; requests wait for it."""
        self.authorizing: trio.Lock = trio.Lock()
        """Held while a challenge is acted on, so also while a person signs in; no request waits for it."""
        self.current: BoundTokens | None = None
        """The tokens to send."""
        self.authorization_server: AuthorizationServer | None = None
        """Found in this process, for the binding of `current`."""
        self.requested: frozenset[str] = frozenset()
        """The scopes that were asked for last."""
        self.step_ups: dict[frozenset[str], int] = {}
        """Authorizations for more scopes that did not end well."""
        self.retry_at: float = 0.0
        """When a renewal that failed is tried again, on Trio's clock."""
        self.last_binding: Binding | None = None
        """What the store says of the server, be there tokens or not."""
        self._store = store
        self._dpop = dpop
        self._key = TokenKey("", url, "unattended" if unattended else "")
        self._loading = trio.Lock()
        self._is_loaded = False

    async def load(self) -> None:
        """Read what the store knows, once."""
        if self._is_loaded:
            return
        async with self._loading:
            if not self._is_loaded:
                self.last_binding = await self._read_binding()
                if self.last_binding is not None:
                    self.current = await self._read(self.last_binding)
                self._is_loaded = True

    async def read(self, issuer: str, resource: str) -> BoundTokens | None:
        """Read the tokens of an authorization server for a resource again: another process may have renewed them."""
        stored = await self._read_binding()
        for binding in (stored, self.last_binding):
            if binding is not None and (binding.issuer, binding.resource) == (issuer, resource):
                return await self._read(binding)
        return None

    async def keep(self, binding: Binding, tokens: Tokens, dpop: DpopKey | None) -> None:
        """Keep tokens, in place of those that there are."""
        value = tokens.to_json()
        if dpop is not None:
            value["dpop_key"] = dpop.to_json()
        before = self.last_binding
        await put(self._store, binding.key, value)
        self.requested = frozenset((tokens.requested or "").split())
        await put(
            self._store,
            self._key,
            {
                "issuer": binding.issuer,
                "resource": binding.resource,
                "client": binding.client_id,
                "has_metadata": binding.has_metadata,
                "requested": " ".join(sorted(self.requested)),
            },
        )
        if before is not None and before.key != binding.key:
            await put(self._store, before.key, None)  # of another client or authorization server: not used any more
        entry = await self._store.read(binding.key)
        self.last_binding = binding
        self.current = BoundTokens(binding, tokens, None if entry is None else entry.generation, dpop)

    async def drop(self, refused: BoundTokens) -> None:
        """Remove tokens, unless the store has newer ones: these are current then."""
        if not await self._store.replace(refused.binding.key, refused.generation, None):
            newer = await self._read(refused.binding)
            self.current = None if newer is not None and newer.tokens == refused.tokens else newer
        else:
            self.current = None

    async def forget(self, flow: str | None = None) -> None:
        """Remove tokens and binding, and the client of the tokens if it was registered by hand.

        Args:
            flow: whose registered clients are removed as well. None: they stay, for other servers of the
                authorization server. Clients of other flows stay in any case.
        """
        await self.load()
        binding = self.last_binding
        if binding is not None:
            clients = {binding.client_id}
            if flow is not None:
                clients.add(await self._registered(registration_key(binding.issuer, flow)))
            others = {await self._registered(registration_key(binding.issuer, each)) for each in FLOWS if each != flow}
            for key in (client_key(binding.issuer, client) for client in clients - others):
                entry = await self._store.read(key)
                if entry is not None and (flow is not None or entry.value.get("is_dynamic") is not True):
                    await put(self._store, key, None)
            if flow is not None:
                await put(self._store, registration_key(binding.issuer, flow), None)
            if await stored_pin(self._store, binding.client_id) == binding.issuer:
                await put(self._store, pin_key(binding.client_id), None)
            await put(self._store, binding.key, None)
        await put(self._store, self._key, None)
        self.current = self.last_binding = self.authorization_server = None

    async def _registered(self, key: TokenKey) -> str:
        """Return the id of the client in an entry; empty without one."""
        entry = await self._store.read(key)
        found = None if entry is None else entry.value.get("client_id")
        return found if isinstance(found, str) else ""

    async def _read_binding(self) -> Binding | None:
        entry = await self._store.read(self._key)
        if entry is None:
            return None
        issuer, resource, client, requested = (
            entry.value.get(name) for name in ("issuer", "resource", "client", "requested")
        )
        if not isinstance(issuer, str) or not issuer or not isinstance(resource, str) or not isinstance(client, str):
            return None
        if isinstance(requested, str) and not self._is_loaded:
            self.requested = frozenset(requested.split())
        return Binding(issuer, resource, client, entry.value.get("has_metadata") is not False)

    async def _read(self, binding: Binding) -> BoundTokens | None:
        entry = await self._store.read(binding.key)
        if entry is None:
            return None
        try:
            tokens = Tokens.from_json(entry.value)
            key = entry.value.get("dpop_key")
            dpop = self._dpop_key(key) if isinstance(key, Mapping) else None
        except ValueError:
            return None
        if (dpop is not None) != self._dpop or (tokens.token_type == "DPoP") != self._dpop:
            return None  # of another configuration
        return BoundTokens(binding, tokens, entry.generation, dpop)

    def _dpop_key(self, value: Mapping[str, Any]) -> DpopKey:
        """Return the key of an entry: the existing object if it is the same, since it knows the nonces."""
        known = None if self.current is None else self.current.dpop
        return known if known is not None and known.to_json() == value else DpopKey(value)
