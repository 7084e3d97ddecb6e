"""Introspection of tokens: rule 5 of the resource server (RFC 7662)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs

import pytest
import trio

from tests.auth.server.minting import ISSUER, RESOURCE, Clock
from tests.session.peer import Logged
from trimcp import auth
from trimcp.errors import UsageError
from trimcp.http.binding import HttpRequest, HttpResponse
from trimcp.http.h1.server import HttpServer


class Endpoint:
    """An introspection endpoint that answers as a test wants."""

    body_limit = 65536

    def __init__(self) -> None:
        self.clock = Clock()
        self.asked: list[HttpRequest] = []
        self.status = 200
        self.fields: list[tuple[bytes, bytes]] = []
        self.claims: Any = self.active()

    def active(self, **changed: Any) -> dict[str, Any]:
        claims = {"active": True, "iss": ISSUER, "aud": RESOURCE, "sub": "ada", "client_id": "editor", "scope": "notes"}
        claims["exp"] = int(self.clock()) + 600
        return {name: value for name, value in {**claims, **changed}.items() if value is not None}

    def refuse(self, request: HttpRequest) -> None:
        return None

    async def handle(self, request: HttpRequest, response: HttpResponse) -> None:
        from trimcp.codec.jsontext import dumps

        self.asked.append(request)
        body = self.claims if isinstance(self.claims, bytes) else dumps(self.claims)
        response.respond(self.status, [(b"content-type", b"application/json"), *self.fields], body)

    @asynccontextmanager
    async def verifier(self, **options: Any) -> AsyncIterator[auth.IntrospectionVerifier]:
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                server = HttpServer(self, nursery)

                async def serve(task_status: trio.TaskStatus[Any]) -> None:
                    await server.serve_tcp(port=0, task_status=task_status)

                host, port = await nursery.start(serve)
                given = {"client_id": "rs:%", "client_secret": "s3 cret", "issuer": ISSUER, "audience": RESOURCE}
                yield auth.IntrospectionVerifier(
                    f"http://{host}:{port}/introspect", **{**given, "clock": self.clock, **options}
                )
                nursery.cancel_scope.cancel()


async def test_an_active_token_has_a_principal() -> None:
    endpoint = Endpoint()
    async with endpoint.verifier() as verifier:
        principal = await verifier.verify("secret-token")
    assert principal is not None
    assert (principal.issuer, principal.subject, principal.client) == (ISSUER, "ada", "editor")
    assert principal.scopes == {"notes"}
    (request,) = endpoint.asked
    assert request.method == "POST"
    assert request.query == b""
    assert parse_qs(request.body.decode()) == {"token": ["secret-token"], "token_type_hint": ["access_token"]}
    assert request.field("authorization") == "Basic cnMlM0ElMjU6czMlMjBjcmV0"  # both form-encoded


async def test_the_secret_goes_into_the_body_where_that_is_configured() -> None:
    endpoint = Endpoint()
    async with endpoint.verifier(authentication="client_secret_post") as verifier:
        await verifier.verify("t")
    (request,) = endpoint.asked
    assert request.field("authorization") is None
    form = parse_qs(request.body.decode())
    assert (form["client_id"], form["client_secret"]) == (["rs:%"], ["s3 cret"])


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": None},
        {"iss": ISSUER + "/"},
        {"aud": None},
        {"aud": "https://other.example"},
        {"exp": 1},
        {"exp": "soon"},
        {"nbf": 10**10},
        {"sub": None, "client_id": None},
    ],
)
async def test_issuer_audience_and_times_count(changed: dict[str, Any]) -> None:
    endpoint = Endpoint()
    endpoint.claims = endpoint.active(**changed)
    async with endpoint.verifier() as verifier:
        with pytest.raises(auth.InvalidToken):
            await verifier.verify("t")


async def test_an_inactive_token_is_not_valid() -> None:
    endpoint = Endpoint()
    endpoint.claims = {**endpoint.active(), "active": False}
    async with endpoint.verifier() as verifier:
        assert await verifier.verify("t") is None


async def test_a_response_is_kept_for_a_minute() -> None:
    endpoint = Endpoint()
    async with endpoint.verifier() as verifier:
        for _ in range(3):
            assert await verifier.verify("t")
        assert len(endpoint.asked) == 1
        endpoint.claims = {"active": False}
        endpoint.clock.now += 59
        assert await verifier.verify("t")
        endpoint.clock.now += 2
        assert await verifier.verify("t") is None
        assert len(endpoint.asked) == 2
        assert await verifier.verify("other") is None
        assert len(endpoint.asked) == 3


async def test_and_never_beyond_its_expiry() -> None:
    endpoint = Endpoint()
    endpoint.claims = endpoint.active(exp=int(endpoint.clock()) + 10)
    async with endpoint.verifier() as verifier:
        assert await verifier.verify("t")
        endpoint.clock.now += 11
        endpoint.claims = {"active": False}
        assert await verifier.verify("t") is None


async def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trimcp.auth.server.introspection.KEPT", 3)
    endpoint = Endpoint()
    async with endpoint.verifier() as verifier:
        for number in range(5):
            await verifier.verify(f"t{number}")
        await verifier.verify("t4")
        assert len(endpoint.asked) == 5
        await verifier.verify("t0")
        assert len(endpoint.asked) == 6


async def test_parallel_requests_with_one_token_ask_few_times() -> None:
    endpoint = Endpoint()
    async with endpoint.verifier() as verifier, trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(verifier.verify, "t")
    assert len(endpoint.asked) <= 16


OUTAGES: dict[str, dict[str, Any]] = {
    "5xx": {"status": 503},
    "wrong credentials": {"status": 401},
    "a redirect": {"status": 302, "fields": [(b"location", b"http://127.0.0.1:1/steal")]},
    "no JSON": {"claims": b"<html>"},
    "another JSON": {"claims": [1]},
    "active that is no bool": {"claims": {"active": "true"}},
    "a long body": {"claims": b'{"active": true, "x": "' + b"x" * 70000 + b'"}'},
}


# httpx2 leaves a generator of its own unfinished where a body is not read to its end.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("what", OUTAGES)
async def test_an_outage_is_no_verdict_on_the_token(what: str, logged: Logged) -> None:
    endpoint = Endpoint()
    for name, value in OUTAGES[what].items():
        setattr(endpoint, name, value)
    async with endpoint.verifier() as verifier:
        with pytest.raises(auth.AuthorizationServerUnavailable) as caught:
            await verifier.verify("canary-token")
        assert len(endpoint.asked) == 1  # a redirect is never followed
        endpoint.status, endpoint.claims, endpoint.fields = 200, endpoint.active(), []
        assert await verifier.verify("canary-token")  # and an outage is not kept
    assert "canary" not in str(caught.value) + str(logged)
    assert "s3 cret" not in str(caught.value) + str(logged) + repr(verifier)


async def test_a_server_that_is_not_there_is_an_outage() -> None:
    verifier = auth.IntrospectionVerifier(
        "http://127.0.0.1:1/introspect", client_id="rs", client_secret="s", issuer=ISSUER, audience=RESOURCE
    )
    with pytest.raises(auth.AuthorizationServerUnavailable):
        await verifier.verify("t")


async def test_a_token_that_is_too_long_is_not_sent() -> None:
    endpoint = Endpoint()
    async with endpoint.verifier() as verifier:
        assert await verifier.verify("x" * 20000) is None
    assert endpoint.asked == []


@pytest.mark.parametrize("endpoint", ["http://login.example/introspect", "ftp://x", "https://a:b@login.example/"])
def test_an_endpoint_that_cannot_be_is_refused(endpoint: str) -> None:
    with pytest.raises(UsageError):
        auth.IntrospectionVerifier(endpoint, client_id="a", client_secret="b", issuer=ISSUER, audience=RESOURCE)
