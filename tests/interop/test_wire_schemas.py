"""Every message that a server writes fits the official schema of the revision that is spoken.

The client is a hand that writes lines, so nothing of trimcp's own reads what trimcp wrote.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.official import schemas
from tests.official.generator import validator
from tests.process.children import META, Child, child, initialize
from trimcp.types.revisions import BY_VERSION, REVISIONS, Era

pytestmark = pytest.mark.interop

VERSIONS = [revision.version for revision in REVISIONS]
LEGACY = [revision.version for revision in REVISIONS if revision.era is Era.LEGACY]
RICH = [sys.executable, "-m", "trimcp", "run", str(Path(__file__).with_name("rich_server.py"))]

RESULTS = {
    "initialize": "InitializeResult",
    "server/discover": "DiscoverResult",
    "tools/list": "ListToolsResult",
    "tools/call": "CallToolResult",
    "ping": "EmptyResult",
    "subscriptions/listen": "SubscriptionsListenResult",
}
NOTIFICATIONS = {
    "notifications/progress": "ProgressNotification",
    "notifications/tools/list_changed": "ToolListChangedNotification",
    "notifications/subscriptions/acknowledged": "SubscriptionsAcknowledgedNotification",
    "notifications/cancelled": "CancelledNotification",
}
CONTENT = {
    "text": ["text"],
    "picture": ["image"],
    "sound": ["audio"],
    "binary": ["resource"],
    "resource": ["resource"],
    "link": ["resource_link"],
    "mixed": ["text", "image"],
    "nothing": [],
    "number": ["text"],
    "in_a_thread": ["text"],
}
LATER = {"sound": "2025-03-26", "link": "2025-06-18"}
"""Content that came with a later revision."""


class Hand:
    """A client by hand that checks whatever comes."""

    def __init__(self, server: Child, version: str) -> None:
        self.server = server
        self.version = version
        self.is_modern = BY_VERSION[version].era is Era.MODERN
        self._definitions = schemas.definitions(version)
        self._asked: dict[Any, str] = {}
        self.notices: list[Any] = []
        self._next_id = 0

    def fits(self, definition: str, value: Any) -> None:
        is_valid: Callable[[Any], bool] = validator(definition, self._definitions)
        assert is_valid(value), f"no {definition} of {self.version}: {value}"

    def _one_of(self, *names: str) -> str:
        """The name that this revision has for something."""
        return next(name for name in names if name in self._definitions)

    def request(self, method: str, params: dict[str, Any] | None = None, *, meta: dict[str, Any] | None = None) -> Any:
        """A request as this revision wants it."""
        self._next_id += 1
        self._asked[self._next_id] = method
        params = dict(params or {})
        if self.is_modern or meta:
            params["_meta"] = {**(META if self.is_modern else {}), **(meta or {})}
        message = {"jsonrpc": "2.0", "id": self._next_id, "method": method}
        return {**message, "params": params} if params else message

    async def open(self) -> Any:
        """Find out who the server is."""
        if self.is_modern:
            return await self.ask("server/discover")
        hello, ready = initialize(self.version)
        self._asked[hello["id"]] = "initialize"
        await self.server.send(hello)
        answer = self.checked_answer(await self.server.receive())
        assert answer["result"]["protocolVersion"] == self.version
        await self.server.send(ready)
        return answer

    async def ask(self, method: str, params: dict[str, Any] | None = None, **more: Any) -> Any:
        """Make a request, answer what the server asks meanwhile, and return the checked answer."""
        await self.server.send(self.request(method, params, **more))
        while True:
            message = await self.server.receive()
            if "method" not in message:
                return self.checked_answer(message)
            if "id" in message:
                self.fits("JSONRPCRequest", message)
                self.fits("ServerRequest", message)
                assert message["method"] == "ping"
                await self.server.send({"jsonrpc": "2.0", "id": message["id"], "result": {}})
            else:
                self.checked_notice(message)

    async def call(self, tool: str, meta: dict[str, Any] | None = None, **arguments: Any) -> Any:
        return await self.ask("tools/call", {"name": tool, "arguments": arguments}, meta=meta)

    def checked_notice(self, message: Any) -> None:
        self.fits("JSONRPCNotification", message)
        self.fits("ServerNotification", message)
        self.fits(NOTIFICATIONS[message["method"]], message)
        self.notices.append(message)

    def checked_answer(self, message: Any) -> Any:
        method = self._asked.pop(message["id"])
        if "error" in message:
            self.fits(self._one_of("JSONRPCErrorResponse", "JSONRPCError"), message)
        else:
            self.fits(self._one_of("JSONRPCResultResponse", "JSONRPCResponse"), message)
            self.fits("ServerResult", message["result"])
            self.fits(RESULTS[method], message["result"])
            if self.is_modern:
                assert message["result"]["resultType"] == "complete"
        return message


@pytest.mark.parametrize("version", VERSIONS)
async def test_who_the_server_is_and_what_it_has(version: str) -> None:
    async with child(RICH) as server:
        hand = Hand(server, version)
        answer = await hand.open()
        assert "tools" in answer["result"]["capabilities"]
        if not hand.is_modern:
            await hand.ask("ping")
        listed = await hand.ask("tools/list")
        assert len(listed["result"]["tools"]) > 15


@pytest.mark.parametrize("version", VERSIONS)
async def test_every_kind_of_content(version: str) -> None:
    async with child(RICH) as server:
        hand = Hand(server, version)
        await hand.open()
        for tool, kinds in CONTENT.items():
            arguments: dict[str, Any] = {"a": 1, "b": 2} if tool == "in_a_thread" else {}
            answer = await hand.call(tool, **arguments)
            if version < LATER.get(tool, ""):
                found = {block["type"] for block in answer["result"]["content"]}
                assert found <= {"text", "image", "resource"}, (
                    "there is no such content in this revision: it is told in text"
                )
            else:
                assert [block["type"] for block in answer["result"]["content"]] == kinds
        found = (await hand.call("place", name="here"))["result"]
        assert ("structuredContent" in found) == (version >= "2025-06-18")


@pytest.mark.parametrize("version", VERSIONS)
async def test_every_kind_of_failure(version: str) -> None:
    async with child(RICH) as server:
        hand = Hand(server, version)
        await hand.open()
        for tool in ("fails", "crashes"):
            assert (await hand.call(tool))["result"]["isError"] is True
        assert (await hand.call("place", name=7))["result"]["isError"] is True
        assert (await hand.call("refuses"))["error"]["data"] == {"because": "so"}
        assert (await hand.call("there is none"))["error"]["code"] == -32602
        assert (await hand.ask("tools/call", {"arguments": {}}))["error"]["code"] == -32602
        assert (await hand.ask("tools/list", {"cursor": "made up"}))["error"]["code"] == -32602
        assert (await hand.ask("no/such/method"))["error"]["code"] == -32601
        if hand.is_modern:
            assert (await hand.ask("ping"))["error"]["code"] == -32601
            wrong = {"io.modelcontextprotocol/protocolVersion": "2099-01-01"}
            assert (await hand.ask("tools/list", meta=wrong))["error"]["code"] == -32022


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_line_that_is_no_message(version: str) -> None:
    async with child(RICH) as server:
        hand = Hand(server, version)
        await hand.open()
        assert server.process.stdin is not None
        for line, code in ((b"{", -32700), (b"7", -32600), (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600)):
            await server.process.stdin.send_all(line + b"\n")
            message = await server.receive()
            assert message["error"]["code"] == code
            if BY_VERSION[version].unreadable_id_is_null:
                # JSON-RPC's own rule; the schemas of these revisions know of no error without an id.
                assert message.pop("id") is None
                hand.fits("JSONRPCError", {**message, "id": 0})
            else:
                hand.fits("JSONRPCErrorResponse", message)


@pytest.mark.parametrize("version", VERSIONS)
async def test_progress(version: str) -> None:
    async with child(RICH) as server:
        hand = Hand(server, version)
        await hand.open()
        for token in ("a token", 17):
            hand.notices.clear()
            await hand.call("steps", {"progressToken": token}, count=4)
            assert [notice["params"]["progress"] for notice in hand.notices] == [1, 2, 3, 4]
            assert {notice["params"]["progressToken"] for notice in hand.notices} == {token}


@pytest.mark.parametrize("version", LEGACY)
async def test_a_list_that_changes_and_a_question_of_the_servers(version: str) -> None:
    async with child(RICH) as server:
        hand = Hand(server, version)
        await hand.open()
        assert (await hand.call("pings"))["result"]["content"][0]["text"] == "pinged"
        await hand.call("grows")
        await hand.ask("ping")
        assert [notice["method"] for notice in hand.notices] == ["notifications/tools/list_changed"]


async def test_a_subscription_from_its_beginning_to_the_end_of_the_server() -> None:
    async with child(RICH) as server:
        hand = Hand(server, "2026-07-28")
        await server.send(hand.request("subscriptions/listen", {"notifications": {"toolsListChanged": True}}))
        hand.checked_notice(await server.receive())
        await hand.call("grows")
        server.signal(signal.SIGTERM)
        hand.checked_answer(await server.receive())
        hand.checked_notice(await server.receive())
        assert [notice["method"] for notice in hand.notices] == [
            "notifications/subscriptions/acknowledged",
            "notifications/tools/list_changed",
            "notifications/cancelled",
        ]
        assert await server.exit_code() == 0


async def test_a_batch() -> None:
    version = "2025-03-26"
    async with child(RICH) as server:
        hand = Hand(server, version)
        await hand.open()
        batch = [
            hand.request("tools/call", {"name": "number"}),
            hand.request("ping"),
            {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "nobody"}},
            hand.request("no/such/method"),
            hand.request("tools/call", {"name": "steps", "arguments": {"count": 2}}, meta={"progressToken": 1}),
        ]
        await server.send(batch)
        message = await server.receive()
        while isinstance(message, dict):
            hand.checked_notice(message)
            message = await server.receive()
        hand.fits("JSONRPCBatchResponse", message)
        hand.fits("JSONRPCMessage", message)
        assert len(message) == 4
        for answer in message:
            hand.checked_answer(answer)
        assert len(hand.notices) == 2


@pytest.mark.parametrize("version", [version for version in LEGACY if version != "2025-03-26"])
async def test_a_batch_where_there_are_none(version: str) -> None:
    async with child(RICH) as server:
        hand = Hand(server, version)
        await hand.open()
        await server.send([hand.request("ping")])
        assert (await server.receive())["error"]["code"] == -32600
        await hand.ask("ping")
