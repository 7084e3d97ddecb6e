"""What a client makes of the servers that it meets: modern ones, legacy ones, and those that are neither."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

import trimcp
from tests.session.peer import LEGACY, MODERN, Logged, Peer, RawServer, discovered, error, result
from trimcp import SessionFailed, Timeouts
from trimcp.client.connect import probe_timeout
from trimcp.client.targets import without_probe_errors
from trimcp.transports.memory import memory_pair


def initialized(id: Any, version: str = LEGACY[3], **more: Any) -> dict[str, Any]:
    return result(
        id,
        {
            "protocolVersion": version,
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "raw server", "version": "1"},
            **more,
        },
    )


async def handshake(peer: Peer, version: str = LEGACY[3]) -> None:
    """Play the server's part of a legacy opening."""
    opening = await peer.receive()
    assert opening["method"] == "initialize"
    assert "_meta" not in opening["params"]
    await peer.send(initialized(opening["id"], version))
    assert (await peer.receive())["method"] == "notifications/initialized"


async def pong(peer: Peer) -> None:
    """Answer pings of either era until the client leaves."""
    while True:
        try:
            message = await peer.receive()
        except EOFError:
            return
        if "id" in message:
            await peer.send(
                discovered(message["id"]) if message["method"] == "server/discover" else result(message["id"])
            )


async def test_a_modern_server_is_found_by_one_request(autojump_clock: MockClock) -> None:
    async def script(peer: Peer) -> None:
        probe = await peer.receive()
        assert probe["method"] == "server/discover"
        meta = probe["params"]["_meta"]
        assert meta["io.modelcontextprotocol/protocolVersion"] == MODERN
        assert meta["io.modelcontextprotocol/clientInfo"] == {"name": "me", "version": "7"}
        answer = discovered(probe["id"], instructions="be kind")
        answer["result"]["_meta"] = {"io.modelcontextprotocol/serverInfo": {"name": "raw", "version": "1"}}
        await peer.send(answer)
        listed = await peer.receive()
        assert listed["params"]["_meta"] == meta  # every request carries it
        await peer.send(result(listed["id"], {"tools": [], "ttlMs": 0, "cacheScope": "private"}))
        await pong(peer)

    async with trimcp.connect(RawServer(script), name="me", version="7") as client:
        assert client.protocol_version == MODERN
        assert client.server_info is not None
        assert client.server_info.name == "raw"
        assert client.instructions == "be kind"
        assert client.server_capabilities.tools is not None
        assert await client.list_tools() == []
        await client.ping()


@pytest.mark.parametrize("code", [-32601, -32600, -32602, -32603, -32000, -32002, -1])
@pytest.mark.parametrize("version", LEGACY)
async def test_any_other_error_means_a_legacy_server(code: int, version: str, autojump_clock: MockClock) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(error((await peer.receive())["id"], code))
        await handshake(peer, version)
        await pong(peer)

    async with trimcp.connect(RawServer(script)) as client:
        assert client.protocol_version == version
        assert client.server_info is not None
        await client.ping()


async def test_silence_means_a_legacy_server_and_a_late_answer_is_dropped(
    logged: Logged, autojump_clock: MockClock
) -> None:
    async def script(peer: Peer) -> None:
        probe = await peer.receive()
        await trio.sleep(6)
        opening = await peer.receive()
        assert opening["method"] == "initialize"
        await peer.send(initialized(opening["id"]))
        assert (await peer.receive())["method"] == "notifications/initialized"
        assert (await peer.receive())["method"] == "notifications/cancelled"
        await peer.send(discovered(probe["id"]))
        await pong(peer)

    before = trio.current_time()
    async with trimcp.connect(RawServer(script), timeouts=Timeouts(probe=5)) as client:
        assert trio.current_time() - before < 10
        assert client.protocol_version == LEGACY[3]
        await client.ping()
    assert logged.of("response.ignored")[0]["why"] == "it is late"
    [line] = logged.of("handshake.fell_back")
    assert "did not answer" in line["why"]
    assert line["revision"] == LEGACY[3]


NO_ANSWERS: dict[str, Any] = {
    "a string for a code": {"error": {"code": "METHOD_NOT_FOUND", "message": "no"}},
    "no code": {"error": {"message": "no"}},
    "no message": {"error": {"code": -32601}},
    "a text for an error": {"error": "text"},
    "null for an error": {"error": None},
    "null for a result": {"result": None},
    "a list for a result": {"result": []},
    "both": {"result": None, "error": {"code": -32601, "message": "no"}},
    "neither": {},
    "nothing in it": {"result": {}},
    "one field missing": {"result": {"supportedVersions": [MODERN]}},
}


