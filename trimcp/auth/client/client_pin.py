"""`ClientPin`: keeps a client that was registered by hand at the authorization server where it is registered.

A client id and a secret that a program passes name no issuer. The first use pins one, so that no MCP server can have
them sent to another. The store keeps the pin once there are tokens:

    ("", "", "client " + id)          the issuer

basic/authorization/client-registration of 2026-07-28.
"""

from __future__ import annotations

from trimcp.auth.client.urls import shown
from trimcp.auth.errors import AuthorizationFailed
from trimcp.auth.stores import TokenKey, TokenStore


def pin_key(client_id: str) -> TokenKey:
    """Return the key of the issuer of a client that was registered by hand."""
    return TokenKey("", "", f"client {client_id}")


async def stored_pin(store: TokenStore, client_id: str) -> str | None:
    """Return the issuer that gave tokens to a client registered by hand; None if there is none."""
    entry = await store.read(pin_key(client_id))
    issuer = None if entry is None else entry.value.get("issuer")
    return issuer if isinstance(issuer, str) and issuer else None


class ClientPin:
    """The issuer of one client id. Without an id, or where the program names the issuer, all is allowed."""

    def __init__(self, client_id: str | None, *, is_named: bool, store: TokenStore) -> None:
        """
        Args:
            client_id: registered by hand; None for other clients.
            is_named: whether the program has named the issuer.
            store: may know the issuer.
        """
        self._client_id = None if is_named else client_id
        self._store = store
        self._issuer: str | None = None
        """Where the credentials have gone in this process."""

    async def check(self, issuer: str, bound: str | None) -> None:
        """See that the client may be used at an issuer. Of what is known, the nearest counts.

        Args:
            issuer: that the MCP server takes tokens of.
            bound: the issuer that gave tokens to this client for that server; None if there is none.

        Raises:
            AuthorizationFailed: the client belongs to another issuer.
        """
        if self._client_id is not None:
            self._check(self._issuer or bound or await stored_pin(self._store, self._client_id), issuer)

    def use(self, issuer: str) -> None:
        """Pin the issuer that the credentials go to now.

        This use decides, not the first success: sign-ins that run at once would have sent the secret elsewhere by then.
        A sign-in that ends earlier pins nothing.

        Raises:
            AuthorizationFailed: they have gone to another issuer.
        """
        if self._client_id is not None:
            self._check(self._issuer, issuer)
            self._issuer = issuer

    def forget(self) -> None:
        """Have the next use decide."""
        self._issuer = None

    def _check(self, earlier: str | None, issuer: str) -> None:
        if earlier not in (None, issuer):
            raise AuthorizationFailed(
                f"The client id {self._client_id!r} is registered at {shown(earlier)}, and the MCP server now takes "
                f"tokens of {shown(issuer)}: register there, and make another object with that id and issuer=… "
                "(trimcp login: --issuer)"
            )
