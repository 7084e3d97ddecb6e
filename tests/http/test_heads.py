"""What is judged before any message is: hosts and origins, paths, methods, media types, bodies."""

from __future__ import annotations

import gzip

import pytest

from tests.http.clients import MODERN, Legacy, Modern, initialize, open_session, request
from tests.http.raw import serving
from tests.http.workshop import Workshop, by_name
from trimcp.http.server.security import Cors

PAGE = "https://app.example.com"
PING = request(1, "ping")


@pytest.mark.parametrize("fields", [{"host": "evil.example"}, {"origin": "https://evil.example"}, {"origin": "null"}])
async def test_requests_that_come_from_elsewhere_are_403(door: str, fields: dict[str, str]) -> None:
    async with open_session(door, sse=True) as (_, client):
        for answer in (
            await client.http.ask("POST", body=PING, fields=fields),
            await initialize(client.http, fields=fields),
            await (await Modern(client.http).call("add", {"a": 1, "b": 1}, fields=fields)).begun(),
            await client.get(fields=fields),
            await (await client.http.send("DELETE", fields=client.fields(fields))).begun(),
            await client.http.ask("GET", "/sse", fields=fields),
            await client.http.ask("OPTIONS", fields={**fields, "access-control-request-method": "POST"}),
        ):
            assert answer.status == 403
            assert "access-control-allow-origin" not in answer.fields
        assert client.http.sessions == 1
        assert await (await client.call("add", {"a": 1, "b": 1})).text() == "2"


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:99", "[::1]:8000"])
async def test_the_names_of_the_loopback_are_served(door: str, host: str) -> None:
    async with serving(door, Workshop().server) as http:
        fields = {"host": host, "origin": "http://localhost:3000"}
        assert await (await Modern(http).call("add", {"a": 1, "b": 1}, fields=fields)).text() == "2"


async def test_hosts_and_origins_that_the_user_named_are_served(door: str) -> None:
    async with serving(door, Workshop().server, hosts=["mcp.example.com"], origins=[PAGE]) as http:
        fields = {"host": "mcp.example.com", "origin": PAGE}
        answer = await Modern(http).call("add", {"a": 1, "b": 1}, fields=fields)
        assert await answer.text() == "2"
        assert "access-control-allow-origin" not in answer.fields


async def test_each_head_of_a_connection_is_judged_by_itself(door: str) -> None:
    async with open_session(door, cors=Cors(origins=[PAGE])) as (_, client):
        wire = client.http.connect()
        for origin, path, status in (
            (PAGE, "/mcp", 200),
            (PAGE, "/mcp", 200),
            ("https://evil.example", "/mcp", 403),
            (None, "/mcp", 200),
            (PAGE, "/mcp", 200),
            (PAGE, "/mcq", 404),
        ):
            fields = client.fields({"origin": origin})
            answer = await (await client.http.send("POST", path, body=PING, fields=fields, on=wire)).ended()
            assert answer.status == status
            assert ("access-control-allow-origin" in answer.fields) is (origin == PAGE and status == 200)


async def test_pages_read_answers_where_cors_lets_them(door: str) -> None:
    async with serving(door, Workshop().server, cors=Cors(origins=[PAGE])) as http:
        answer = await http.ask(
            "OPTIONS",
            fields={
                "origin": PAGE,
                "access-control-request-method": "POST",
                "access-control-request-headers": "content-type, mcp-method, mcp-param-region",
            },
        )
        assert answer.status == 204
        assert answer.fields["access-control-allow-origin"] == PAGE
        assert "POST" in answer.fields["access-control-allow-methods"]
        for name in ("mcp-session-id", "mcp-protocol-version", "last-event-id", "mcp-param-region"):
            assert name in answer.fields["access-control-allow-headers"]
        opened = await initialize(http, fields={"origin": PAGE})
        await opened.json()
        client = Legacy(http, "2025-11-25", opened.fields["mcp-session-id"])
        stream = await client.get(fields={"origin": PAGE})
        posted = await client.call("add", {"a": 1, "b": 1}, fields={"origin": PAGE})
        assert await posted.text() == "2"
        unknown = await Modern(http).ask("tools/juggle", fields={"origin": PAGE})
        for each in (opened, stream, posted, await unknown.begun()):
            assert each.fields["access-control-allow-origin"] == PAGE
            assert "mcp-session-id" in each.fields["access-control-expose-headers"]
        plain = await (await Modern(http).call("add", {"a": 1, "b": 1})).begun()
        assert "access-control-allow-origin" not in plain.fields
        assert plain.fields["vary"] == "Origin"


