"""Roots that change while the client is connected, and servers that hear of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trimcp
from tests.session.peer import ALL, LEGACY, MODERN, Logged, Peer, RawServer, discovered, notification, result, served
from trimcp.types import Root

CHANGED = "notifications/roots/list_changed"


def watching() -> tuple[trimcp.Server, list[Any]]:
    """A server that looks again whenever roots change, and what it has seen."""
    seen: list[Any] = []
    server = trimcp.Server("watcher")

    @server.on_roots_changed
    async def look_again(ctx: trimcp.SessionContext) -> None:
        seen.append([root.uri for root in await ctx.roots()])

    @server.tool
    async def look(ctx: trimcp.Context) -> list[str]:
        return [root.uri for root in await ctx.roots()]

    return server, seen


@pytest.mark.parametrize("version", LEGACY)
async def test_a_legacy_server_hears_of_other_roots_and_asks_for_them(version: str) -> None:
    server, seen = watching()
    async with trimcp.connect(server, revision=version, roots=["/one"]) as client:
        assert "file:///one" in (await client.call_tool("look")).text
        client.set_roots(["/two", Root("file:///three", "Three")])
        await wait_all_tasks_blocked()
        assert seen == [["file:///two", "file:///three"]]


async def test_a_modern_server_is_told_nothing_and_asks_anew() -> None:
    server, seen = watching()
    async with trimcp.connect(server, roots=["/one"]) as client:
        assert await client.call_tool("look", returns=list[str]) == ["file:///one"]
        client.set_roots(["/two"])
        await wait_all_tasks_blocked()
        assert seen == []
        assert await client.call_tool("look", returns=list[str]) == ["file:///two"]


async def test_on_the_wire_a_legacy_client_declares_it_and_says_it_and_a_modern_one_neither() -> None:
    seen: list[Any] = []

    async def legacy(peer: Peer) -> None:
        opening = await peer.receive()
        seen.append(opening["params"]["capabilities"])
        about = {"name": "raw", "version": "1"}
        await peer.send(
            result(opening["id"], {"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": about})
        )
        seen.extend(await peer.rest())

    async with trimcp.connect(RawServer(legacy), revision="2025-11-25", roots=[]) as client:
        client.set_roots(["/a"])
        await wait_all_tasks_blocked()
    assert seen[0] == {"roots": {"listChanged": True}}
    assert [message["method"] for message in seen[1:]] == ["notifications/initialized", CHANGED]

    rest: list[Any] = []

    async def modern(peer: Peer) -> None:
        probe = await peer.receive()
        rest.append(probe["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"])
        await peer.send(discovered(probe["id"]))
        rest.extend(await peer.rest())

    async with trimcp.connect(RawServer(modern), roots=[]) as client:
        client.set_roots(["/a"])
        await wait_all_tasks_blocked()
    assert rest == [{"roots": {}}]


async def test_a_client_without_roots_cannot_have_others() -> None:
    async with trimcp.connect(trimcp.Server("s")) as client:
        with pytest.raises(trimcp.UsageError, match=r"connect\(roots=\[\]\)"):
            client.set_roots(["/a"])


@pytest.mark.parametrize("version", ["2025-11-25", MODERN])
async def test_roots_that_are_none_change_nothing(version: str) -> None:
    server, seen = watching()
    async with trimcp.connect(server, revision=version, roots=["/one"]) as client:
        with pytest.raises(trimcp.UsageError, match="invalid root"):
            client.set_roots(["/two", "https://example.com"])
        assert await client.call_tool("look", returns=list[str]) == ["file:///one"]
        await wait_all_tasks_blocked()
    assert seen == []


async def test_the_function_that_gives_roots_may_give_others_or_be_another() -> None:
    server, seen = watching()
    folders = ["/one"]

    async def give() -> Sequence[str]:
        return folders

    async with trimcp.connect(server, revision="2025-11-25", roots=give) as client:
        folders = ["/two"]
        client.set_roots(give)
        await wait_all_tasks_blocked()
        client.set_roots(["/three"])
        await wait_all_tasks_blocked()
    assert seen == [["file:///two"], ["file:///three"]]


async def test_after_the_end_other_roots_are_only_kept() -> None:
    server, _ = watching()
    async with trimcp.connect(server, revision="2025-11-25", roots=["/one"]) as client:
        client.close()
        client.set_roots(["/two"])


# --- the server's side --------------------------------------------------------------------


def handling(server: trimcp.Server) -> int:
    """Notification handlers that run now."""
    (pool,) = (pool for pool in server.tree()[0].supervisor.pools if pool.name.endswith("notification handlers"))
    return pool.workers - pool.idle


async def test_a_flood_of_changes_runs_the_function_once_at_a_time_and_once_more() -> None:
    release = trio.Event()
    began: list[int] = []
    server = trimcp.Server("slow")

    @server.on_roots_changed
    async def look_again(ctx: trimcp.SessionContext) -> None:
        began.append(ctx.session_number)
        await release.wait()

    async with trimcp.connect(server, revision="2025-11-25", roots=["/one"]) as client:
        client.set_roots(["/0"])
        await wait_all_tasks_blocked()
        for n in range(100):
            client.set_roots([f"/{n}"])
            await trio.lowlevel.checkpoint()
        await wait_all_tasks_blocked()
        assert len(began) == 1
        assert handling(server) == 1
        release.set()
        await wait_all_tasks_blocked()
        assert len(began) == 2
        assert handling(server) == 0


async def test_sessions_do_not_wait_for_each_other() -> None:
    seen: list[str] = []
    server = trimcp.Server("slow")

    @server.on_roots_changed
    async def look_again(ctx: trimcp.SessionContext) -> None:
        name = ctx.client_info.name if ctx.client_info else ""
        if name == "stuck":
            await trio.sleep_forever()
        seen.append(f"{name} {ctx.protocol_version} {ctx.principal} {ctx.state}")

    async with (
        server.running(),
        trimcp.connect(server, revision="2025-11-25", roots=["/1"], name="stuck") as stuck,
        trimcp.connect(server, revision="2024-11-05", roots=["/1"], name="free") as free,
    ):
        stuck.set_roots(["/2"])
        await wait_all_tasks_blocked()
        free.set_roots(["/2"])
        await wait_all_tasks_blocked()
        assert seen == ["free 2024-11-05 None None"]


async def test_what_is_told_ends_with_its_session() -> None:
    ended: list[bool] = []
    server = trimcp.Server("slow")

    @server.on_roots_changed
    async def look_again(ctx: trimcp.SessionContext) -> None:
        try:
            await ctx.roots()
        finally:
            ended.append(True)

    async def never() -> Sequence[str]:
        await trio.sleep_forever()
        return []

    async with server.running():
        async with trimcp.connect(server, revision="2025-11-25", roots=never) as client:
            client.set_roots(never)
            await wait_all_tasks_blocked()
        await wait_all_tasks_blocked()
        assert ended == [True]
        assert handling(server) == 0


async def test_a_function_that_fails_is_logged_and_told_again(logged: Logged) -> None:
    told: list[bool] = []
    server = trimcp.Server("frail")

    @server.on_roots_changed
    async def look_again(ctx: trimcp.SessionContext) -> None:
        told.append(True)
        raise ValueError("no")

    async with trimcp.connect(server, revision="2025-11-25", roots=["/1"]) as client:
        for _ in range(2):
            client.set_roots(["/2"])
            await wait_all_tasks_blocked()
        await client.ping()
    assert told == [True, True]
    assert len(logged.of("handler.failed")) == 2


async def leave_a_scope_open() -> None:
    trio.CancelScope().__enter__()


async def cancel_a_scope_that_is_left_open() -> None:
    trio.CancelScope().__enter__().cancel()


def raising(error: BaseException) -> Callable[[], Awaitable[None]]:
    async def fail() -> None:
        raise error

    return fail


HOSTILE: dict[str, Callable[[], Awaitable[None]]] = {
    "Cancelled": raising(trio.Cancelled._create(source="explicit")),
    "GeneratorExit": raising(GeneratorExit()),
    "SystemExit": raising(SystemExit(3)),
    "BaseException": raising(BaseException("no")),
    "an open scope": leave_a_scope_open,
    "a cancelled scope": cancel_a_scope_that_is_left_open,
}


@pytest.mark.parametrize("how", HOSTILE)
async def test_a_function_that_misbehaves_hurts_no_other_session_and_not_its_next_call(
    how: str, logged: Logged
) -> None:
    told: list[str] = []
    server = trimcp.Server("frail")

    @server.on_roots_changed
    async def look_again(ctx: trimcp.SessionContext) -> None:
        name = ctx.client_info.name if ctx.client_info else ""
        told.append(name)
        if name == "bad":
            await HOSTILE[how]()

    async with (
        server.running(),
        trimcp.connect(server, revision="2025-11-25", roots=["/1"], name="bad") as bad,
        trimcp.connect(server, revision="2025-11-25", roots=["/1"], name="good") as good,
    ):
        for client in (bad, good, bad, good):
            client.set_roots(["/2"])
            await wait_all_tasks_blocked()
        assert told == ["bad", "good", "bad", "good"]
        assert handling(server) == 0
    assert len(logged.of("handler.failed")) == 2


@pytest.mark.parametrize("version", ALL)
async def test_a_client_that_declared_no_roots_is_not_heard(version: str) -> None:
    server, seen = watching()
    async with served(server, version) as peer:
        await peer.send(notification(CHANGED))
        assert await peer.settled() == []
    assert seen == []


def test_one_function_is_told_and_before_the_server_runs() -> None:
    server, _ = watching()
    with pytest.raises(trimcp.UsageError, match="once, before the server runs"):

        @server.on_roots_changed
        async def another(ctx: trimcp.SessionContext) -> None: ...
