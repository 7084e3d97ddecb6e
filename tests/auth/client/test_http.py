"""The HTTP of a client to authorization servers: where it may go, how much it reads, and what it never sends."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio

from tests.auth.client.world import PUBLIC, Names, World
from tests.certificates import certificate
from trimcp.auth import AuthorizationFailed, AuthorizationServerUnavailable
from trimcp.auth.client import http as client_http
from trimcp.auth.client.http import RESOURCE_METADATA, AuthorizationHttp, Response, open_authorization_http
from trimcp.auth.client.urls import address_kind, check_url, http_url, origin_of
from trimcp.errors import ExchangeFailed

URL = "https://as.example/metadata"


async def get(url: str = URL, **options: Any) -> Response:
    async with open_authorization_http(**options) as http:
        return await http.get_metadata(url, "metadata")


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        (PUBLIC, "public"),
        ("2606:4700::1111", "public"),
        ("10.0.0.1", "private"),
        ("172.16.0.1", "private"),
        ("192.168.1.1", "private"),
        ("169.254.169.254", "private"),
        ("100.64.0.1", "private"),
        ("224.0.0.1", "private"),
        ("fe80::1%eth0", "private"),
        ("fd00::1", "private"),
        ("127.8.9.1", "loopback"),
        ("0.0.0.0", "loopback"),
        ("::", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:10.0.0.1", "private"),
        ("64:ff9b::10.0.0.1", "private"),
        ("2002:a00:1::", "private"),
        ("2002:7f00:1::", "loopback"),
        ("::10.0.0.1", "private"),
        ("::ffff:0:127.0.0.1", "private"),
        ("64:ff9b:1::7f00:1", "private"),
        ("fec0::1", "private"),
        ("4000::1", "private"),
    ],
)
def test_kinds_of_addresses(address: str, kind: str) -> None:
    assert address_kind(address) == kind


def test_urls_of_servers() -> None:
    assert origin_of("HTTPS://X.Example:443/a") == "https://x.example"
    assert origin_of("http://[::1]:8000/") == "http://[::1]:8000"
    assert http_url("wss://user:pass@X.example/mcp?key=1#x") == "https://x.example/mcp"
    assert http_url("ws://127.0.0.1:80") == "http://127.0.0.1"
    for url in ("https://a.example/x?y=1", "http://localhost:1/", "http://[::1]/", "http://127.0.0.1:1/"):
        assert check_url(url, "x") == url


@pytest.mark.parametrize(
    "url",
    [
        "https://@as.example/",
        "https://:@as.example/",
        "https://as.example/#",
        "https://127.1:x/",
        "http://127.1/",
        "http://0/",
        "http://[::ffff:127.0.0.1]/",
        f"https://as.example/{'a' * 2048}",
        f"https://{'a' * 60000}/",
    ],
)
def test_urls_that_are_not_requested(url: str) -> None:
    with pytest.raises(AuthorizationFailed, match="Invalid URL of the x") as raised:
        check_url(url, "x")
    assert len(str(raised.value)) < 1000


async def test_a_request_goes_to_the_address_that_was_checked(world: World) -> None:
    world.answers[URL] = lambda request: httpx2.Response(200, json={"a": 1})
    assert (await get()).json_object() == {"a": 1}
    (sent,) = world.sent
    assert (sent.address, sent.headers["host"]) == (PUBLIC, "as.example")


@pytest.mark.parametrize("address", ["10.0.0.1", "127.0.0.1", "169.254.169.254", f"{PUBLIC} 192.168.0.1", "::1"])
async def test_private_addresses_are_not_requested(world: World, address: str) -> None:
    world.addresses["as.example"] = address
    with pytest.raises(AuthorizationFailed, match="allow_private=True"):
        await get()
    assert not world.sent
    world.answers[URL] = lambda request: httpx2.Response(200, json={})
    assert (await get(allow_private=True)).status == 200


@pytest.mark.parametrize("url", ["https://10.0.0.1/", "http://127.0.0.1:9/", "http://localhost:9/", "https://[::1]/"])
async def test_nor_where_the_url_has_the_address(world: World, url: str) -> None:
    world.addresses["localhost"] = "127.0.0.1"
    for name in ("10.0.0.1", "127.0.0.1", "::1"):
        world.addresses[name] = name
    with pytest.raises(AuthorizationFailed, match="allow_private=True"):
        await get(url)
    assert not world.sent


OWN = f"https://mcp.example{RESOURCE_METADATA}"


async def reach(world: World, server: str) -> int | str:
    """The status of a private host that the documents of a server lead to; else the error, and nothing is sent."""
    world.addresses["as.example"] = "10.0.0.1"
    world.answers[URL] = lambda request: httpx2.Response(200, json={})
    try:
        return (await get(server_url=server)).status
    except (AuthorizationFailed, AuthorizationServerUnavailable) as exc:
        assert not world.to(URL)
        return str(exc)


async def test_a_private_server_leads_to_private_hosts_once_its_certificate_has_shown_where_it_is(world: World) -> None:
    world.addresses["mcp.example"] = "10.0.0.7"
    assert await reach(world, "https://mcp.example/mcp") == 200
    assert [(each.url, each.address) for each in world.sent] == [(OWN, "10.0.0.7"), (URL, "10.0.0.1")]
    async with open_authorization_http(server_url="https://mcp.example/mcp") as http:
        for url in (OWN, URL):
            await http.get_metadata(url, "metadata")
    assert [each.url for each in world.sent[2:]] == [OWN, URL], "what was read from it is the proof"


async def test_nothing_is_asked_of_the_server_where_its_address_is_written_or_no_host_is_private(world: World) -> None:
    for name in ("10.0.0.7", "fd00::7"):
        world.addresses[name] = name
    assert await reach(world, "https://10.0.0.7/mcp") == await reach(world, "http://[fd00::7]:1/") == 200
    assert await reach(world, "http://localhost:1/") == 200
    del world.addresses["as.example"]
    assert (await get(server_url="https://mcp.example/mcp")).status == 200
    assert {each.url.partition("/metadata")[0] for each in world.sent} == {"https://as.example"}


@pytest.mark.parametrize("addresses", ["10.0.0.7", f"10.0.0.7 {PUBLIC}"])
async def test_a_name_that_resolves_to_the_address_of_another_host_leads_to_no_private_host(
    world: World, addresses: str
) -> None:
    world.addresses["mcp.example"] = addresses

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.host == "10.0.0.7":
            raise httpx2.ConnectError("certificate verify failed")
        return httpx2.Response(404)

    world.answers[OWN] = answer
    said = await reach(world, "https://mcp.example/mcp")
    expected = "https://mcp.example cannot be reached" if addresses == "10.0.0.7" else "allow_private=True"
    assert expected in str(said)


async def test_nor_does_a_public_server_one_without_certificate_or_a_name_for_loopback(world: World) -> None:
    world.addresses |= {"inside.example": "10.0.0.7", "self.example": "127.0.0.1"}
    for server in ("https://mcp.example/mcp", "http://inside.example/mcp", "https://self.example/mcp"):
        assert "allow_private=True" in str(await reach(world, server))
    world.addresses["as.example"] = "127.0.0.1"
    with pytest.raises(AuthorizationFailed, match="allow_private=True"):
        await get(server_url="https://inside.example/mcp")
    assert not world.to(URL)


async def test_a_private_server_signs_in_at_a_private_authorization_server(world: World) -> None:
    world.addresses |= {"mcp.example": "10.0.0.7", "as.example": "10.0.0.1"}
    assert await world.call(world.oauth()) == 200
    assert {each.address for each in world.sent} == {"10.0.0.7", "10.0.0.1"}
    del world.addresses["mcp.example"]
    with pytest.raises(ExchangeFailed, match="allow_private=True"):
        await world.call(world.oauth())
    assert await world.call(world.oauth(allow_private=True)) == 200
    world.addresses["mcp.example"] = "10.0.0.7"
    with pytest.raises(ExchangeFailed, match="allow_private=True"):
        await world.call(world.oauth(allow_private=False))


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "registration_endpoint"])
async def test_no_endpoint_of_a_public_server_is_at_a_private_address(world: World, name: str) -> None:
    assert world.metadata is not None
    world.addresses["inside.example"] = "10.0.0.1"
    world.metadata[name] = "https://inside.example/x"
    with pytest.raises(ExchangeFailed, match="allow_private=True"):
        await world.call(world.oauth())
    assert all("inside" not in url for url in [*world.urls, *world.shown][: None if name != "token_endpoint" else -1])
    assert await world.call(world.oauth(allow_private=True)) in (200, 401) if name == "authorization_endpoint" else True


async def test_a_body_over_64_kib_is_refused(world: World) -> None:
    world.answers[URL] = lambda request: httpx2.Response(200, content=b'"' + b"a" * 65536 + b'"')
    with pytest.raises(AuthorizationFailed, match="more than 64 KiB"):
        await get()
    world.answers[URL] = lambda request: httpx2.Response(200, content=b" " * 65534 + b"{}")
    assert (await get()).json_object() == {}


async def test_a_body_that_would_grow_is_refused(world: World) -> None:
    world.answers[URL] = lambda request: httpx2.Response(200, content=b"x", headers={"content-encoding": "br"})
    with pytest.raises(AuthorizationFailed, match="encoding"):
        await get()
    assert world.sent[0].headers["accept-encoding"] == "identity"


def to(location: str, status: int = 302) -> Any:
    return lambda request: httpx2.Response(status, headers={"location": location})


async def test_redirects_of_metadata_stay_within_the_origin(world: World) -> None:
    world.answers[URL] = to("/other")
    world.answers["https://as.example/other"] = lambda request: httpx2.Response(200, json={"a": 1})
    assert (await get()).json_object() == {"a": 1}
    for elsewhere in (
        "https://evil.example/",
        "http://as.example/other",
        "https://as.example:444/",
        "//evil.example/",
        "https://as.example@evil.example/",
        "https://[",
        "https://as.example:x/",
        "file:///etc/passwd",
    ):
        world.answers[URL] = to(elsewhere)
        with pytest.raises(AuthorizationFailed):
            await get()
    assert not any("evil" in url for url in world.urls)


async def test_redirects_end(world: World) -> None:
    world.answers[URL] = to("/metadata")
    with pytest.raises(AuthorizationFailed, match="more than 3 times"):
        await get()


@pytest.mark.parametrize("path", ["/token", "/register"])
@pytest.mark.parametrize("status", [302, 307, 308])
async def test_redirects_of_other_endpoints_are_not_followed(world: World, path: str, status: int) -> None:
    world.answers[world.issuer + path] = to(f"{world.issuer}/other", status)
    with pytest.raises(ExchangeFailed, match=f"HTTP {status}"):
        await world.call(world.oauth())
    assert not world.to("/other")


async def test_a_server_that_does_not_answer_is_unavailable(world: World, autojump_clock: object) -> None:
    def broken(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ReadError(f"canary {request.url}")

    world.answers[URL] = broken
    with pytest.raises(AuthorizationServerUnavailable, match="ReadError") as raised:
        await get()
    assert "canary" not in str(raised.value)
    assert raised.value.__suppress_context__

    async def send(*_: Any) -> Response:
        await trio.sleep_forever()
        raise AssertionError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AuthorizationHttp, "_send", send)
        with pytest.raises(AuthorizationServerUnavailable, match="in 30 s"):
            await get()


async def test_the_next_address_is_tried_where_one_does_not_connect(world: World) -> None:
    world.addresses["as.example"] = f"2606:4700::1111 {PUBLIC}"

    def answer(request: httpx2.Request) -> httpx2.Response:
        if ":" in request.url.host:
            raise httpx2.ConnectError("no route")
        return httpx2.Response(200, json={})

    world.answers[URL] = answer
    world.answers["https://as.example/metadata"] = answer
    assert (await get()).status == 200
    assert [each.address for each in world.sent] == ["2606:4700::1111", PUBLIC]


async def test_no_proxy_opens_a_private_address(world: World) -> None:
    old_forms = {"127.1": "127.0.0.1", "0x7f.1": "127.0.0.1", "2130706433": "127.0.0.1", "10.1": "10.0.0.1"}
    world.addresses |= {"10.0.0.1": "10.0.0.1", **old_forms}
    # A context, since the fixture `monkeypatch` is undone after `world`, and would put the replacement of `world` back.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("urllib.request.getproxies", lambda: {"https": "http://proxy.example:3128"})
        patch.setattr("urllib.request.proxy_bypass", lambda host: host == "direct.example")
        async with open_authorization_http() as http:
            for name in ("10.0.0.1", *old_forms):
                with pytest.raises(AuthorizationFailed, match="allow_private"):
                    await http.get_metadata(f"https://{name}/", "metadata")
            (target,) = await http._targets(URL, "metadata")
            assert (target.url, target.proxy) == (URL, "http://proxy.example:3128")
            (target,) = await http._targets("https://direct.example/x", "metadata")
            assert (target.url, target.proxy) == (f"https://{PUBLIC}/x", None)


@pytest.mark.parametrize("proxy", ["nonsense://user:canary@x:1", "canary"])
async def test_a_proxy_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setattr("urllib.request.getproxies", lambda: {"all": proxy})
    monkeypatch.setattr("urllib.request.proxy_bypass", lambda host: False)
    with pytest.raises(AuthorizationFailed, match="proxy of the environment") as raised:
        await get()
    assert "canary" not in str(raised.value)


async def test_a_pinned_address_goes_with_host_and_tls_of_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By real TLS: the address of the URL is 127.0.0.1, the certificate has to be that of the name."""
    cert_file, key_file = certificate(tmp_path, "as.example")
    monkeypatch.setenv("SSL_CERT_FILE", str(cert_file))
    monkeypatch.setattr(client_http, "address_kind", lambda address: "public")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert_file, key_file)
    names: list[str | None] = []
    context.sni_callback = lambda socket, name, _: names.append(name)
    heads: list[bytes] = []

    async def serve(stream: trio.SSLStream[trio.SocketStream]) -> None:
        try:
            while head := await stream.receive_some(65536):
                heads.append(head)
                body = b'{"a": 1}'
                fields = b"Set-Cookie: a=b\r\nContent-Length: %d" % len(body)
                await stream.send_all(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n%b" % (fields, body))
        except trio.BrokenResourceError:
            pass  # the client has refused the certificate, or is done

    world = World(addresses={"as.example": "127.0.0.1", "other.example": "127.0.0.1"})
    trio.socket.set_custom_hostname_resolver(Names(world))
    try:
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                (listener,) = await trio.open_ssl_over_tcp_listeners(0, context, host="127.0.0.1")
                nursery.start_soon(trio.serve_listeners, serve, [listener])
                port = listener.transport_listener.socket.getsockname()[1]
                async with open_authorization_http() as http:
                    for _ in range(2):
                        response = await http.get_metadata(f"https://as.example:{port}/m?x=1", "metadata")
                        assert response.json_object() == {"a": 1}
                    with pytest.raises(AuthorizationServerUnavailable, match="ConnectError"):
                        await http.get_metadata(f"https://other.example:{port}/", "metadata")
                nursery.cancel_scope.cancel()
    finally:
        trio.socket.set_custom_hostname_resolver(None)
    assert names == ["as.example", "as.example", "other.example"]
    assert heads[0].startswith(b"GET /m?x=1 HTTP/1.1\r\n")
    assert f"host: as.example:{port}".encode() in heads[0].lower()
    assert b"cookie" not in b"".join(heads).lower()
