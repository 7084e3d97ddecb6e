"""Which revision a message is served in: the handshake, the `_meta` of each request, and both on one connection."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.session.peer import ALL, LEGACY, META, MODERN, Logged, Peer, notification, served

VERSION = "io.modelcontextprotocol/protocolVersion"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
INFO = "io.modelcontextprotocol/clientInfo"
LEVEL = "io.modelcontextprotocol/logLevel"


def make_server(*revisions: str) -> trimcp.Server:
    server = trimcp.Server("test", version="3", revisions=revisions or None, instructions="be kind")

    @server.tool
    async def spoken(ctx: trimcp.Context) -> str:
        return f"{ctx.protocol_version} {ctx.client_info.name if ctx.client_info else None}"

    return server


async def spoken(peer: Peer, id: Any = "spoken") -> str:
    return str((await peer.ask(peer.call(id, "spoken")))["result"]["content"][0]["text"])


@pytest.mark.parametrize("version", LEGACY)
async def test_initialize_opens_a_session_in_each_legacy_revision(version: str, autojump_clock: MockClock) -> None:
    async with served(make_server(), version, opened=False) as peer:
        answer = await peer.ask(peer.initialize(1))
        assert answer["result"]["protocolVersion"] == version
        assert answer["result"]["serverInfo"]["name"] == "test"
        assert answer["result"]["instructions"] == "be kind"
        assert answer["result"]["capabilities"]["tools"] == {"listChanged": True}
        assert "resultType" not in answer["result"]
        await peer.send(notification("notifications/initialized"))
        assert await spoken(peer) == f"{version} raw"


@pytest.mark.parametrize("asked", ["1999-01-01", "2099-01-01", MODERN, "", "latest"])
async def test_initialize_with_a_revision_that_is_not_offered_gets_the_newest_legacy_one(
    asked: str, autojump_clock: MockClock
) -> None:
    async with served(make_server(), LEGACY[0], opened=False) as peer:
        assert (await peer.ask(peer.initialize(version=asked or "nothing")))["result"]["protocolVersion"] == LEGACY[-1]
    async with served(make_server(*LEGACY[:2]), LEGACY[0], opened=False) as peer:
        answer = await peer.ask(peer.initialize(version=LEGACY[3]))
        assert answer["result"]["protocolVersion"] == LEGACY[1]


@pytest.mark.parametrize(
    "params",
    [
        None,
        {},
        {"protocolVersion": 5, "capabilities": {}, "clientInfo": {"name": "a", "version": "1"}},
        {"protocolVersion": "2025-06-18", "capabilities": [], "clientInfo": {"name": "a", "version": "1"}},
        {"protocolVersion": "2025-06-18", "capabilities": {}},
        {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "a"}},
    ],
)
async def test_initialize_that_breaks_its_schema_opens_nothing(
    params: dict[str, Any] | None, autojump_clock: MockClock
) -> None:
    async with served(make_server(), "2025-06-18", opened=False) as peer:
        message: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "initialize"}
        answer = await peer.ask(message if params is None else {**message, "params": params})
        assert answer["error"]["code"] == -32602
        assert answer["error"]["data"]["problems"]
        assert (await peer.ask(peer.call(2, "spoken")))["error"]["code"] == -32602
        await peer.open()
        assert await spoken(peer) == "2025-06-18 raw"


@pytest.mark.parametrize("version", LEGACY)
async def test_a_second_initialize_replaces_the_client_and_keeps_the_revision(
    version: str, autojump_clock: MockClock
) -> None:
    server, go = trimcp.Server("a"), trio.Event()

    @server.tool
    async def who(ctx: trimcp.Context) -> str:
        await go.wait()
        return f"{ctx.client_info.name if ctx.client_info else None}, {ctx.client_capabilities.roots is not None}"

    async with served(server, version) as peer:
        await peer.send(peer.call(1, "who"))
        again = peer.initialize(2, LEGACY[0] if version != LEGACY[0] else LEGACY[3])
        again["params"] |= {"clientInfo": {"name": "other", "version": "2"}, "capabilities": {"roots": {}}}
        answer = await peer.ask(again)
        assert answer["result"]["protocolVersion"] == version
        await peer.send(notification("notifications/initialized"), peer.call(3, "who"))
        await wait_all_tasks_blocked()
        go.set()
        said = {answer["id"]: answer["result"]["content"][0]["text"] for answer in await peer.settled()}
        assert said == {1: "raw, False", 3: "other, True"}


@pytest.mark.parametrize("version", LEGACY)
async def test_before_initialize_only_ping_is_answered(version: str, autojump_clock: MockClock) -> None:
    async with served(make_server(), version, opened=False) as peer:
        assert (await peer.ask(peer.request(1, "ping")))["result"] == {}
        refused = await peer.ask(peer.call(2, "spoken"))
        assert refused["error"]["code"] == -32602
        assert refused["error"]["data"]["supported"] == list(ALL)
        assert (await peer.ask(peer.request(3, "server/discover")))["error"]["code"] == -32602
        unknown = await peer.ask(peer.request(4, "what/ever"))
        assert unknown["error"]["code"] == -32601
        assert MODERN in unknown["error"]["message"]


async def test_initialized_before_initialize_is_ignored(logged: Logged, autojump_clock: MockClock) -> None:
    async with served(make_server(), LEGACY[3], opened=False) as peer:
        await peer.send(notification("notifications/initialized"))
        assert await peer.settled() == []
        assert logged.of("message.ignored")[0]["why"] == "initialize was not answered"
        await peer.open()
        assert await spoken(peer) == f"{LEGACY[3]} raw"


async def test_requests_are_served_between_initialize_and_initialized(autojump_clock: MockClock) -> None:
    async with served(make_server(), LEGACY[3], opened=False) as peer:
        await peer.send(peer.initialize(1), peer.call(2, "spoken"))
        assert (await peer.receive())["id"] == 1
        assert (await peer.receive())["result"]["content"][0]["text"] == f"{LEGACY[3]} raw"


@pytest.mark.parametrize(
    ("version", "method"),
    [
        ("2024-11-05", "server/discover"),
        ("2025-11-25", "server/discover"),
        ("2025-11-25", "subscriptions/listen"),
        (MODERN, "ping"),
        (MODERN, "initialize"),
        (MODERN, "logging/setLevel"),
        (MODERN, "resources/subscribe"),
        ("2024-11-05", "tasks/get"),
        (MODERN, "tasks/get"),
        # Requests that only a server makes.
        ("2025-11-25", "sampling/createMessage"),
        ("2025-11-25", "roots/list"),
        # What this server has not declared.
        ("2025-11-25", "resources/list"),
        (MODERN, "prompts/list"),
        # Names of notifications, and of nothing.
        ("2025-11-25", "notifications/cancelled"),
        ("2025-11-25", "nothing"),
        (MODERN, "nothing"),
        (MODERN, ""),
    ],
)
async def test_a_method_that_the_revision_or_the_server_lacks_is_not_found(
    version: str, method: str, autojump_clock: MockClock
) -> None:
    async with served(make_server(), version) as peer:
        answer = await peer.ask(peer.request(1, method))
        assert (answer["id"], answer["error"]["code"]) == (1, -32601)
        assert await spoken(peer) == f"{version} raw"


# --- 2026-07-28 -----------------------------------------------------------------------


async def test_discover_tells_what_a_modern_client_may_use(autojump_clock: MockClock) -> None:
    async with served(make_server()) as peer:
        found = (await peer.ask(peer.request(1, "server/discover")))["result"]
        assert found["supportedVersions"] == [MODERN]
        assert found["resultType"] == "complete"
        assert found["instructions"] == "be kind"
        assert "tools" in found["capabilities"]
        assert found["_meta"]["io.modelcontextprotocol/serverInfo"]["version"] == "3"
        assert {"ttlMs", "cacheScope"} <= found.keys()


@pytest.mark.parametrize("version", ["1999-01-01", "2025-11-25", "2099-01-01", ""])
async def test_a_request_in_a_revision_that_is_not_offered_is_told_those_that_are(
    version: str, autojump_clock: MockClock
) -> None:
    async with served(make_server()) as peer:
        answer = await peer.ask(peer.request(1, "server/discover", **{VERSION: version}))
        assert answer["error"]["code"] == -32022
        assert answer["error"]["data"] == {"supported": [MODERN], "requested": version}
        assert await spoken(peer) == f"{MODERN} raw"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (VERSION, None),
        (VERSION, 20260728),
        (CAPABILITIES, None),
        (CAPABILITIES, []),
        (CAPABILITIES, {"roots": 5}),
        (INFO, "raw"),
        (INFO, {"name": "raw"}),
        (INFO, {"name": "raw", "version": 1}),
        (LEVEL, "loud"),
        (LEVEL, 3),
        ("progressToken", 1.5),
        ("progressToken", None),
        ("progressToken", True),
    ],
)
async def test_metadata_of_a_wrong_type_is_refused_with_its_path(
    key: str, value: Any, autojump_clock: MockClock
) -> None:
    async with served(make_server()) as peer:
        answer = await peer.ask(peer.call(1, "spoken", **{key: value}))
        assert answer["error"]["code"] == -32602
        assert any("@ $" in problem for problem in answer["error"]["data"]["problems"])
        assert await spoken(peer) == f"{MODERN} raw"


@pytest.mark.parametrize("key", [VERSION, CAPABILITIES])
async def test_metadata_that_is_missing_is_refused(key: str, autojump_clock: MockClock) -> None:
    async with served(make_server()) as peer:
        message = peer.call(1, "spoken")
        del message["params"]["_meta"][key]
        answer = await peer.ask(message)
        assert answer["error"]["code"] == -32602
        assert key in answer["error"]["message"] or VERSION in answer["error"]["message"]


async def test_the_clients_name_is_optional(autojump_clock: MockClock) -> None:
    async with served(make_server()) as peer:
        message = peer.call(1, "spoken")
        del message["params"]["_meta"][INFO]
        assert (await peer.ask(message))["result"]["content"][0]["text"] == f"{MODERN} None"


@pytest.mark.parametrize("meta", [[], "x", 5])
async def test_metadata_that_is_no_object_is_refused(meta: Any, autojump_clock: MockClock) -> None:
    async with served(make_server()) as peer:
        answer = await peer.ask({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": meta}})
        assert answer["error"]["code"] == -32602
    async with served(make_server(), LEGACY[3]) as peer:
        answer = await peer.ask({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": meta}})
        assert answer["error"]["code"] == -32602
        assert (await peer.ask(peer.request(2, "ping")))["result"] == {}


async def test_a_profile_is_not_carried_over_to_the_next_request(autojump_clock: MockClock) -> None:
    async with served(make_server()) as peer:
        for name in ("ann", "bob", "ann"):
            answer = await peer.ask(peer.call(name, "spoken", **{INFO: {"name": name, "version": "1"}}))
            assert answer["result"]["content"][0]["text"] == f"{MODERN} {name}"


# --- both eras on one connection ------------------------------------------------------


@pytest.mark.parametrize("version", LEGACY)
async def test_a_modern_call_in_the_midst_of_a_legacy_session_is_served_in_its_own_revision(
    version: str, autojump_clock: MockClock
) -> None:
    async with served(make_server(), version) as peer:
        assert await spoken(peer) == f"{version} raw"
        modern = peer.call(2, "spoken")
        modern["params"]["_meta"] = {**META, INFO: {"name": "new", "version": "1"}}
        answer = await peer.ask(modern)
        assert answer["result"]["content"][0]["text"] == f"{MODERN} new"
        assert answer["result"]["resultType"] == "complete"
        legacy = await peer.ask(peer.call(3, "spoken"))
        assert legacy["result"]["content"][0]["text"] == f"{version} raw"
        assert "resultType" not in legacy["result"]


async def test_a_legacy_session_can_be_opened_after_modern_calls(autojump_clock: MockClock) -> None:
    async with served(make_server()) as peer:
        assert await spoken(peer) == f"{MODERN} raw"
        peer.version = "2025-06-18"
        assert (await peer.ask(peer.call(2, "spoken")))["error"]["code"] == -32602
        await peer.open()
        assert await spoken(peer, 3) == "2025-06-18 raw"


async def test_a_server_without_modern_revisions_is_a_legacy_server(autojump_clock: MockClock) -> None:
    async with served(make_server(*LEGACY)) as peer:
        probe = await peer.ask(peer.request(1, "server/discover"))
        assert probe["error"]["code"] == -32601
        # To such a server the keys mean nothing: the call is one before initialize.
        assert (await peer.ask(peer.call(2, "spoken")))["error"]["code"] == -32602
        peer.version = LEGACY[2]
        await peer.open()
        assert await spoken(peer, 3) == f"{LEGACY[2]} raw"


async def test_a_server_without_legacy_revisions_tells_a_legacy_client_so(autojump_clock: MockClock) -> None:
    async with served(make_server(MODERN), LEGACY[3], opened=False) as peer:
        answer = await peer.ask(peer.initialize(1))
        assert answer["error"]["code"] == -32601
        assert MODERN in answer["error"]["message"]
        assert (await peer.ask(peer.request(2, "ping")))["error"]["code"] == -32601
        answer = await peer.ask(peer.call(3, "spoken"))
        assert answer["error"]["code"] == -32602
        assert VERSION in answer["error"]["message"]
