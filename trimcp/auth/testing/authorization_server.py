"""The development authorization server: its endpoints, on trimcp's own HTTP server. FOR TESTS AND EXAMPLES ONLY.

OAuth 2.1, RFC 7591, 7636, 7662, 8414, 8628, 8707, 9207, 9449; client ID metadata documents.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import orjson
import trio

from trimcp.auth.server.proofs import ALGORITHMS, InvalidProof, NonceWanted, ProofChecker, TooManyProofs
from trimcp.auth.testing.clients import METHODS, Clients, DevelopmentClient, Kept, OAuthError
from trimcp.auth.testing.device_flow import Devices
from trimcp.auth.testing.pages import NO_STORE, Asked, page, read_form, read_resource
from trimcp.auth.testing.tokens import Consent, Tokens
from trimcp.errors import UsageError
from trimcp.http.binding import PLAIN, HttpRequest, HttpResponse, Refusal
from trimcp.http.server.routes import NOT_FOUND, HttpReply, HttpRoute, RouteTable, answering
from trimcp.observability import events, log

CODE_SECONDS: Final = 60.0
DEVICE_SECONDS: Final = 600
DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"

Endpoint = Callable[[HttpRequest], Awaitable[HttpReply]]


class DevelopmentAuthorizationServer:
    """Signs everybody in as a made-up user. FOR TESTS AND EXAMPLES ONLY; it listens on loopback alone.

    Tokens, codes and clients live in memory, and at most 1024 of each.
    """

    body_limit = 64 * 1024

    def __init__(
        self,
        *,
        path: str = "",
        clients: Iterable[DevelopmentClient] = (),
        metadata_documents: Mapping[str, Mapping[str, Any]] = {},
        scopes_supported: Sequence[str] = (),
        user: str = "ada",
        asks: bool = False,
        registration: bool = True,
        opaque: bool = False,
        refreshes: bool = True,
        token_seconds: int = 300,
        device_interval: int = 5,
        dpop_nonces: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Prepare the server.

        Args:
            path: of the issuer, such as `/tenant`; empty for the root.
            clients: registered by hand. The introspection endpoint takes those with a secret.
            metadata_documents: client metadata documents by their https URLs; others are fetched.
            scopes_supported: those that are granted; any, if empty.
            user: the subject of tokens.
            asks: whether a page asks the user to agree. By default the user agrees at once.
            registration: whether clients may register themselves.
            opaque: whether access tokens are opaque; by default they are JWTs.
            refreshes: whether there are refresh tokens, which rotate.
            token_seconds: the life of an access token.
            device_interval: seconds between two polls of a device.
            dpop_nonces: whether DPoP proofs must have a nonce of the server.
            clock: seconds since the epoch.
        """
        if path and (not path.startswith("/") or path.endswith("/")):
            raise UsageError(f"Invalid path {path!r}: begin it with '/', and end it without")
        self.issuer: str = ""
        """Known once it is served."""
        self.clients: Clients = Clients(clients, metadata_documents, takes_new=registration)
        self.tokens: Tokens = Tokens(seconds=token_seconds, opaque=opaque, refreshes=refreshes, clock=clock)
        self.requests: list[str] = []
        """Method and path of the last requests, for tests."""
        self._path = path
        self._scopes = tuple(scopes_supported)
        self._user = user
        self._asks = asks
        self._registration = registration
        self._clock = clock
        self._proofs = ProofChecker(nonces=dpop_nonces, clock=clock)
        self._pages: Kept[Asked] = Kept()
        self._codes: Kept[Asked] = Kept()
        self._used_codes: Kept[Consent] = Kept()
        self._devices = Devices(seconds=DEVICE_SECONDS, interval=device_interval, asks=asks, clock=clock)
        self._table = RouteTable()
        for name, methods, endpoint in self._endpoints():
            take = answering(_caught(endpoint))
            self._table.add(HttpRoute(path=name, methods=methods, take=take, guarded=False, authenticated=False))

    def _endpoints(self) -> Iterable[tuple[str, tuple[str, ...], Endpoint]]:
        path, get, post = self._path, ("GET", "HEAD"), ("POST",)
        for name in ("oauth-authorization-server", "openid-configuration"):
            yield f"/.well-known/{name}{path}", get, self._show_metadata
        yield f"{path}/jwks", get, self._show_keys
        yield f"{path}/authorize", get, self._authorize
        yield f"{path}/authorize", post, self._decide
        yield f"{path}/token", post, self._token
        yield f"{path}/register", post, self._register
        yield f"{path}/introspect", post, self._introspect
        yield f"{path}/device_authorization", post, self._begin_device
        yield f"{path}/device", get, self._devices.ask
        yield f"{path}/device", post, self._devices.decide

    # --- serving ----------------------------------------------------------------------

    async def serve(self, port: int = 0, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve on loopback until cancelled. The status is the issuer.

        Raises:
            UsageError: the port cannot be listened on.
        """
        from trimcp.http.h1.server import HttpServer

        async with trio.open_nursery() as nursery:
            listener = HttpServer(self, nursery)
            host, bound = await nursery.start(_serve_tcp, listener, port)
            self.issuer = f"http://{host}:{bound}{self._path}"
            log.warning(events.AUTH_DEVELOPMENT_SERVER, issuer=self.issuer, note="for tests only")
            task_status.started(self.issuer)

    def refuse(self, request: HttpRequest) -> Refusal | None:
        """See `Handler`."""
        found = self._table.find(request.path)
        if found is None:
            return NOT_FOUND
        return None if found.route(request) else found.not_allowed

    async def handle(self, request: HttpRequest, response: HttpResponse) -> None:
        """See `Handler`."""
        found = self._table.find(request.path)
        route = None if found is None else found.route(request)
        assert route is not None
        self.requests = [*self.requests[-255:], f"{request.method} {request.path}"]
        try:
            await route.take(request, response)
        except Exception as exc:  # noqa: BLE001 - the boundary of one request
            log.error(events.AUTH_DEVELOPMENT_SERVER_FAILED, exc_info=exc, path=request.path)
            response.respond(500, PLAIN, b"Internal error\n")

    async def _show_metadata(self, request: HttpRequest) -> HttpReply:
        issuer = self.issuer
        grants = ["authorization_code", "refresh_token", "client_credentials", DEVICE_GRANT]
        document: dict[str, Any] = {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/authorize",
            "token_endpoint": f"{issuer}/token",
            "jwks_uri": f"{issuer}/jwks",
            "introspection_endpoint": f"{issuer}/introspect",
            "device_authorization_endpoint": f"{issuer}/device_authorization",
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": grants,
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": list(METHODS),
            "token_endpoint_auth_signing_alg_values_supported": ["ES256", "RS256"],
            "dpop_signing_alg_values_supported": list(ALGORITHMS),
            "authorization_response_iss_parameter_supported": True,
            "client_id_metadata_document_supported": True,
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        }
        if self._registration:
            document["registration_endpoint"] = f"{issuer}/register"
        if self._scopes:
            document["scopes_supported"] = [*self._scopes]
        return HttpReply(document, headers=NO_STORE)

    async def _show_keys(self, request: HttpRequest) -> HttpReply:
        return HttpReply(self.tokens.jwks, headers=NO_STORE)

    async def _register(self, request: HttpRequest) -> HttpReply:
        try:
            metadata = orjson.loads(request.body)
        except orjson.JSONDecodeError:
            metadata = None
        if not isinstance(metadata, dict):
            raise OAuthError("invalid_client_metadata", "The body must be a JSON object")
        return HttpReply(self.clients.register(metadata), status=201, headers=NO_STORE)

    async def _introspect(self, request: HttpRequest) -> HttpReply:
        form = read_form(request.body)
        client = await self.clients.authenticated(request, form, self.issuer)
        if client.client_secret is None and client.jwks is None:
            raise OAuthError("invalid_client", "The introspection endpoint needs a client with a secret", 401)
        return HttpReply(self.tokens.introspect(form.get("token")), headers=NO_STORE)

    # --- the authorization endpoint ---------------------------------------------------

    async def _authorize(self, request: HttpRequest) -> HttpReply:
        query = read_form(request.query)
        client = await self.clients.find(query.get("client_id"))
        redirect_uri = query.get("redirect_uri", client.redirect_uris[0] if len(client.redirect_uris) == 1 else "")
        if not client.takes_redirect(redirect_uri):
            raise OAuthError("invalid_request", "The redirect URI is not the client's")  # and never redirected to
        asked = Asked(client=client, redirect_uri=redirect_uri, state=query.get("state"))
        if query.get("response_type") != "code":
            return self._redirect(asked, error="unsupported_response_type")
        challenge = query.get("code_challenge", "")
        if query.get("code_challenge_method") != "S256" or not 43 <= len(challenge) <= 128:
            return self._redirect(asked, error="invalid_request", error_description="PKCE with S256 is needed")
        try:
            asked.resource, asked.scopes = read_resource(query), self._granted(query.get("scope"))
        except OAuthError as exc:
            return self._redirect(asked, error=exc.error)
        asked.code_challenge = challenge
        if not self._asks:
            return self._agreed(asked)
        ticket = secrets.token_urlsafe(24)
        self._pages.put(ticket, asked)
        return page(f"{client.client_id} asks for: {' '.join(asked.scopes) or 'nothing in particular'}", ticket)

    async def _decide(self, request: HttpRequest) -> HttpReply:
        form = read_form(request.body)
        asked = self._pages.pop(form.get("ticket"))
        if asked is None:
            raise OAuthError("invalid_request", "This page was used before")
        if form.get("decision") != "allow":
            return self._redirect(asked, error="access_denied")
        return self._agreed(asked)

    def _agreed(self, asked: Asked) -> HttpReply:
        code = secrets.token_urlsafe(24)
        asked.until = self._clock() + CODE_SECONDS
        self._codes.put(code, asked)
        return self._redirect(asked, code=code)

    def _redirect(self, asked: Asked, **parameters: str) -> HttpReply:
        if asked.state is not None:
            parameters["state"] = asked.state
        query = urlencode({**parameters, "iss": self.issuer})
        joint = "&" if urlsplit(asked.redirect_uri).query else "?"
        return HttpReply(status=302, headers={"Location": f"{asked.redirect_uri}{joint}{query}", **NO_STORE})

    def _granted(self, scope: str | None) -> tuple[str, ...]:
        asked = tuple(dict.fromkeys((scope or "").split()))
        if self._scopes and not set(asked) <= {*self._scopes, "offline_access"}:
            raise OAuthError("invalid_scope", "A scope is not supported")
        return tuple(each for each in asked if each != "offline_access")

    # --- the token endpoint -----------------------------------------------------------

    async def _token(self, request: HttpRequest) -> HttpReply:
        form = read_form(request.body)
        client = await self.clients.authenticated(request, form, self.issuer)
        thumbprint = self._thumbprint(request)
        grant = form.get("grant_type")
        if grant == "authorization_code":
            consent = self._redeem(form, client)
        elif grant == "refresh_token":
            consent = self.tokens.take_refresh_token(form.get("refresh_token"), client.client_id, thumbprint)
        elif grant == "client_credentials":
            if client.client_secret is None and client.jwks is None:
                raise OAuthError("unauthorized_client", "The client has no credentials")
            scopes = self._granted(form.get("scope"))
            consent = Consent(
                client_id=client.client_id, subject=client.client_id, resource=read_resource(form), scopes=scopes
            )
        elif grant == DEVICE_GRANT:
            asked_device = self._devices.redeem(form.get("device_code"), client)
            consent = self._consent(asked_device)
        else:
            raise OAuthError("unsupported_grant_type")
        consent.thumbprint = thumbprint
        scopes = consent.scopes
        if grant == "refresh_token" and "scope" in form:
            scopes = self._granted(form["scope"])
            if not set(scopes) <= set(consent.scopes):
                raise OAuthError("invalid_scope", "A refresh cannot widen the scope")
        asked = read_resource(form)
        if asked is not None and consent.resource is not None and asked != consent.resource:
            raise OAuthError("invalid_target", "The user has agreed to another resource")
        consent.resource = consent.resource or asked
        refreshes = grant != "client_credentials"
        return HttpReply(self.tokens.issue(self.issuer, consent, scopes, refreshes=refreshes), headers=NO_STORE)

    def _thumbprint(self, request: HttpRequest) -> str | None:
        proof = request.field("dpop")
        if proof is None:
            return None
        try:
            return self._proofs.check(proof, "POST", [f"{self.issuer}/token"])
        except NonceWanted as exc:
            headers = {"DPoP-Nonce": self._proofs.nonce or ""}
            raise OAuthError("use_dpop_nonce", str(exc), headers=headers) from None
        except (InvalidProof, TooManyProofs) as exc:
            raise OAuthError("invalid_dpop_proof", str(exc)) from None

    def _redeem(self, form: Mapping[str, str], client: DevelopmentClient) -> Consent:
        code = form.get("code", "")
        replayed = self._used_codes.get(code)
        if replayed is not None:
            replayed.is_revoked = True  # with all tokens that came of it
        asked = self._codes.pop(code)
        if asked is None or asked.client.client_id != client.client_id or asked.until <= self._clock():
            raise OAuthError("invalid_grant", "The code is not valid")
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        expected = base64.urlsafe_b64encode(digest).rstrip(b"=")
        if not hmac.compare_digest(expected, asked.code_challenge.encode()):
            raise OAuthError("invalid_grant", "The code verifier is another one")
        if form.get("redirect_uri") != asked.redirect_uri:
            raise OAuthError("invalid_grant", "The redirect URI is another one")
        return self._used_codes.put(code, self._consent(asked))

    def _consent(self, asked: Asked) -> Consent:
        return Consent(
            client_id=asked.client.client_id, subject=self._user, resource=asked.resource, scopes=asked.scopes
        )

    async def _begin_device(self, request: HttpRequest) -> HttpReply:
        form = read_form(request.body)
        client = await self.clients.authenticated(request, form, self.issuer)
        asked = Asked(client=client, resource=read_resource(form), scopes=self._granted(form.get("scope")))
        return HttpReply(self._devices.begin(asked, self.issuer), headers=NO_STORE)


async def _serve_tcp(listener: Any, port: int, *, task_status: trio.TaskStatus[tuple[str, int]]) -> None:
    await listener.serve_tcp(port=port, host="127.0.0.1", task_status=task_status)


def _caught(endpoint: Endpoint) -> Endpoint:
    """An endpoint that answers with the error of OAuth that it raises."""

    async def answer(request: HttpRequest) -> HttpReply:
        try:
            return await endpoint(request)
        except OAuthError as exc:
            body = {"error": exc.error, **({"error_description": exc.text} if exc.text else {})}
            headers = {**NO_STORE, **exc.headers}
            if exc.status == 401 and request.field("authorization") is not None:
                headers["WWW-Authenticate"] = "Basic"
            return HttpReply(body, status=exc.status, headers=headers)

    return answer