async def test_a_stream_with_cors_is_cancelled_and_resumed_like_any(door: str) -> None:
    shop = Workshop()
    async with serving(door, shop.server, cors=Cors(origins=["*"])) as http:
        answer = await Modern(http).call("hold", {"name": "it"}, fields={"origin": PAGE})
        await shop.begun("it")
        await answer.drop()
        assert await shop.is_over("it") == "connection_lost"
        client = await Legacy.open(http)
        polled = await client.call("leave", {"name": "other"}, fields={"origin": PAGE})
        assert await polled.messages() == []
        again = await client.get(polled.last_id, fields={"origin": PAGE})
        shop.open("other")
        assert await again.text() == "released: True"


async def test_without_cors_a_preflight_is_refused(door: str) -> None:
    async with serving(door, Workshop().server, origins=[PAGE]) as http:
        answer = await http.ask("OPTIONS", fields={"origin": PAGE, "access-control-request-method": "POST"})
        assert answer.status == 405
        assert not any(name.startswith("access-control") for name in answer.fields)


# --- paths and methods ----------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/mcp/x", "/MCP", "/mcp//", "/health/live", "/../mcp"])
async def test_other_paths_are_404(door: str, path: str) -> None:
    async with serving(door, Workshop().server) as http:
        answer = await http.ask("POST", path, body=PING)
        assert answer.status == 404


async def test_the_path_is_the_users(door: str) -> None:
    async with serving(door, Workshop().server, path="/tools/v1/") as http:
        for path in ("/tools/v1", "/tools/v1/", "/tools/v1?x=y"):
            client = Modern(http)
            message = client.request(1, "tools/list")
            assert (await http.ask("POST", path, body=message, fields=client.fields(message))).status == 200
        assert (await http.ask("POST", "/mcp", body=PING)).status == 404


@pytest.mark.parametrize("method", ["PUT", "PATCH", "HEAD", "OPTIONS"])
async def test_other_methods_are_405_and_told_which_there_are(door: str, method: str) -> None:
    async with serving(door, Workshop().server) as http:
        answer = await http.ask(method)
        assert answer.status == 405
        assert answer.fields["allow"] == "POST, GET, DELETE"


async def test_a_server_of_the_modern_era_alone(door: str) -> None:
    async with serving(door, Workshop(revisions=[MODERN]).server) as http:
        assert await (await Modern(http).call("add", {"a": 1, "b": 1})).text() == "2"
        for method in ("GET", "DELETE"):
            answer = await http.ask(method, fields={"Mcp-Session-Id": "x"})
            assert (answer.status, answer.fields["allow"]) == (405, "POST")
        refused = await initialize(http)
        body = await refused.json()
        assert refused.status == 400
        assert body["error"]["code"] == -32020
        assert body["error"]["data"]["supported"] == [MODERN]
        assert "mcp-session-id" not in refused.fields
        assert (await http.ask("POST", body=[PING])).status == 400
        assert http.sessions == 0


async def test_a_server_of_the_legacy_era_alone(door: str) -> None:
    async with serving(door, Workshop(revisions=["2025-06-18", "2025-11-25"]).server) as http:
        client = await Legacy.open(http)
        answer = await (await Modern(client.http).call("add", {"a": 1, "b": 1})).begun()
        error = await answer.error()
        assert answer.status == 400
        assert error["data"]["supported"] == ["2025-06-18", "2025-11-25"]
        assert await (await client.call("add", {"a": 1, "b": 1})).text() == "2"
        assert (await client.http.ask("GET", fields={"MCP-Protocol-Version": MODERN})).status == 400


# --- health ---------------------------------------------------------------------------


async def test_a_server_that_runs_is_alive_and_ready(door: str) -> None:
    async with serving(door, Workshop().server, health=True, authenticate=by_name) as http:
        for path in ("/health/live", "/health/ready"):
            answer = await http.ask("GET", path)
            assert answer.status == 200
            assert await answer.json() == {"status": "ok"}
            assert answer.fields["cache-control"] == "no-store"


