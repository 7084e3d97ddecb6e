"""What servers offer, by the rules of its page: contents, caching, completion, logging, subscriptions (server/*)."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.requirements.traffic import everything, traffic
from tests.server.news import SUBSCRIPTION, acknowledged, listen
from tests.server.reading import NOT_FOUND
from tests.session.peer import ALL, LEGACY, MODERN, Logged, logged, served
from trimcp import Limits
from trimcp.types.content import TextResourceContents
from trimcp.types.resources import ReadResourceResult
from trimcp.types.tools import ToolAnnotations

__all__ = ["logged"]

PNG = b"\x89PNG\r\n\x1a\n\x00\xff"
LEVEL = "io.modelcontextprotocol/logLevel"

every_revision = pytest.mark.parametrize("version", ALL)


# --- contents -------------------------------------------------------------------------


def media() -> trimcp.Server:
    """A server with a tool and a prompt of every kind of content."""
    server = trimcp.Server("media")
    made: dict[str, Any] = {
        "image": trimcp.Image(PNG),
        "audio": trimcp.Audio(b"OggS\x00\xff"),
        "typed": trimcp.File(b"\x00\xff", "file:///a.pdf", "application/pdf"),
        "untyped": trimcp.File(b"\x00\xff", "mem:a"),
        "text": TextResourceContents("mem:b", "ü", "text/plain"),
    }

    def declare(name: str, value: Any) -> None:
        async def give() -> Any:
            return value

        server.tool(name=name)(give)
        server.prompt(name=name)(give)

    for name, value in made.items():
        declare(name, value)

    @server.resource("mem:bytes")
    async def data() -> bytes:
        return b"\x00\xff"

    return server


@every_revision
async def test_pictures_and_sounds_go_out_in_base64_with_their_media_type(
    version: str, autojump_clock: MockClock
) -> None:
    expected = {"image": (PNG, "image/png"), "audio": (b"OggS\x00\xff", "audio/ogg")}
    async with served(media(), version) as peer:
        for kind, (data, mime_type) in expected.items():
            if kind == "audio" and version == "2024-11-05":
                continue
            [block] = (await peer.ask(peer.call(1, kind)))["result"]["content"]
            [message] = (await peer.ask(peer.request(2, "prompts/get", {"name": kind})))["result"]["messages"]
            assert block == message["content"]
            assert (block["type"], block["mimeType"]) == (kind, mime_type)
            assert base64.b64decode(block["data"], validate=True) == data


@every_revision
async def test_an_embedded_resource_has_a_uri_a_media_type_and_text_or_bytes(
    version: str, autojump_clock: MockClock
) -> None:
    expected = {
        "typed": ("file:///a.pdf", "application/pdf"),
        "untyped": ("mem:a", "application/octet-stream"),
        "text": ("mem:b", "text/plain"),
    }
    async with served(media(), version) as peer:
        for name, (uri, mime_type) in expected.items():
            [message] = (await peer.ask(peer.request(2, "prompts/get", {"name": name})))["result"]["messages"]
            resource = message["content"]["resource"]
            assert (resource["uri"], resource["mimeType"]) == (uri, mime_type)
            assert ("text" in resource) != ("blob" in resource)
            if "blob" in resource:
                assert base64.b64decode(resource["blob"], validate=True) == b"\x00\xff"


@every_revision
async def test_binary_resources_go_out_in_base64(version: str, autojump_clock: MockClock) -> None:
    async with served(media(), version) as peer:
        [contents] = (await peer.ask(peer.request(1, "resources/read", {"uri": "mem:bytes"})))["result"]["contents"]
        assert base64.b64decode(contents["blob"], validate=True) == b"\x00\xff"


async def test_what_is_not_there_is_no_empty_list_of_contents(autojump_clock: MockClock) -> None:
    server = trimcp.Server("a")

    @server.resource("mem:{name}")
    async def lists(name: str) -> list[TextResourceContents] | None:
        return [] if name == "empty" else None

    async with served(server) as peer:
        answer = await peer.ask(peer.request(1, "resources/read", {"uri": "mem:nothing"}))
        assert answer["error"]["code"] == NOT_FOUND[MODERN] == -32602


async def test_what_a_tool_says_of_itself_changes_nothing_that_the_client_does(autojump_clock: MockClock) -> None:
    server = trimcp.Server("a")
    hints = ToolAnnotations(read_only_hint=True, idempotent_hint=True, destructive_hint=False)
    calls = 0

    @server.tool(annotations=hints)
    async def count() -> int:
        nonlocal calls
        calls += 1
        return calls

    async with trimcp.connect(server) as client:
        await client.list_tools()
        # Not answered from what is kept, and not made again on its own account.
        assert [await client.call_tool("count", returns=int) for _ in range(3)] == [1, 2, 3]


# --- caching --------------------------------------------------------------------------


async def test_a_time_to_live_below_zero_leaves_no_server(logged: Logged, autojump_clock: MockClock) -> None:
    server = trimcp.Server("a")

    @server.resource("mem:a")
    async def wrong() -> ReadResourceResult:
        return ReadResourceResult([TextResourceContents("mem:a", "a")], ttl_ms=-1)

    async with served(server) as peer:
        answer = await peer.ask(peer.request(1, "resources/read", {"uri": "mem:a"}))
        assert answer["error"]["code"] == -32603
        assert len(logged.of("handler.failed")) == 1


async def test_every_result_that_may_be_kept_says_for_how_long_and_for_whom(autojump_clock: MockClock) -> None:
    said = await traffic(MODERN)
    methods = {request["id"]: request["method"] for request in said.requests("out")}
    keepable = {"server/discover", "tools/list", "prompts/list", "resources/list"}
    keepable |= {"resources/templates/list", "resources/read"}
    seen = set()
    for answer in said.responses("in"):
        if methods[answer["id"]] in keepable and "result" in answer:
            seen.add(methods[answer["id"]])
            assert answer["result"]["ttlMs"] >= 0
            assert answer["result"]["cacheScope"] in ("public", "private")
    assert seen == keepable


async def test_two_clients_never_share_what_they_keep(autojump_clock: MockClock) -> None:
    server = trimcp.Server("a", caching=trimcp.Caching(default=trimcp.CacheHint(60_000, "public")))
    server.tool(name="t")(lambda: 1)
    async with trimcp.connect(server) as one, trimcp.connect(server) as other:
        assert one.cache is not None
        assert other.cache is not None
        assert one.cache is not other.cache
        await one.list_tools()
        assert (len(one.cache), len(other.cache)) == (1, 0)


# --- completion -----------------------------------------------------------------------


@every_revision
async def test_completions_are_limited_as_other_requests_are(version: str, autojump_clock: MockClock) -> None:
    server = trimcp.Server("a", limits=Limits(session_requests=2, session_waiting=1))
    server.prompt(name="p")(greeting)

    @server.completion("p", "name")
    async def slow(value: str) -> list[str]:
        await trio.sleep(5)
        return [value]

    params = {"ref": {"type": "ref/prompt", "name": "p"}, "argument": {"name": "name", "value": "x"}}
    async with served(server, version) as peer:
        await peer.send(*(peer.request(n, "completion/complete", params) for n in range(5)))
        refused = await peer.settled()
        assert [(answer["id"], answer["error"]["code"]) for answer in refused] == [(3, -31001), (4, -31001)]


async def greeting(name: str) -> str:
    return name


# --- logging --------------------------------------------------------------------------


@every_revision
async def test_a_server_that_can_log_says_so_and_one_that_does_not_say_so_cannot(
    version: str, autojump_clock: MockClock
) -> None:
    for logs in (True, False):
        server = trimcp.Server("a", logging=logs, show_errors=True)

        @server.tool
        async def talk(ctx: trimcp.Context) -> None:
            ctx.log("emergency", "x")

        async with served(server, version, opened=False) as peer:
            opening = peer.request(1, "server/discover") if version == MODERN else peer.initialize()
            assert ("logging" in (await peer.ask(opening))["result"]["capabilities"]) is logs
            if version in LEGACY:
                await peer.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
                await peer.ask(peer.request(2, "logging/setLevel", {"level": "debug"}))
            await peer.send(peer.call(3, "talk", **({LEVEL: "debug"} if version == MODERN else {})))
            messages = await peer.settled()
            assert (messages[0].get("method") == "notifications/message") is logs
            assert bool(messages[-1]["result"].get("isError")) is not logs


async def test_log_messages_go_to_the_request_that_asked_and_to_no_listener(autojump_clock: MockClock) -> None:
    server = everything()
    async with server.running(), served(server) as peer, served(server) as other:
        wanted = listen(peer, "l", tools=True)
        wanted["params"]["_meta"][LEVEL] = "debug"
        assert await peer.ask(wanted) == acknowledged("l", tools=True)
        assert (await other.ask(listen(other, "l", tools=True)))["method"].endswith("acknowledged")
        # Nobody asked for any with this request, though the listener named a level.
        await peer.send(peer.call(1, "report"))
        assert [message.get("id") for message in await peer.settled()] == [1]
        await peer.send(peer.call(2, "report", **{LEVEL: "debug"}))
        message, answer = await peer.settled()
        assert message["method"] == "notifications/message"
        assert SUBSCRIPTION not in str(message)
        assert answer["id"] == 2
        assert await other.settled() == []


@every_revision
async def test_what_trimcp_says_in_log_messages_and_errors_is_nothing_of_its_inside(
    version: str, logged: Logged, autojump_clock: MockClock
) -> None:
    server = trimcp.Server("a")

    @server.tool
    async def fails() -> int:
        raise OSError("password 12345 at /srv/secret")

    async with served(server, version) as peer:
        if version in LEGACY:
            await peer.ask(peer.request(1, "logging/setLevel", {"level": "debug"}))
        meta = {LEVEL: "debug"} if version == MODERN else {}
        await peer.send(
            peer.call(2, "fails", **meta), peer.call(3, "no tool", **meta), b"garbage 12345", peer.request(4, "no")
        )
        said = str(await peer.settled())
        for secret in ("12345", "secret", "Traceback", ".py"):
            assert secret not in said


# --- progress and subscriptions -------------------------------------------------------


@every_revision
async def test_progress_tokens_are_texts_or_integers_and_no_two_requests_share_one(
    version: str, autojump_clock: MockClock
) -> None:
    said = await traffic(version)
    tokens = [
        request["params"]["_meta"]["progressToken"]
        for side in ("in", "out")
        for request in said.requests(side)
        if "progressToken" in request.get("params", {}).get("_meta", {})
    ]
    assert len(tokens) >= 2
    assert all(type(token) in (int, str) for token in tokens)
    assert len(set(tokens)) == len(tokens)


@every_revision
async def test_progress_is_of_a_request_under_way_and_goes_up(version: str, autojump_clock: MockClock) -> None:
    said = await traffic(version)
    under_way: dict[Any, float | None] = {}
    requests: dict[Any, Any] = {}
    reports = 0
    for side, message in said.lines:
        if side == "out" and "id" in message and "method" in message:
            token = message.get("params", {}).get("_meta", {}).get("progressToken")
            if token is not None:
                under_way[token] = None
                requests[message["id"]] = token
        elif side == "in" and "id" in message and "method" not in message:
            under_way.pop(requests.get(message["id"]), None)
        elif side == "in" and message["method"] == "notifications/progress":
            reports += 1
            last = under_way[message["params"]["progressToken"]]  # else nobody asked, or it is over
            assert last is None or message["params"]["progress"] > last
            under_way[message["params"]["progressToken"]] = message["params"]["progress"]
    assert reports == 2


async def test_what_is_told_on_a_subscription_names_it_and_begins_with_its_acknowledgement(
    autojump_clock: MockClock,
) -> None:
    said = await traffic(MODERN)
    listens = {request["id"] for request in said.of("out", method="subscriptions/listen")}
    told: dict[Any, list[str]] = {id: [] for id in listens}
    for notice in said.notifications("in"):
        kind = notice["method"].removeprefix("notifications/")
        if kind in ("message", "progress", "cancelled"):
            continue
        told[notice["params"]["_meta"][SUBSCRIPTION]].append(kind)
    first, second = sorted(told.values(), key=len, reverse=True)
    assert first == ["subscriptions/acknowledged", "tools/list_changed", "resources/updated"]
    assert second == ["subscriptions/acknowledged"]


async def test_a_server_remembers_no_subscription_of_a_connection_that_ended(autojump_clock: MockClock) -> None:
    server = everything()
    async with server.running():
        async with served(server) as peer:
            await peer.ask(listen(peer, 1, tools=True))
        await wait_all_tasks_blocked()
        assert server.tree()[0].listens == 0
        async with served(server) as again:
            server.notify_tools_changed()
            assert await again.settled() == []


async def test_a_client_that_connects_anew_listens_anew(autojump_clock: MockClock) -> None:
    server = everything()
    async with server.running():
        for _ in range(2):
            async with trimcp.connect(server) as client, client.listen(tools=True) as notices:
                server.notify_tools_changed()
                assert await anext(notices) is not None
