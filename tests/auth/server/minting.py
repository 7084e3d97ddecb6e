"""An authorization server's keys without the server, and a guard that trusts them."""

from __future__ import annotations

import base64
import hmac
import json
import time
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

import trimcp
from trimcp import auth
from trimcp.auth.client.dpop import DpopKey

ISSUER = "https://login.example"
RESOURCE = "http://localhost:8000/mcp"
METADATA = "http://localhost:8000/.well-known/oauth-protected-resource/mcp"


class Clock:
    """A clock that is set by hand. It begins at the real time."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


class Mint:
    """Signs what a test asks for."""

    def __init__(self, kid: str | None = "one", kind: str = "EC") -> None:
        options = {} if kid is None else {"kid": kid}
        self.key: Any = ECKey.generate_key("P-256", options) if kind == "EC" else RSAKey.generate_key(2048, options)
        self.algorithm = "ES256" if kind == "EC" else "RS256"
        self.clock = Clock()

    @property
    def jwks(self) -> dict[str, Any]:
        return {"keys": [self.key.as_dict(private=False)]}

    def claims(self, scope: str | None = "notes", **changed: Any) -> dict[str, Any]:
        now = int(self.clock())
        claims = {"iss": ISSUER, "sub": "ada", "aud": RESOURCE, "client_id": "editor", "iat": now, "exp": now + 600}
        claims |= {} if scope is None else {"scope": scope}
        return {name: value for name, value in {**claims, **changed}.items() if value is not None}

    def token(self, scope: str | None = "notes", header: dict[str, Any] | None = None, **changed: Any) -> str:
        """A token that is valid but for what is changed; None takes a claim away."""
        head = {"alg": self.algorithm, "typ": "at+jwt", **({"kid": self.key.kid} if self.key.kid else {})}
        head = {name: value for name, value in {**head, **(header or {})}.items() if value is not None}
        return jwt.encode(head, self.claims(scope, **changed), self.key, algorithms=[self.algorithm])

    def bearer(self, scope: str | None = "notes", **changed: Any) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token(scope, **changed)}"}

    def bound(self, key: DpopKey, scope: str = "notes", method: str = "POST", url: str = RESOURCE) -> dict[str, str]:
        """The header fields of a request with a token that is bound to a key."""
        token = self.token(scope, cnf={"jkt": key.thumbprint})
        return {"authorization": f"DPoP {token}", "dpop": key.proof(method, url, token)}

    def verifier(self, **options: Any) -> auth.JwtVerifier:
        given = {"issuer": ISSUER, "audience": RESOURCE, "jwks": self.jwks, "clock": self.clock, **options}
        return auth.JwtVerifier(**given)

    def guard(self, **options: Any) -> auth.ResourceServer:
        given = {
            "resource": RESOURCE,
            "authorization_servers": [ISSUER],
            "verifier": self.verifier(),
            "required_scopes": ["notes"],
            "clock": self.clock,
        }
        return auth.ResourceServer(**{**given, **options})


def encoded(value: Any) -> str:
    """A part of a JWT."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def symmetric(secret: bytes, claims: dict[str, Any], kid: str | None) -> str:
    """A token that is signed with what everybody knows."""
    header = {"alg": "HS256", "typ": "at+jwt", **({} if kid is None else {"kid": kid})}
    signed = f"{encoded(header)}.{encoded(claims)}"
    return f"{signed}.{encoded(hmac.digest(secret, signed.encode(), 'sha256'))}"


def notes(**options: Any) -> trimcp.Server:
    """A server with features for different scopes."""
    server = trimcp.Server("notes", limits=trimcp.Limits(grace=0.01, keep_alive=5), **options)

    @server.tool
    async def whoami(ctx: trimcp.Context) -> str:
        principal = ctx.principal
        if principal is None:
            return "anonymous"
        return f"{principal.issuer} {principal.subject} {principal.client} {' '.join(sorted(principal.scopes))}"

    @server.tool(scopes=["notes:write"])
    async def write() -> str:
        return "written"

    @server.tool(scopes=["notes:write", "notes:admin"])
    async def erase() -> str:
        return "erased"

    @server.resource("note://{name}", scopes=["notes:read"])
    async def note(name: str) -> str:
        return name

    @server.resource("motd://today", cache_scope="public", ttl_ms=1000)
    async def motd() -> str:
        return "hello"

    server.add_resource("plan://secret", "attack at dawn", scopes=["notes:admin"], cache_scope="public")

    @server.prompt(scopes=["notes:write"])
    async def rewrite(style: str) -> str:
        return style

    @server.completion("rewrite", "style")
    async def styles(value: str) -> list[str]:
        return ["brief"]

    return server