@pytest.mark.parametrize("jsonrpc", [{"jsonrpc": "2.0"}, {}], ids=["", "without jsonrpc"])
@pytest.mark.parametrize("kind", NO_ANSWERS)
async def test_an_answer_that_is_no_modern_one_means_a_legacy_server(
    kind: str, jsonrpc: dict[str, Any], autojump_clock: MockClock
) -> None:
    async def script(peer: Peer) -> None:
        probe = await peer.receive()
        await peer.send({**jsonrpc, "id": probe["id"], **NO_ANSWERS[kind]})
        await handshake(peer)
        await pong(peer)

    with trio.fail_after(5):
        async with trimcp.connect(RawServer(script)) as client:
            assert client.protocol_version == LEGACY[3]


# --- servers that start slowly --------------------------------------------------------


async def test_a_late_answer_counts_where_initialize_fails(autojump_clock: MockClock) -> None:
    async def script(peer: Peer) -> None:
        probe = await peer.receive()
        opening = await peer.receive()
        assert opening["method"] == "initialize"
        await peer.send(discovered(probe["id"]), error(opening["id"], -32601))
        await pong(peer)

    async with trimcp.connect(RawServer(script)) as client:
        assert client.protocol_version == MODERN
        await client.ping()


async def test_a_late_answer_does_not_count_where_initialize_succeeds(
    logged: Logged, autojump_clock: MockClock
) -> None:
    async def script(peer: Peer) -> None:
        probe = await peer.receive()
        opening = await peer.receive()
        await peer.send(discovered(probe["id"]), initialized(opening["id"]))
        await pong(peer)

    async with trimcp.connect(RawServer(script)) as client:
        assert client.protocol_version == LEGACY[3]
    assert "late" in logged.of("handshake.fell_back")[0]["why"]


async def test_a_refused_initialize_that_names_the_newest_is_a_reason_to_probe_again(autojump_clock: MockClock) -> None:
    async def script(peer: Peer) -> None:
        await peer.receive()
        opening = await peer.receive()
        await peer.send(error(opening["id"], -32022, data={"supported": [MODERN], "requested": LEGACY[3]}))
        again = await peer.receive()
        assert again["method"] == "server/discover"
        await peer.send(discovered(again["id"]))
        await pong(peer)

    async with trimcp.connect(RawServer(script)) as client:
        assert client.protocol_version == MODERN


@pytest.mark.parametrize("supported", [[LEGACY[3]], ["2099-01-01"], "x", None])
async def test_a_refused_initialize_that_names_no_newer_revision_is_the_end(
    supported: Any, autojump_clock: MockClock
) -> None:
    async def script(peer: Peer) -> None:
        await peer.receive()
        opening = await peer.receive()
        await peer.send(error(opening["id"], -32022, data={"supported": supported}))
        await peer.rest()

    with pytest.raises(SessionFailed, match="refused to initialize"):
        async with trimcp.connect(RawServer(script)):
            pytest.fail("connected")


def test_what_an_older_server_writes_about_the_probe_is_left_out() -> None:
    complaint = ["WARNING:root:Failed to validate request: 30 validation errors for ClientRequest"]
    for name in ("PingRequest", "InitializeRequest", "CompleteRequest"):
        complaint += [
            f"{name}.method",
            "  Input should be 'ping' [type=literal_error, input_value='server/discover', input_type=str]",
            "    For further information visit https://errors.pydantic.dev/2.11/v/literal_error",
        ]
    others = ["Server started", "error: no API key", "INFO served server/discover in 3 ms"]
    assert without_probe_errors(["Server started", *complaint, "ready"]) == ["Server started", "ready"]
    assert without_probe_errors(["Error: Method not found: server/discover"]) == []
    for lines in (others[:2], [others[0], others[2]], []):
        assert without_probe_errors(lines) == lines


async def test_a_command_has_more_time_to_start(autojump_clock: MockClock) -> None:
    assert probe_timeout(Timeouts(), "https://a.example") == 10
    assert probe_timeout(Timeouts(), ["npx", "server"]) == 30
    assert probe_timeout(Timeouts(), "server.py") == 30
    assert probe_timeout(Timeouts(request=5), ["npx", "server"]) == 5
    assert probe_timeout(Timeouts(probe=7), ["npx", "server"]) == 7
    assert probe_timeout(Timeouts(probe=90), "https://a.example") == 90


