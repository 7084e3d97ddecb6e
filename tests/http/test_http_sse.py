"""HTTP+SSE, the transport of 2024-11-05: a stream that says where to post to, beside the endpoint, if asked for."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urljoin

import pytest
import trio
from trio.testing import MockClock

from tests.http.clients import Legacy, Modern, notification, request, response
from tests.http.raw import Http, serving
from tests.http.wires import Answer, settled
from tests.http.workshop import Workshop, by_name
from trimcp.errors import UsageError
from trimcp.http.server.sse_2024 import check_reference

HEARD = {"role": "assistant", "content": {"type": "text", "text": "well"}, "model": "m"}


class Old:
    """A client of 2024-11-05."""

    def __init__(self, http: Http, stream: Answer, path: str, principal: str | None) -> None:
        self.http = http
        self.stream = stream
        self.path = path
        self.principal = principal

    @classmethod
    async def connect(cls, http: Http, principal: str | None = None) -> Old:
        """Open the stream, and read where to post to."""
        stream = await http.ask("GET", "/sse", fields={"accept": "text/event-stream", "authorization": principal})
        assert stream.status == 200
        event = await stream.event()
        assert event is not None
        assert event.event == b"endpoint"
        return cls(http, stream, event.data.decode(), principal)

    @classmethod
    async def open(cls, http: Http, capabilities: dict[str, Any] | None = None, principal: str | None = None) -> Old:
        """The same, and open the session."""
        client = await cls.connect(http, principal)
        params = {
            "protocolVersion": "2024-11-05",
            "capabilities": capabilities or {},
            "clientInfo": {"name": "old", "version": "1"},
        }
        await client.post(request(0, "initialize", params))
        assert (await client.stream.message())["result"]["protocolVersion"] == "2024-11-05"
        await client.post(notification("notifications/initialized"))
        return client

    async def post(self, message: Any, status: int = 202) -> None:
        """Post a message."""
        fields = {"authorization": self.principal}
        answer = await self.http.ask("POST", self.path, body=message, fields=fields)
        assert answer.status == status

    async def call(self, id: Any, tool: str, **arguments: Any) -> None:
        """Post a call of a tool."""
        await self.post(request(id, "tools/call", {"name": tool, "arguments": arguments}))


async def test_a_session_on_its_stream(door: str) -> None:
    async with serving(door, Workshop().server, sse=True) as http:
        client = await Old.open(http, {"sampling": {}})
        await client.call(1, "add", a=1, b=2)
        message = await client.stream.message()
        assert (message["id"], message["result"]["content"][0]["text"]) == (1, "3")
        await client.call(2, "think", text="Well?")
        question = await client.stream.message()
        await client.post(response(question["id"], HEARD))
        assert (await client.stream.message())["id"] == 2
        http.server.notify_tools_changed()
        assert (await client.stream.message())["method"] == "notifications/tools/list_changed"


async def test_a_message_of_several_lines_is_one(door: str) -> None:
    async with serving(door, Workshop().server, sse=True) as http:
        client = await Old.open(http)
        await client.post(json.dumps(request(1, "ping"), indent=2).replace("\n", "\r\n").encode())
        assert await client.stream.message() == {"jsonrpc": "2.0", "id": 1, "result": {}}


async def test_the_session_ends_with_its_stream(door: str) -> None:
    shop = Workshop()
    async with serving(door, shop.server, sse=True) as http:
        client = await Old.open(http)
        await client.call(1, "hold", name="it")
        await shop.begun("it")
        await client.stream.drop()
        assert await shop.is_over("it") == "session_lost"  # at once: nobody could read an answer
        while http.sessions:
            await trio.sleep(0.001)
        await client.post(request(2, "ping"), 404)


async def test_an_unknown_session_is_404(door: str) -> None:
    async with serving(door, Workshop().server, sse=True) as http:
        client = await Old.open(http)
        for path in ("/messages", "/messages?session_id=", "/messages?session_id=nobody", "/messages?x=y"):
            assert (await http.ask("POST", path, body=request(1, "ping"))).status == 404
        await client.post(request(2, "ping"))


async def test_the_session_of_another_principal_is_404(door: str) -> None:
    async with serving(door, Workshop().server, sse=True, authenticate=by_name) as http:
        ada = await Old.open(http, principal="ada")
        await Old(http, ada.stream, ada.path, "bob").post(request(1, "ping"), 404)
        await ada.post(request(1, "ping"))


async def test_what_is_no_json_is_told_on_the_stream(door: str) -> None:
    async with serving(door, Workshop().server, sse=True) as http:
        client = await Old.open(http)
        await client.post(b"{")
        assert (await client.stream.message())["error"]["code"] == -32700
        await client.post(request(1, "ping"))
        assert (await client.stream.message())["id"] == 1


async def test_a_quiet_stream_is_kept_alive(door: str, autojump_clock: MockClock) -> None:
    async with serving(door, Workshop(limits={"keep_alive": 10}).server, sse=True) as http:
        client = await Old.open(http)
        await trio.sleep(65)
        assert await client.stream.arrived() == []
        assert client.stream.comments >= 4


async def test_it_is_off_unless_it_is_asked_for(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        assert (await http.ask("GET", "/sse")).status == 404
        assert (await http.ask("POST", "/messages?session_id=x", body=request(1, "ping"))).status == 404


async def test_each_path_has_its_method(door: str) -> None:
    async with serving(door, Workshop().server, sse=True) as http:
        answer = await http.ask("POST", "/sse", body=request(1, "ping"))
        assert (answer.status, answer.fields["allow"]) == (405, "GET")
        answer = await http.ask("GET", "/messages")
        assert (answer.status, answer.fields["allow"]) == (405, "POST")


async def test_there_are_only_so_many_sessions(door: str) -> None:
    async with serving(door, Workshop(limits={"sessions": 2}).server, sse=True) as http:
        await Old.connect(http)
        answers = []

        async def come() -> None:
            answers.append(await http.ask("GET", "/sse"))

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(come)
        assert sorted(answer.status for answer in answers) == [200] + [503] * 4


async def test_it_stands_beside_the_other_transports(door: str) -> None:
    async with serving(door, Workshop().server, sse=True) as http:
        old, legacy, modern = await Old.open(http), await Legacy.open(http), Modern(http)
        await old.call(1, "add", a=1, b=1)
        assert (await old.stream.message())["id"] == 1
        assert await (await legacy.call("add", {"a": 1, "b": 1})).text() == "2"
        assert await (await modern.call("add", {"a": 1, "b": 1})).text() == "2"


async def test_a_drain_answers_what_is_in_flight_and_ends_the_stream(door: str) -> None:
    shop = Workshop()
    async with serving(door, shop.server, sse=True) as http:
        client = await Old.open(http)
        await client.call(1, "hold", name="it")
        await shop.begun("it")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(shop.server.drain, 10)
            await settled()
            await client.call(2, "add", a=1, b=1)
            assert (await client.stream.message())["error"]["code"] == -31002
            shop.open("it")
        (answer,) = await client.stream.messages()
        assert answer["id"] == 1
        assert client.stream.is_complete


async def test_a_compressed_message_is_refused() -> None:
    async with serving("asgi", Workshop().server, sse=True) as http:
        client = await Old.open(http)
        fields = {"content-encoding": "gzip"}
        assert (await http.ask("POST", client.path, body=request(1, "ping"), fields=fields)).status == 415
        await client.post(request(2, "ping"))
        assert (await client.stream.message())["id"] == 2


@pytest.mark.parametrize(
    ("messages", "url"),
    [
        (None, "https://example.com/messages"),
        ("/tools/messages", "https://example.com/tools/messages"),
        ("messages", "https://example.com/tools/messages"),
        ("https://other.example/messages", "https://other.example/messages"),
    ],
)
async def test_behind_a_proxy_that_strips_a_prefix_clients_post_to_the_uri_that_is_set(
    door: str, messages: str | None, url: str
) -> None:
    options = {} if messages is None else {"messages": messages}
    async with serving(door, Workshop().server, sse=True, **options) as http:
        fields = {"x-forwarded-prefix": "/evil", "x-forwarded-host": "evil.example"}
        stream = await http.ask("GET", "/sse", fields={"accept": "text/event-stream", **fields})
        event = await stream.event()
        assert event is not None
        reference, _, query = event.data.decode().partition("?")
        assert urljoin("https://example.com/tools/sse", reference) == url
        answer = await http.ask("POST", f"/messages?{query}", body=request(1, "ping"))
        assert answer.status == 202
        assert (await stream.message())["id"] == 1


@pytest.mark.parametrize("messages", ["/messages?a=1", "/messages#a", "/a b", "/a\r\ndata: x", "/ä"])
def test_an_invalid_uri_for_messages_is_refused(messages: str) -> None:
    with pytest.raises(UsageError, match="Invalid messages="):
        check_reference(messages)
