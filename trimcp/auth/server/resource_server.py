"""`ResourceServer`: protects an MCP server by access tokens, as the specification demands of a resource server.

Each request is verified anew: the token, its audience, the proof of possession, and the scopes of the operation.
basic/authorization of 2025-06-18 to 2026-07-28; RFC 6750, RFC 9728, RFC 9449.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

import attrs
import trio

from trimcp.auth.challenges import format_challenge
from trimcp.auth.client.urls import check_url, origin_of
from trimcp.auth.errors import AuthorizationFailed, AuthorizationServerUnavailable
from trimcp.auth.server.metadata import Receive, ResourceMetadata, Scope, Send, metadata_app
from trimcp.auth.server.proofs import (
    WINDOW,
    CheckedProof,
    InvalidProof,
    NonceWanted,
    ProofChecker,
    TooManyProofs,
)
from trimcp.auth.server.verifiers import InvalidToken, TokenVerifier, Verify, verify_of
from trimcp.errors import Unauthenticated, UsageError
from trimcp.http.binding import HttpRequest
from trimcp.http.server.routes import HttpRoute
from trimcp.observability import events, log
from trimcp.protocol.principal import Principal, principal_of
from trimcp.protocol.scopes import check_scopes
from trimcp.stores.contained import log_failure
from trimcp.stores.replay_store import ReplayStore

RETRY_AFTER: Final = "5"
"""Seconds that a client should wait where a token could not be verified."""
REPLAY_SECONDS: Final = 2.0
"""Seconds that a store may take to say whether a proof was used before."""
IMPLIED: Final = 1024
"""Scopes that may follow from those of one token."""
_TOKEN: Final = re.compile(r"[A-Za-z0-9\-._~+/]+=*")

_CREDENTIALS: Final = frozenset({b"authorization", b"dpop"})

Implies = Callable[[str], Iterable[str]]
"""The narrower scopes that follow from a scope."""
OperationScopes = Callable[[HttpRequest], frozenset[str]]
"""The scopes that the operations in a request need; given by the server that is protected."""


def no_scopes(request: HttpRequest) -> frozenset[str]:
    """Need nothing."""
    return frozenset()


class ResourceServer:
    """Protects what is served by HTTP and WebSocket; pass it as `auth=`.

        guard = trimcp.auth.ResourceServer(
            resource="https://notes.example/mcp",
            authorization_servers=["https://login.example"],
            verifier=trimcp.auth.JwtVerifier(issuer="https://login.example", audience="https://notes.example/mcp"),
            required_scopes=["notes"],
        )
        await server.serve_http(auth=guard)

    One object may protect several servers of one resource.
    """

    def __init__(
        self,
        *,
        resource: str,
        authorization_servers: Sequence[str],
        verifier: TokenVerifier | Verify,
        required_scopes: Sequence[str] = (),
        scopes_supported: Sequence[str] | None = None,
        implies: Implies | None = None,
        hides: bool = False,
        dpop: bool = False,
        dpop_nonces: bool = False,
        resource_name: str | None = None,
        documentation: str | None = None,
        metadata_at_root: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Prepare the protection. Nothing is requested before a token comes.

        Args:
            resource: the identifier of the server: the URL that clients connect to, as they know it. Metadata,
                challenges and DPoP use it, and never a header field of a request.
            authorization_servers: the issuers whose tokens are accepted, byte for byte; at least one.
            verifier: a `JwtVerifier`, an `IntrospectionVerifier`, or an async function from a token to a `Principal`
                or None. It must check that the token is for this resource.
            required_scopes: every request needs these. Tools, resources and prompts may need more.
            scopes_supported: advertised in the metadata as those for basic use; `required_scopes` by default.
            implies: the narrower scopes that a scope includes, such as `notes:read` for `notes:write`; followed
                until nothing new comes.
            hides: whether tools, resources and prompts whose scopes a client lacks are left out of lists and unknown to
                it. By default they are listed, and a call is refused with the scopes that it needs.
            dpop: whether only tokens that are bound to a key are accepted. Bound tokens need a proof in any case.
            dpop_nonces: whether proofs must have a nonce of this server.
            resource_name: what the server is called to people.
            documentation: a URL for people who write clients.
            metadata_at_root: whether the metadata is at the root of the origin too.
            clock: seconds since the epoch.

        Raises:
            UsageError: an argument is invalid.
        """
        self.resource: str = _url(resource, "resource")
        if urlsplit(resource).query:
            raise UsageError("Invalid resource: leave out the query")
        if isinstance(authorization_servers, str) or not authorization_servers:
            raise UsageError("Invalid authorization_servers: give a list with at least one issuer")
        issuers = [_url(issuer, "authorization server") for issuer in authorization_servers]
        self._verify = verify_of(verifier)
        self.required_scopes: frozenset[str] = frozenset(check_scopes(required_scopes, "required_scopes"))
        supported = required_scopes if scopes_supported is None else scopes_supported
        supported = check_scopes(supported, "scopes_supported")
        if "offline_access" in {*supported, *self.required_scopes}:
            raise UsageError("Invalid scope offline_access: it is for clients to ask for, not for resources")
        self._implies = implies
        self.hides: bool = hides
        self._dpop = dpop
        self._proofs = ProofChecker(nonces=dpop_nonces, clock=clock)
        document: dict[str, Any] = {
            "resource": resource,
            "authorization_servers": issuers,
            "bearer_methods_supported": ["header"],
            "dpop_signing_alg_values_supported": list(self._proofs.algorithms),
        }
        if supported:
            document["scopes_supported"] = list(supported)
        if dpop:
            document["dpop_bound_access_tokens_required"] = True
        if resource_name is not None:
            document["resource_name"] = resource_name
        if documentation is not None:
            document["resource_documentation"] = documentation
        self.metadata: ResourceMetadata = ResourceMetadata(resource, document, at_root=metadata_at_root)

    @property
    def routes(self) -> Sequence[HttpRoute]:
        """The routes of the metadata, for the built-in server and for hypercorn."""
        return self.metadata.routes()

    # --- a request --------------------------------------------------------------------

    async def authenticate(
        self, request: HttpRequest, needed: OperationScopes = no_scopes, replay: ReplayStore | None = None
    ) -> Principal:
        """Verify a request; return its principal.

        Args:
            request: as it came; its body is there.
            needed: the scopes of the operations in it.
            replay: remembers the DPoP proofs that other nodes have accepted.

        Raises:
            Unauthenticated: the request is refused: by 401, 403, 400 for a malformed one, or 503.
        """
        scheme, token = self._credentials(request)
        try:
            principal = principal_of(await self._verify(token))
            if principal is None:
                raise InvalidToken("The access token is not valid")
        except InvalidToken as exc:
            self._refuse(401, "invalid_token", str(exc), scheme=scheme)
        except AuthorizationServerUnavailable as exc:
            log.error(events.AUTH_TOKEN_NOT_VERIFIED, reason=str(exc))
            raise _unavailable("The access token cannot be verified now") from None
        await self._check_binding(request, scheme, token, principal, replay)
        if self._implies is not None:
            principal = attrs.evolve(principal, scopes=_with_implied(principal.scopes, self._implies))
        # The scopes of what is hidden are hidden too.
        scopes = self.required_scopes if self.hides else self.required_scopes | needed(request)
        if not scopes <= principal.scopes:
            self._refuse(403, "insufficient_scope", "The access token lacks a scope", scheme=scheme, scopes=scopes)
        request.hides_forbidden = self.hides
        # A token is for this server alone: no handler gets to see it, and none can pass it on by mistake.
        request.fields = {name: value for name, value in request.fields.items() if name not in _CREDENTIALS}
        return principal

    def bound(
        self, needed: OperationScopes, *, replay: ReplayStore | None = None, nonce_secret: bytes | None = None
    ) -> Callable[[HttpRequest], Awaitable[Principal]]:
        """Return the `authenticate` function for a server whose operations need those scopes.

        Args:
            needed: the scopes of the operations in a request.
            replay: remembers the DPoP proofs of all nodes; in this process alone, if not given.
            nonce_secret: the secret of DPoP nonces, the same on all nodes; one of this process, if not given.
        """
        if nonce_secret is not None:
            self._proofs.share_nonces(nonce_secret)

        async def authenticate(request: HttpRequest) -> Principal:
            return await self.authenticate(request, needed, replay)

        return authenticate

    def _credentials(self, request: HttpRequest) -> tuple[str, str]:
        """The scheme, in lower case, and the token of a request."""
        field = (request.field("authorization") or "").strip()
        scheme, _, token = field.partition(" ")
        scheme, token = scheme.lower(), token.strip()
        if scheme not in ("bearer", "dpop"):
            self._refuse(401, None, "An access token is needed")
        if not _TOKEN.fullmatch(token):
            self._refuse(400, "invalid_request", "The Authorization field is malformed", scheme=scheme)
        return scheme, token

    async def _check_binding(
        self, request: HttpRequest, scheme: str, token: str, principal: Principal, replay: ReplayStore | None
    ) -> None:
        """Check that the sender has the key that the token is bound to, if it is bound to one."""
        confirmation = principal.claims.get("cnf")
        thumbprint = confirmation.get("jkt") if isinstance(confirmation, Mapping) else None
        if scheme == "bearer":
            if confirmation is not None:
                self._refuse(
                    401, "invalid_token", "The access token is bound to a key: send a proof of it", scheme="dpop"
                )
            if self._dpop:
                self._refuse(401, "invalid_token", "The access token must be bound to a key", scheme="dpop")
            return
        if not isinstance(thumbprint, str):
            self._refuse(401, "invalid_token", "The access token is not bound to a key", scheme=scheme)
        proof = request.field("dpop")
        if proof is None or "," in proof:
            self._refuse(401, "invalid_dpop_proof", "One DPoP proof is needed", scheme=scheme)
        try:
            found = self._proofs.examine(proof, request.method, self._urls_of(request), token)
            if replay is not None and not await _first_use(replay, found):
                raise InvalidProof("The DPoP proof was used before")
        except NonceWanted as exc:
            self._refuse(401, "use_dpop_nonce", str(exc), scheme=scheme)
        except InvalidProof as exc:
            self._refuse(401, "invalid_dpop_proof", str(exc), scheme=scheme)
        except TooManyProofs as exc:
            raise _unavailable(str(exc)) from None
        if found.thumbprint != thumbprint:
            self._refuse(401, "invalid_token", "The access token is bound to another key", scheme=scheme)

    def _urls_of(self, request: HttpRequest) -> tuple[str, ...]:
        """The URLs that a client may know a request by: the resource, and its path at the resource's origin."""
        root = "" if request.scope is None else str(request.scope.get("root_path", "")).rstrip("/")
        origin = origin_of(self.resource)
        paths = {request.path, f"{root}{request.path}" if not request.path.startswith(f"{root}/") else request.path}
        return (self.resource, *(f"{origin}{path}" for path in paths))

    # --- refusals ---------------------------------------------------------------------

    def _refuse(
        self,
        status: int,
        error: str | None,
        text: str,
        *,
        scheme: str | None = None,
        scopes: Iterable[str] | None = None,
    ) -> NoReturn:
        asked = self.required_scopes if scopes is None else scopes
        parameters = {
            "resource_metadata": self.metadata.url,
            "scope": " ".join(sorted(asked)) or None,
            "error": error,
            "error_description": None if error is None else text,
        }
        challenges = []
        if not self._dpop and scheme != "dpop":
            challenges.append(format_challenge("Bearer", parameters))
        if self._dpop or scheme == "dpop":
            algorithms = " ".join(self._proofs.algorithms)
            challenges.append(format_challenge("DPoP", {"algs": algorithms, **parameters}))
        nonce = self._proofs.nonce if self._dpop or scheme == "dpop" else None
        headers = {} if nonce is None else {"DPoP-Nonce": nonce}
        raise Unauthenticated(text, challenge=challenges, status=status, headers=headers)


