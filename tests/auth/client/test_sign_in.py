"""Sign-ins: how a client registers, what it asks for, what it takes from a redirect, and how it gets its tokens."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import attrs
import httpx2
import pytest
import trio

from tests.auth.client.world import World, basic_credentials, opened
from trimcp.auth import AuthorizationFailed, FileStore, MemoryStore, OAuth
from trimcp.auth.client.authorization_code import PendingFlow, open_in_browser
from trimcp.auth.client.callback import Callback
from trimcp.auth.client.known_server import client_key, put, registration_key
from trimcp.auth.client.registration import Registration
from trimcp.auth.client.tokens import Tokens
from trimcp.errors import ExchangeFailed, UsageError
from trimcp.http.client.auth import AuthRequest


def asked(world: World, number: int = -1) -> dict[str, str]:
    """The parameters of an authorization request."""
    pairs = parse_qsl(urlsplit(world.shown[number]).query, keep_blank_values=True)
    assert len(pairs) == len(dict(pairs))
    return dict(pairs)


async def test_a_sign_in_from_the_first_401_to_the_answer(world: World) -> None:
    auth = world.oauth()
    async with world.connected(auth) as connection:
        assert await connection.call() == 200
        assert await connection.call() == 200
        assert connection.statuses == [401, 200, 200]
    given = asked(world)
    assert given.keys() == {
        *("response_type", "client_id", "redirect_uri", "state", "code_challenge", "code_challenge_method"),
        *("scope", "resource"),
    }
    assert (given["resource"], given["scope"]) == (world.url, "basic")
    (token,) = world.to("/token")
    assert token.body.keys() == {"grant_type", "code", "redirect_uri", "code_verifier", "client_id", "resource"}
    assert token.body["resource"] == world.url
    assert "authorization" not in token.headers
    tokens = await auth.tokens_for(world.url)
    assert tokens is not None
    assert tokens.expires_at == world.now + 3600  # a time, not a number of seconds


async def test_state_and_verifier_are_fresh(world: World) -> None:
    auth = world.oauth()
    for _ in range(2):
        assert await world.call(auth) == 200
        world.access.clear()
        world.refresh.clear()
    first, second = asked(world, 0), asked(world, 1)
    assert first["state"] != second["state"]
    assert first["code_challenge"] != second["code_challenge"]
    assert len(first["state"]) >= 43
    assert all(43 <= len(token.body["code_verifier"]) <= 128 for token in world.to("/token") if "code" in token.body)


# --- registration ---------------------------------------------------------------------


async def test_a_client_registers_itself_once(world: World) -> None:
    store = MemoryStore()
    for _ in range(2):
        assert await world.call(world.oauth(store=store, client_name="Notes")) == 200
        world.access.clear()
        world.refresh.clear()
    (registration,) = world.to("/register")
    assert registration.body == {
        "client_name": "Notes",
        "redirect_uris": ["http://127.0.0.1:49217/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": "native",
        "scope": "basic",
    }


async def test_a_metadata_document_goes_where_it_is_taken(world: World) -> None:
    document = "https://client.example/metadata.json"
    assert await world.call(world.oauth(client_metadata_url=document)) == 200
    assert asked(world)["client_id"] == "client-0"
    assert world.metadata is not None
    world.metadata["client_id_metadata_document_supported"] = True
    assert await world.call(world.oauth(client_metadata_url=document)) == 200
    assert asked(world)["client_id"] == document
    assert len(world.clients) == 1


async def test_an_id_of_its_own_comes_first(world: World) -> None:
    assert world.metadata is not None
    world.metadata["client_id_metadata_document_supported"] = True
    auth = world.oauth(client_id="mine", client_metadata_url="https://client.example/metadata.json")
    assert await world.call(auth) == 200
    assert asked(world)["client_id"] == "mine"
    assert not world.clients


async def test_without_registration_the_error_says_what_to_do(world: World) -> None:
    assert world.metadata is not None
    del world.metadata["registration_endpoint"]
    with pytest.raises(ExchangeFailed, match=r"register one there by hand, and pass client_id=…"):
        await world.call(world.oauth())


async def test_a_refused_registration_says_why(world: World) -> None:
    answer = {"error": "invalid_redirect_uri", "error_description": "no\r\nSet-Cookie: loopback"}
    world.answers["https://as.example/register"] = lambda request: httpx2.Response(400, json=answer)
    with pytest.raises(ExchangeFailed, match="invalid_redirect_uri") as raised:
        await world.call(world.oauth())
    assert str(raised.value).isprintable()


async def test_an_id_of_its_own_stays_at_its_issuer(world: World) -> None:
    store = MemoryStore()
    auth = world.oauth(client_id="mine", client_secret="canary", store=store)
    assert await world.call(auth) == 200
    world.issuer = "https://evil.example"
    world.__attrs_post_init__()
    world.access.clear()
    for each in (auth, world.oauth(client_id="mine", client_secret="canary", store=store)):
        with pytest.raises(ExchangeFailed, match=r"is registered at https://as.example"):
            await world.call(each)
    assert not any("evil" in url for url in [*world.shown, *(sent.url for sent in world.to("/token"))])
    with pytest.raises(ExchangeFailed, match=r"not of https://as.example"):
        await world.call(world.oauth(client_id="mine", issuer="https://as.example"))


def evil() -> World:
    """Another MCP server, which names another authorization server."""
    return World(url="https://other.example/mcp", issuer="https://evil.example")


async def test_an_id_of_its_own_stays_there_for_other_servers_and_objects_of_one_store(world: World) -> None:
    store = MemoryStore()
    mine = {"client_id": "mine", "client_secret": "canary", "store": store}
    assert await world.call(world.oauth(**mine)) == 200
    with opened(other := evil()):
        with pytest.raises(ExchangeFailed, match=r"is registered at https://as.example"):
            await other.call(other.oauth(**mine))
        assert not other.shown
        assert await other.call(other.oauth(**mine, issuer=other.issuer)) == 200, "the word of the program counts"
        world.access.clear()
    assert await world.call(world.oauth(**mine)) == 200, "a server's own tokens count before the client's last"


async def test_once_an_id_is_forgotten_its_next_use_decides(world: World) -> None:
    store = MemoryStore()
    auth = world.oauth(client_id="mine", store=store)
    assert await world.call(auth) == 200
    await auth.forget(world.url)
    assert not store._entries
    with opened(other := evil()):
        assert await other.call(other.oauth(client_id="mine", store=store)) == 200


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_a_sign_in_that_ends_before_the_secret_is_sent_pins_nothing(world: World, is_cancelled: bool) -> None:
    async def sign_in(url: str) -> str:
        if not url.startswith("https://evil.example/"):
            return await world.agree(url)
        if is_cancelled:
            scope.cancel()
            await trio.lowlevel.checkpoint()
        raise AuthorizationFailed("the person has closed the page")

    auth = world.oauth(client_id="mine", client_secret="canary", read_callback=sign_in)
    with opened(other := evil()), trio.CancelScope() as scope, suppress(ExchangeFailed):
        await other.call(auth)
    assert scope.cancelled_caught == is_cancelled
    assert other.urls
    with opened(world):
        assert await world.call(auth) == 200


async def test_a_secret_that_was_sent_pins_its_issuer_though_it_was_refused(world: World) -> None:
    auth = world.oauth(client_id="mine", client_secret="canary")
    refusal = httpx2.Response(400, json={"error": "invalid_grant"})
    world.answers["https://as.example/token"] = lambda request: refusal
    with pytest.raises(ExchangeFailed, match="invalid_grant"):
        await world.call(auth)
    with opened(other := evil()):
        with pytest.raises(ExchangeFailed, match=r"is registered at https://as.example"):
            await other.call(auth)
        await auth.forget(other.url)
        assert not other.to("/token")


async def test_a_registration_of_another_issuer_is_not_used(world: World) -> None:
    auth = world.oauth()
    assert await world.call(auth) == 200
    world.issuer = "https://new.example"
    world.__attrs_post_init__()
    world.access.clear()
    assert await world.call(auth) == 200
    assert [each.url for each in world.to("/register")] == [
        "https://as.example/register",
        "https://new.example/register",
    ]


async def test_a_dead_registration_is_made_anew_once(world: World) -> None:
    auth = world.oauth()
    assert await world.call(auth) == 200
    world.clients.clear()
    world.clients["client-other"] = {}
    world.access.clear()
    assert await world.call(auth) == 200
    assert len(world.to("/register")) == 2
    world.answers["https://as.example/token"] = lambda request: httpx2.Response(401, json={"error": "invalid_client"})
    world.access.clear()
    with pytest.raises(ExchangeFailed, match="invalid_client"):
        await world.call(auth)
    assert len(world.to("/register")) <= 4


async def test_forget_forgets_tokens_and_registration(world: World) -> None:
    store = MemoryStore()
    auth = world.oauth(store=store)
    assert await world.call(auth) == 200
    await auth.forget(world.url)
    assert not store._entries
    assert await auth.tokens_for(world.url) is None
    assert await world.call(auth) == 200
    assert len(world.clients) == 2


@pytest.mark.parametrize("signed_in_by", ["device", "browser"])
async def test_forget_leaves_the_client_of_another_flow_as_it_is(world: World, signed_in_by: str) -> None:
    store = MemoryStore()
    issuer = world.issuer
    device = Registration(client_id="of the device flow", is_dynamic=True).to_json()
    for key in (registration_key(issuer, "device"), client_key(issuer, "of the device flow")):
        await put(store, key, device)
    auth = world.oauth(store=store)
    assert await world.call(auth) == 200
    if signed_in_by == "device":
        (known,) = auth._servers.values()
        assert known.last_binding is not None
        await known.keep(
            attrs.evolve(known.last_binding, client_id="of the device flow"), Tokens(access_token="t"), None
        )
    await auth.forget(world.url)
    assert set(store._entries) == {registration_key(issuer, "device"), client_key(issuer, "of the device flow")}


@pytest.mark.parametrize(
    ("offered", "wanted"),
    [
        (None, "none"),
        (["none", "client_secret_basic"], "none"),
        (["client_secret_basic", "client_secret_post"], "client_secret_post"),
        (["client_secret_basic"], "client_secret_basic"),
        (["private_key_jwt"], "none"),
    ],
)
async def test_which_method_a_registration_asks_for(world: World, offered: Any, wanted: str) -> None:
    assert world.metadata is not None
    world.metadata["token_endpoint_auth_methods_supported"] = offered
    world.answers["https://as.example/register"] = lambda request: httpx2.Response(400, json={"error": "enough"})
    with pytest.raises(ExchangeFailed, match="enough"):
        await world.call(world.oauth())
    assert world.to("/register")[0].body["token_endpoint_auth_method"] == wanted


METHODS: list[tuple[dict[str, Any], list[str] | None, str]] = [
    ({}, None, "none"),
    ({"client_secret": "s:/ %"}, None, "basic"),
    ({"client_secret": "s:/ %"}, ["client_secret_post"], "post"),
    ({"client_secret": "s:/ %"}, ["client_secret_post", "client_secret_basic"], "basic"),
    ({"client_secret": "s:/ %"}, ["private_key_jwt"], "basic"),
]


@pytest.mark.parametrize(("options", "offered", "method"), METHODS)
async def test_one_method_at_the_token_endpoint(
    world: World, options: dict[str, Any], offered: list[str] | None, method: str
) -> None:
    assert world.metadata is not None
    world.metadata["token_endpoint_auth_methods_supported"] = offered
    assert await world.call(world.oauth(client_id="m:i ne", **options)) == 200
    (token,) = world.to("/token")
    if method == "basic":
        assert basic_credentials(token.headers["authorization"]) == ("m:i ne", "s:/ %")
        assert not {"client_id", "client_secret"} & token.body.keys()
    else:
        assert "authorization" not in token.headers
        assert token.body["client_id"] == "m:i ne"
        assert token.body.get("client_secret") == options.get("client_secret")


@pytest.mark.parametrize("method", ["none", "client_secret_basic", "client_secret_post"])
async def test_the_method_of_the_registration_is_obeyed(world: World, method: str) -> None:
    answer = {"client_id": "client-0", "client_secret": "canary", "token_endpoint_auth_method": method}
    world.clients["client-0"] = {}
    world.answers["https://as.example/register"] = lambda request: httpx2.Response(201, json=answer)
    assert await world.call(world.oauth()) == 200
    (token,) = world.to("/token")
    assert ("authorization" in token.headers) == (method == "client_secret_basic")
    assert ("client_secret" in token.body) == (method == "client_secret_post")


@pytest.mark.parametrize("answer", [{"token_endpoint_auth_method": "private_key_jwt"}, {"client_id": ""}])
async def test_a_registration_that_cannot_be_used_is_an_error(world: World, answer: dict[str, Any]) -> None:
    answer = {"client_id": "x", **answer}
    world.answers["https://as.example/register"] = lambda request: httpx2.Response(201, json=answer)
    with pytest.raises(ExchangeFailed, match=r"register|refuses"):
        await world.call(world.oauth())


@pytest.mark.parametrize("redirect", ["https://app.example/callback", "http://localhost:5000/callback"])
async def test_a_redirect_that_the_program_receives_itself(world: World, redirect: str) -> None:
    assert await world.call(world.oauth(redirect=redirect)) == 200
    assert asked(world)["redirect_uri"] == redirect
    with pytest.raises(UsageError, match="Invalid redirect"):
        world.oauth(redirect="http://app.example/callback")


@pytest.mark.parametrize(
    "options",
    [
        {"client_secret": "canary"},
        {"client_metadata_url": "http://client.example/x"},
        {"client_metadata_url": "https://client.example/"},
        {"redirect": "http://evil.example/callback"},
        {"redirect": "https://127.0.0.1/callback"},
        {"redirect": "http://127.0.0.1/callback?x=1"},
        {"redirect": "http://[/callback"},
        {"redirect": "http://127.0.0.1:99999/callback"},
    ],
)
def test_arguments_that_are_invalid(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as raised:
        OAuth(**options)
    assert "canary" not in str(raised.value)


# --- scopes and resource --------------------------------------------------------------


@pytest.mark.parametrize(
    ("challenge", "supported", "scopes", "offered", "expected"),
    [
        ("a b", ["c"], None, None, "a b"),
        (None, ["c", "d"], None, None, "c d"),
        (None, None, None, None, None),
        (None, [], None, None, None),
        ("a", ["c"], ["x"], None, "a x"),
        (None, ["c"], ["x"], None, "x"),
        (None, ["c"], [], None, None),
        ("a", None, None, ["a", "offline_access"], "a offline_access"),
        ("a offline_access", None, None, ["a"], "a"),
        (None, None, None, ["offline_access"], None),
        ("a", None, "offline_access", ["a"], "a offline_access"),
    ],
)
async def test_which_scopes_are_asked_for(
    world: World, challenge: str | None, supported: Any, scopes: Any, offered: Any, expected: str | None
) -> None:
    assert world.resource is not None
    assert world.metadata is not None
    world.challenge_scope = challenge
    world.resource["scopes_supported"] = supported
    world.metadata["scopes_supported"] = offered
    assert await world.call(world.oauth(scopes=scopes)) == 200
    assert asked(world).get("scope") == expected
    assert world.to("/register")[0].body.get("scope") == expected


async def test_a_resource_is_sent_byte_for_byte(world: World) -> None:
    world.resource = {**(world.resource or {}), "resource": "https://MCP.example:443/"}
    assert await world.call(world.oauth()) == 200
    assert asked(world)["resource"] == "https://MCP.example:443/"
    assert world.to("/token")[0].body["resource"] == "https://MCP.example:443/"


async def test_a_provider_that_refuses_the_resource(world: World) -> None:
    assert await world.call(world.oauth(send_resource=False)) == 200
    assert "resource" not in asked(world)
    assert "resource" not in world.to("/token")[0].body


async def test_a_scope_that_is_invalid_now_is_not_asked_for_again(world: World) -> None:
    auth = world.oauth()
    async with world.connected(auth) as connection:
        assert await connection.call("write") == 200
        world.access.clear()
        world.refresh.clear()
        world.redirect = {"code": "", "error": "invalid_scope"}
        with pytest.raises(ExchangeFailed, match="invalid_scope"):
            await connection.call()
        assert asked(world)["scope"] == "basic write"  # so that nothing is lost
        world.redirect = {}
        assert await connection.call() == 200
        assert asked(world)["scope"] == "basic"


# --- the redirect ---------------------------------------------------------------------


@pytest.mark.parametrize("sends_issuer", [True, False])
@pytest.mark.parametrize(
    ("given", "is_good"),
    [
        ({}, True),
        ({"iss": ""}, None),
        ({"iss": "https://as.example/"}, False),
        ({"iss": "https://AS.example"}, False),
        ({"iss": "https://as.example:443"}, False),
        ({"iss": "https://evil.example"}, False),
        ({"state": "forged"}, False),
        ({"state": ""}, False),
        ({"code": ""}, False),
    ],
)
async def test_which_redirects_are_taken(
    world: World, sends_issuer: bool, given: dict[str, str], is_good: bool | None
) -> None:
    assert world.metadata is not None
    world.metadata["authorization_response_iss_parameter_supported"] = sends_issuer
    world.redirect = given
    if is_good is True or (is_good is None and not sends_issuer):
        assert await world.call(world.oauth()) == 200
        return
    with pytest.raises(ExchangeFailed):
        await world.call(world.oauth())
    assert not world.to("/token")


async def test_an_error_is_shown_only_if_it_is_of_the_issuer(world: World) -> None:
    world.redirect = {"code": "", "error": "access_denied", "error_description": "<b>Pay\n\x1b[31m here</b>"}
    with pytest.raises(ExchangeFailed, match="access_denied, <b>Pay") as raised:
        await world.call(world.oauth())
    assert str(raised.value).isprintable()
    world.redirect["iss"] = "https://evil.example"
    with pytest.raises(ExchangeFailed, match="another issuer") as raised:
        await world.call(world.oauth())
    assert "access_denied" not in str(raised.value)
    assert "Pay" not in str(raised.value)
    assert not world.to("/token")


async def test_the_code_of_another_flow_is_not_used(world: World) -> None:
    redirects: list[str] = []

    async def mixed_up(url: str) -> str:
        redirects.append(await world.agree(url))
        return redirects[0]

    auth = world.oauth(read_callback=mixed_up)
    assert await world.call(auth) == 200
    world.access.clear()
    world.refresh.clear()
    with pytest.raises(ExchangeFailed, match="another state"):
        await world.call(auth)


@pytest.mark.parametrize(
    "pasted", ["", "canary", "https://[", "http://127.0.0.1/callback", "http://x/?state=1&state=2", "?" + "a=1&" * 60]
)
async def test_what_is_pasted_may_be_anything(world: World, pasted: str) -> None:
    async def read(url: str) -> str:
        return pasted

    with pytest.raises(ExchangeFailed) as raised:
        await world.call(world.oauth(read_callback=read))
    assert "canary" not in str(raised.value)
    assert not world.to("/token")


def test_a_pending_flow_shows_nothing() -> None:
    flow = PendingFlow("https://as.example", sends_issuer=False)
    callback = Callback({"code": "canary", "state": flow.state})
    for shown in (repr(flow), str(flow), repr(callback)):
        assert flow.verifier not in shown
        assert flow.state not in shown
        assert "canary" not in shown
    assert flow.code_of(callback) == "canary"
    with pytest.raises(AuthorizationFailed, match="no code"):
        flow.code_of(Callback({"code": "x" * 9000, "state": flow.state}))


async def test_a_query_of_the_authorization_endpoint_stays(world: World) -> None:
    assert world.metadata is not None
    world.metadata["authorization_endpoint"] = "https://as.example/authorize?tenant=1"
    assert await world.call(world.oauth()) == 200
    assert parse_qs(urlsplit(world.shown[0]).query)["tenant"] == ["1"]


@pytest.mark.parametrize("answer", [False, OSError()])
async def test_a_machine_without_a_browser(answer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def open_(url: str) -> bool:
        if isinstance(answer, Exception):
            raise answer
        return bool(answer)

    monkeypatch.setattr("webbrowser.open", open_)
    with pytest.raises(AuthorizationFailed, match=r"read_callback=….*DeviceFlow"):
        await open_in_browser("https://as.example/")


# --- what is left behind --------------------------------------------------------------


async def test_a_cancelled_sign_in_leaves_nothing_behind(world: World) -> None:
    store = MemoryStore()
    waits = trio.Event()

    async def leave(url: str) -> str:
        waits.set()
        await trio.sleep_forever()
        raise AssertionError

    auth = world.oauth(store=store, read_callback=leave)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.call, auth)
        await waits.wait()
        nursery.cancel_scope.cancel()
    assert await auth.tokens_for(world.url) is None
    assert not store._locks
    server = auth._servers[world.url]
    assert not server.authorizing.locked()
    assert not server.renewing.locked()
    auth = world.oauth(store=store)
    assert await world.call(auth) == 200
    assert len(world.clients) == 1  # the registration is kept


async def test_tokens_are_there_in_the_next_process(world: World, tmp_path: Any) -> None:
    assert await world.call(world.oauth(store=FileStore(tmp_path / "auth"))) == 200
    world.sent.clear()
    async with world.connected(world.oauth(store=FileStore(tmp_path / "auth"))) as connection:
        assert await connection.call() == 200
        assert connection.statuses == [200]
    assert not world.sent


async def test_a_token_goes_to_its_server_alone(world: World) -> None:
    auth = world.oauth()
    assert await world.call(auth) == 200
    for url, server_url in (
        ("https://other.example/mcp", ""),
        ("https://other.example/mcp", world.url),
        ("http://mcp.example/mcp", world.url),
        ("https://mcp.example:8443/messages", world.url),
    ):
        assert await auth.headers(AuthRequest(method="POST", url=url, server_url=server_url)) == {}
    for url in ("https://mcp.example/messages?session=1", "wss://mcp.example/mcp", "https://mcp.example:443/mcp"):
        assert await auth.headers(AuthRequest(method="GET", url=url, server_url=world.url)) != {}
