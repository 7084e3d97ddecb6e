"""Waits, streams and subscriptions: what the sections of the view say of them."""

from __future__ import annotations

import functools
from typing import Any

import httpx2
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from trimcp.view.figures import Figures
from trimcp.view.state import Sections, State


def sections_of(server: trimcp.Server) -> Sections:
    return State(server._runs, Figures(), control=False).sections()


def waits(server: trimcp.Server) -> list[tuple[str, str]]:
    found = sections_of(server)["waits"]["waits"]
    return [(wait["who"].partition(" ")[0], wait["waits_for"]) for wait in found]


def waiting_server(limits: trimcp.Limits | None = None) -> trimcp.Server:
    server = trimcp.Server("busy", limits=limits)

    @server.tool
    async def wait() -> None:
        await trio.sleep_forever()

    @server.tool
    async def ask(ctx: trimcp.Context) -> str:
        return str(await ctx.elicit("Which?", {"type": "object", "properties": {"kind": {"type": "string"}}}))

    @server.tool
    async def linger() -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(2)

    @server.resource("stock://rye")
    async def rye() -> str:
        return "12"

    return server


@pytest.mark.parametrize(
    ("limits", "waits_for"),
    [
        (trimcp.Limits(session_requests=1), "a place of its session: 1 of 1 are taken"),
        (trimcp.Limits(server_requests=1), "a place of the server: all 1 are taken"),
    ],
)
async def test_a_request_without_a_place_says_which(
    limits: trimcp.Limits, waits_for: str, autojump_clock: MockClock
) -> None:
    server = waiting_server(limits)
    async with trimcp.connect(server) as client, trio.open_nursery() as nursery:
        nursery.start_soon(client.call_tool, "wait")
        await wait_all_tasks_blocked()
        assert waits(server) == []
        nursery.start_soon(client.call_tool, "wait")
        await wait_all_tasks_blocked()
        assert waits(server) == [("request", waits_for)]
        nursery.cancel_scope.cancel()


async def test_a_handler_waits_for_its_client_and_a_cancelled_one_for_its_cleanup(autojump_clock: MockClock) -> None:
    server = waiting_server()

    async def answer(question: Any) -> None:
        await trio.sleep_forever()

    async with trimcp.connect(server, revision="2025-11-25", elicitation=answer) as client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.call_tool, "ask")
            await wait_all_tasks_blocked()
            ((who, waits_for),) = waits(server)
            assert (who, waits_for) == ("request", "the client's answer to elicitation/create, id 1")
            (wait,) = sections_of(server)["waits"]["waits"]
            (session,) = [each for name, each in sections_of(server).items() if name.startswith("session:")]
            assert wait["request"] == session["requests"][0]["serial"]
            nursery.cancel_scope.cancel()
        with trio.move_on_after(1):
            await client.call_tool("linger")
        await wait_all_tasks_blocked()
        assert ("request", "its handler to clean up (cancelled: cancelled)") in waits(server)


async def test_subscriptions_of_both_eras_are_shown_by_resource(autojump_clock: MockClock) -> None:
    server = waiting_server()
    async with server.running():
        async with (
            trimcp.connect(server, revision="2025-11-25") as old,
            trimcp.connect(server, revision="2026-07-28") as new,
            old.listen(uris=["stock://rye"]),
            new.listen(uris=["stock://rye"], tools=True),
        ):
            watched = sections_of(server)["watched:0"]
            (listen,) = watched["listens"]
            assert (listen["lists"], listen["uris"], listen["granted"]) == (("tools",), ["stock://rye"], True)
            (uri,) = watched["uris"]
            assert uri["uri"] == "stock://rye"
            assert len(uri["sessions"]) == 2
        await wait_all_tasks_blocked()
        assert sections_of(server)["watched:0"]["uris"] == []


async def test_a_stream_without_a_connection_says_what_it_owes_and_from_where_it_goes_on() -> None:
    server = waiting_server()
    async with server.running(), trio.open_nursery() as nursery:
        _, port = await nursery.start(functools.partial(server.serve_http, 0))
        headers = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25"}
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers) as http:
            client = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
            opening = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": client}
            opened = await http.post("/mcp", json=opening)
            http.headers["mcp-session-id"] = opened.headers["mcp-session-id"]
            await http.post("/mcp", json={"jsonrpc": "2.0", "method": "notifications/initialized"})
            call = {"jsonrpc": "2.0", "id": "mine", "method": "tools/call", "params": {"name": "wait"}}
            async with http.stream("GET", "/mcp"), http.stream("POST", "/mcp", json=call):
                get, post = streams(server)
                assert (get["kind"], get["carried"], get["owed"]) == ("GET", "here", [])
                assert (post["kind"], post["carried"], post["owed"], post["sent"]) == ("POST", "here", ["mine"], 0)
                assert waits(server) == []
            with trio.fail_after(60):
                while any(stream["carried"] == "here" for stream in streams(server)):
                    await trio.sleep(0.01)
            assert [wait for wait in waits(server) if wait[0] == "POST"] == [
                ("POST", "its client to come back behind event 0")
            ]
            logs = [each for name, each in sections_of(server).items() if name.startswith("actors:0")]
            facts = [actor["facts"] for each in logs for actor in each["actors"] if actor["name"] == "event log"]
            assert facts[0]["most events"] > 0
        await server.drain(0)


def streams(server: trimcp.Server) -> list[dict[str, Any]]:
    (section,) = [each for name, each in sections_of(server).items() if name.startswith("streams:")]
    found: list[dict[str, Any]] = section["streams"]
    return found