def protected_resource_app(*servers: ResourceServer) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """Return an ASGI application for the metadata of servers that are mounted in another application.

        Starlette(routes=[Mount("/mcp", server.asgi(auth=guard)), Mount("/", protected_resource_app(guard))])

    The well-known paths lie at the root of the origin, outside of the mount.
    """
    return metadata_app([server.metadata for server in servers])


def _with_implied(scopes: frozenset[str], implies: Implies) -> frozenset[str]:
    """The scopes of a token with all that follow from them."""
    found, waiting = set(scopes), list(scopes)
    while waiting and len(found) < IMPLIED:
        for scope in implies(waiting.pop()):
            if scope not in found:
                found.add(scope)
                waiting.append(scope)
    return frozenset(found)


async def _first_use(replay: ReplayStore, proof: CheckedProof) -> bool:
    """Whether no node has accepted a proof before. Where the store does not say, the request is refused."""
    try:
        with trio.fail_after(REPLAY_SECONDS):
            return await replay.first_use(proof.use, 2 * WINDOW)
    except Exception as exc:  # noqa: BLE001 - a store may raise anything, and then no proof is accepted
        log_failure(exc)
        raise _unavailable("The DPoP proof cannot be checked now") from None


def _unavailable(text: str) -> Unauthenticated:
    return Unauthenticated(text, challenge=(), status=503, headers={"Retry-After": RETRY_AFTER})


def _url(url: str, purpose: str) -> str:
    try:
        return check_url(url, purpose)
    except AuthorizationFailed as exc:
        raise UsageError(str(exc)) from None
