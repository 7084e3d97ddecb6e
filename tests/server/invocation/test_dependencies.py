"""Providers: what handlers get by annotation, made for each call and undone after it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

import trimcp
from tests.session.peer import cancelled, served
from trimcp import UsageError


@attrs.define
class Database:
    name: str


@attrs.define
class Clock:
    now: float


@attrs.define
class User:
    name: str


def make_server(happened: list[str]) -> trimcp.Server:
    server = trimcp.Server("a")

    @server.provider
    async def database(ctx: trimcp.Context) -> AsyncIterator[Database]:
        happened.append(f"open for {ctx.request_id}")
        try:
            yield Database("main")
        finally:
            happened.append("close")

    @server.provider
    async def clock() -> Clock:
        await trio.lowlevel.checkpoint()
        return Clock(trio.current_time())

    @server.provider
    def user(ctx: trimcp.Context) -> User:
        assert ctx.client_info is not None
        return User(ctx.client_info.name)

    @server.tool
    async def query(text: str, database: Database, user: User, clock: Clock | None = None) -> str:
        happened.append("query")
        if text == "fail":
            raise trimcp.ToolError("no")
        if text == "wait":
            await trio.sleep_forever()
        return f"{text} {database.name} {user.name} {clock is not None}"

    return server


async def test_a_handler_gets_what_it_is_annotated_with(autojump_clock: MockClock) -> None:
    happened: list[str] = []
    async with served(make_server(happened)) as peer:
        [tool] = (await peer.ask(peer.request(1, "tools/list")))["result"]["tools"]
        assert list(tool["inputSchema"]["properties"]) == ["text"]
        answer = await peer.ask(peer.call(7, "query", {"text": "x"}))
        assert answer["result"]["content"][0]["text"] == "x main raw True"
        assert happened == ["open for 7", "query", "close"]


async def test_what_was_opened_is_closed_however_the_call_ends(autojump_clock: MockClock) -> None:
    happened: list[str] = []
    async with served(make_server(happened)) as peer:
        assert (await peer.ask(peer.call(1, "query", {"text": "fail"})))["result"]["content"][0]["text"] == "no"
        await peer.send(peer.call(2, "query", {"text": "wait"}))
        await trio.sleep(1)
        await peer.send(cancelled(2))
        await peer.settled()
        assert happened == ["open for 1", "query", "close", "open for 2", "query", "close"]


@pytest.mark.parametrize("where", ["before", "after"])
async def test_a_provider_that_fails_fails_its_call_alone(where: str, autojump_clock: MockClock) -> None:
    server = trimcp.Server("a")
    working = False

    @server.provider
    async def database() -> AsyncIterator[Database]:
        if where == "before" and not working:
            raise ValueError("secret")
        yield Database("x")
        if where == "after" and not working:
            raise ValueError("secret")

    @server.tool
    async def query(database: Database) -> str:
        return database.name

    async with served(server) as peer:
        answer = await peer.ask(peer.call(1, "query"))
        assert answer["result"]["isError"] is True
        assert "secret" not in str(answer)
        working = True
        assert (await peer.ask(peer.call(2, "query")))["result"]["content"][0]["text"] == "x"


def test_a_provider_that_is_none_is_refused() -> None:
    server = trimcp.Server("a")

    def untyped():  # type: ignore[no-untyped-def]
        return 1

    def anything() -> Any:
        return 1

    def wanting(name: str) -> User:
        return User(name)

    async def bare() -> User:  # type: ignore[misc]
        yield User("x")

    def context() -> trimcp.Context:
        raise NotImplementedError

    for function, words in [
        (untyped, "annotate"),
        (anything, "annotate"),
        (wanting, "one parameter"),
        (bare, "AsyncIterator"),
        (context, "Duplicate"),
    ]:
        with pytest.raises(UsageError, match=words):
            server.provider(function)

    @server.provider
    def first() -> User:
        return User("x")

    with pytest.raises(UsageError, match=r"Duplicate dependency for .*User"):

        @server.provider
        def second() -> User:
            return User("y")


async def test_without_a_provider_the_type_is_an_argument(autojump_clock: MockClock) -> None:
    server = trimcp.Server("a")

    @server.tool
    async def greet(user: User) -> str:
        return f"hello {user.name}"

    async with trimcp.connect(server) as client:
        assert (await client.call_tool("greet", {"user": {"name": "ann"}})).text == "hello ann"