# --- media types and bodies -----------------------------------------------------------


@pytest.mark.parametrize("accept", ["text/html", "application/xml, image/*", "application/json;q=0"])
async def test_a_client_that_takes_neither_form_is_406(door: str, accept: str) -> None:
    async with serving(door, Workshop().server) as http:
        answer = await (await Modern(http).call("add", {"a": 1, "b": 1}, fields={"accept": accept})).begun()
        assert answer.status == 406
        assert (await initialize(http, fields={"accept": accept})).status == 406
        assert http.sessions == 0


@pytest.mark.parametrize("accept", [None, "*/*", "application/*", "application/json, text/event-stream;q=0.1"])
async def test_a_client_that_does_not_care_gets_json_where_it_can(door: str, accept: str | None) -> None:
    async with serving(door, Workshop().server) as http:
        answer = await Modern(http).call("add", {"a": 1, "b": 1}, fields={"accept": accept})
        assert (await answer.json())["result"]


@pytest.mark.parametrize("kind", [None, "text/plain", "application/json; charset=latin-1", "application/jsonx"])
async def test_a_body_of_another_kind_is_415(door: str, kind: str | None) -> None:
    async with serving(door, Workshop().server) as http:
        answer = await (await Modern(http).call("add", {"a": 1, "b": 1}, fields={"content-type": kind})).begun()
        assert answer.status == 415


@pytest.mark.parametrize("encoding", ["gzip", "br", "GZip", "identity, deflate"])
async def test_a_compressed_body_is_415(door: str, encoding: str) -> None:
    async with serving(door, Workshop().server, sse=True) as http:
        body = gzip.compress(b" " * 1_000_000)
        fields = {"content-encoding": encoding, "content-type": "application/json"}
        answer = await (await http.ask("POST", body=body, fields=fields)).begun()
        assert answer.status == 415
        assert answer.fields["accept-encoding"] == "identity"
        assert "Content-Encoding" in (await answer.json())["error"]["message"]


async def test_a_body_with_the_encoding_identity_is_plain(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        answer = await Modern(http).call("add", {"a": 1, "b": 1}, fields={"content-encoding": "identity"})
        assert await answer.text() == "2"


@pytest.mark.parametrize("size", [1001, 200_000, 5_000_000])
async def test_a_body_that_is_too_long_is_413(door: str, size: int) -> None:
    async with serving(door, Workshop(limits={"message_bytes": 1000}).server) as http:
        answer = await http.ask("POST", body=b" " * size)
        assert answer.status == 413
        assert await (await Modern(http).call("add", {"a": 1, "b": 1})).text() == "2"


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff\xfe",
        b"NaN",
        b"{}x",
        b'"\\ud800"',
        b"[" * 5000 + b"]" * 5000,
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b"[" + b"[]," * 300_000 + b"1]",
        b'{"a":1' + b"0" * 4300 + b"}",
    ],
    ids=lambda body: str(body[:10]),
)
async def test_what_is_no_json_or_too_deep_is_400(door: str, body: bytes) -> None:
    async with open_session(door) as (_, client):
        for fields in ({}, client.fields(), {"MCP-Protocol-Version": MODERN}):
            answer = await client.http.ask("POST", body=body, fields=fields)
            message = await answer.json()
            assert answer.status == 400
            assert message["error"]["code"] == -32700
            assert "id" not in message


async def test_an_empty_body_is_400(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        answer = await http.ask("POST", fields={"content-type": "application/json", "content-length": "0"})
        assert answer.status == 400
        assert (await answer.json())["error"]["code"] == -32700


@pytest.mark.parametrize(
    "body", [b"5", b"null", b'"x"', b"{}", b'{"jsonrpc":"2.0","id":7}', b'{"id":7,"method":"ping"}']
)
async def test_json_that_is_no_message_is_400(door: str, body: bytes) -> None:
    async with serving(door, Workshop().server) as http:
        answer = await http.ask("POST", body=body)
        message = await answer.json()
        assert answer.status == 400
        assert message["error"]["code"] == -32600
        assert message.get("id") == (7 if b"7" in body else None)