async def test_a_modern_error_with_a_version_that_both_speak_is_asked_again(autojump_clock: MockClock) -> None:
    async def none_in_common(peer: Peer) -> None:
        probe = await peer.receive()
        await peer.send(error(probe["id"], -32022, data={"supported": ["2099-01-01"], "requested": MODERN}))
        assert await peer.rest() == []  # no initialize, since the server is modern

    with pytest.raises(SessionFailed, match="2099-01-01"):
        async with trimcp.connect(RawServer(none_in_common)):
            pytest.fail("connected")


@pytest.mark.parametrize("data", [None, {}, {"supported": "x"}, {"supported": [1, None]}, []])
@pytest.mark.parametrize("code", [-32022, -32021, -32020])
async def test_a_modern_error_that_names_no_version_is_the_end(code: int, data: Any, autojump_clock: MockClock) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(error((await peer.receive())["id"], code, data=data))
        assert await peer.rest() == []

    with pytest.raises(SessionFailed, match="in common"):
        async with trimcp.connect(RawServer(script)):
            pytest.fail("connected")


async def test_a_modern_server_of_other_revisions_alone_is_refused(autojump_clock: MockClock) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(discovered((await peer.receive())["id"], "2099-01-01", "2099-02-02"))
        await pong(peer)

    with pytest.raises(SessionFailed, match="2099-02-02"):
        async with trimcp.connect(RawServer(script)):
            pytest.fail("connected")


@pytest.mark.parametrize(
    "answer",
    [
        {"supportedVersions": MODERN, "capabilities": {}},
        {"supportedVersions": [MODERN]},
        {"supportedVersions": [MODERN], "capabilities": {"tools": 5}, "ttlMs": 0, "cacheScope": "private"},
        {"resultType": "surprise", "supportedVersions": [MODERN], "capabilities": {}},
    ],
)
async def test_an_answer_to_the_probe_that_breaks_its_schema_is_the_end(
    answer: dict[str, Any], autojump_clock: MockClock
) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(result((await peer.receive())["id"], answer))
        await pong(peer)

    with pytest.raises(SessionFailed, match="schema"):
        async with trimcp.connect(RawServer(script)):
            pytest.fail("connected")


async def test_an_answer_to_the_probe_that_names_no_versions_is_of_a_legacy_server(autojump_clock: MockClock) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(result((await peer.receive())["id"], {}))
        await handshake(peer)
        await pong(peer)

    async with trimcp.connect(RawServer(script)) as client:
        assert client.protocol_version == "2025-11-25"


async def test_a_server_that_leaves_when_probed_is_connected_to_again_without(autojump_clock: MockClock) -> None:
    async def leaves(peer: Peer) -> None:
        await peer.receive()
        await peer.duplex.aclose()

    async def legacy(peer: Peer) -> None:
        await handshake(peer)
        await pong(peer)

    server = RawServer(leaves, legacy)
    async with trimcp.connect(server) as client:
        assert client.protocol_version == LEGACY[3]
        await client.ping()
    assert server.connections == 2


async def test_a_server_that_leaves_twice_is_not_tried_a_third_time(autojump_clock: MockClock) -> None:
    async def leaves(peer: Peer) -> None:
        await peer.receive()
        await peer.duplex.aclose()

    server = RawServer(leaves, leaves, leaves)
    with pytest.raises(trimcp.ConnectionLost):
        async with trimcp.connect(server):
            pytest.fail("connected")
    assert server.connections == 2


async def test_a_connection_that_was_handed_over_cannot_be_made_again(autojump_clock: MockClock) -> None:
    ours, theirs = memory_pair()
    await theirs.aclose()
    with pytest.raises(trimcp.ConnectionLost):
        async with trimcp.connect(ours):
            pytest.fail("connected")


async def test_who_insists_on_the_modern_revision_gets_no_other(autojump_clock: MockClock) -> None:
    async def legacy(peer: Peer) -> None:
        await peer.send(error((await peer.receive())["id"], -32601))
        assert await peer.rest() == []

    async def silent(peer: Peer) -> None:
        await peer.rest()

    async def leaves(peer: Peer) -> None:
        await peer.receive()
        await peer.duplex.aclose()

    for script, failure in ((legacy, SessionFailed), (silent, SessionFailed), (leaves, trimcp.ConnectionLost)):
        server = RawServer(script)
        with pytest.raises(failure):
            async with trimcp.connect(server, revision=MODERN):
                pytest.fail("connected")
        assert server.connections == 1


@pytest.mark.parametrize("version", LEGACY)
async def test_who_insists_on_a_legacy_revision_does_not_probe(version: str, autojump_clock: MockClock) -> None:
    async def script(peer: Peer) -> None:
        await handshake(peer, version)
        await pong(peer)

    async with trimcp.connect(RawServer(script), revision=version) as client:
        assert client.protocol_version == version


@pytest.mark.parametrize("chosen", ["1999-01-01", MODERN, "", None, 5, LEGACY[0]])
async def test_a_server_that_chooses_what_was_not_offered_is_refused(chosen: Any, autojump_clock: MockClock) -> None:
    async def script(peer: Peer) -> None:
        opening = await peer.receive()
        await peer.send(initialized(opening["id"], chosen))
        assert await peer.rest() == []  # not even an `initialized`

    with pytest.raises(SessionFailed, match="chose"):
        async with trimcp.connect(RawServer(script), revision=LEGACY[2]):
            pytest.fail("connected")


@pytest.mark.parametrize("how", ["error", "silence", "schema", "shape"])
async def test_an_initialize_that_does_not_work_out_says_why(how: str, autojump_clock: MockClock) -> None:
    async def script(peer: Peer) -> None:
        opening = await peer.receive()
        if how == "error":
            await peer.send(error(opening["id"], -32000, "go away"))
        elif how == "schema":
            await peer.send(initialized(opening["id"], LEGACY[2], serverInfo={"name": 5}))
        elif how == "shape":
            await peer.send({"jsonrpc": "2.0", "id": opening["id"], "result": []})
        # And no `cancelled`: initialize is never cancelled.
        assert await peer.rest() == []

    words = {"error": "go away", "silence": "did not answer", "schema": "schema", "shape": "answer"}[how]
    with pytest.raises(trimcp.TrimcpError, match=words) as caught:
        async with trimcp.connect(RawServer(script), revision=LEGACY[2]):
            pytest.fail("connected")
    assert isinstance(caught.value, SessionFailed)


async def test_connecting_may_be_cancelled(autojump_clock: MockClock) -> None:
    async def silent(peer: Peer) -> None:
        await peer.rest()

    with trio.move_on_after(3) as scope:
        async with trimcp.connect(RawServer(silent)):
            pytest.fail("connected")
    assert scope.cancelled_caught


@pytest.mark.parametrize(
    "target", [5, None, [], [1], "ftp://example.com", "tcp://nowhere", "no-such-command-anywhere", b"x"]
)
async def test_a_target_that_is_none_is_refused(target: Any) -> None:
    with pytest.raises(trimcp.UsageError):
        async with trimcp.connect(target):
            pytest.fail("connected")


async def test_a_revision_that_does_not_exist_is_refused() -> None:
    with pytest.raises(trimcp.UsageError, match="2024-11-05"):
        async with trimcp.connect(trimcp.Server("a"), revision="1999-01-01"):
            pytest.fail("connected")


LONG = "\x1b[31m" + "9" * 100_000


@pytest.mark.parametrize(
    "answers",
    [
        [lambda id: discovered(id, LONG)],
        [lambda id: discovered(id, *map(str, range(100_000)))],
        [lambda id: error(id, -32022, LONG, data={"supported": [LONG]})],
        [lambda id: error(id, -32601), lambda id: error(id, -32603, LONG)],
        [lambda id: error(id, -32601), lambda id: initialized(id, LONG)],
        [lambda id: discovered(id, capabilities={"tools": 5, LONG: 5}), lambda id: initialized(id, LONG)],
    ],
)
async def test_an_error_of_the_handshake_shows_a_part_of_what_the_server_said(
    answers: list[Any], autojump_clock: MockClock
) -> None:
    async def script(peer: Peer) -> None:
        for answer in answers:
            await peer.send(answer((await peer.receive())["id"]))
        await peer.rest()

    with pytest.raises(SessionFailed) as caught:
        async with trimcp.connect(RawServer(script)):
            pass
    assert len(str(caught.value)) < 2000
    assert "\x1b" not in str(caught.value)
