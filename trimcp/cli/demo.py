"""`trimcp demo`: a server in a process of its own, and a client at work with it on this terminal.

The demonstration uses only the public API, over real pipes, and its figures are measured as it runs. `demo_server` is
the server. `demo_auth` is the demonstration of authorization.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping
from typing import Any, Final

import trio

import trimcp
from trimcp.cli import Command
from trimcp.cli.demo_screens import Bar, Screen, open_screen
from trimcp.session.duplex_session import DuplexSession

SERVER: Final = os.path.join(os.path.dirname(os.path.abspath(__file__)), "demo_server.py")

BATCHES: Final = (("rye", 12, 0.15), ("spelt", 24, 0.06), ("wheat", 40, 0.05), ("rye", 8, 0.25))
"""The calls that run at once: bread, loaves, and seconds for each loaf."""
PATIENCE: Final = 0.6
"""Seconds that the client waits for the dough."""
BURST: Final = 0.8
"""Seconds that each measurement takes."""
IN_FLIGHT: Final = 32


def demo(*, plain: bool = False, auth: bool = False) -> int:
    """Run the demonstration; return the exit code.

    Args:
        plain: whether to show plain lines of text on a terminal too.
        auth: whether to show authorization, in place of calls.

    Raises:
        ConnectionEnded: the server could not be started, or ended early.
        UsageError: a package that authorization needs is missing.
    """
    if auth:
        from trimcp.cli.demo_auth import show_authorization as show
    else:
        show = _show_calls
    trio.run(show, open_screen(plain=plain))
    return 0


async def _show_calls(screen: Screen) -> None:
    started = time.perf_counter()
    screen.heading("A server in a process of its own, and a client")
    # The server is our own, so it may inherit the environment, which tells where trimcp is.
    command = [sys.executable, "-m", "trimcp", "run", SERVER]
    async with trimcp.connect(command, on_stderr=screen.stderr_line, inherit_env=True) as client:
        info = client.server_info
        assert info is not None
        screen.say(f"connected in {time.perf_counter() - started:.2f} s: {client.session.description}")
        screen.say(f"{info.name} {info.version} speaks {client.protocol_version}")
        screen.say(f"tools: {', '.join(tool.name for tool in await client.list_tools())}")
        await _quick_call(client, screen)
        snapshot = await _several_at_once(client, screen)
        await _cancelled(client, screen)
        await _failing(client, screen)
        screen.heading("What the server was doing while it baked (server.tree())")
        screen.say(snapshot)
        await _figures(client, screen)
        session = client.session
        duplex = session.duplex if isinstance(session, DuplexSession) else None
    screen.heading("The end")
    screen.say(f"the server has exited with status {getattr(duplex, 'returncode', None)}; nothing is left behind")


async def _quick_call(client: trimcp.Client, screen: Screen) -> None:
    offer = await client.call_tool("price", {"bread": "spelt", "loaves": 3}, returns=dict[str, Any])
    screen.heading("A call with a structured result")
    screen.say(f"price(bread='spelt', loaves=3) -> {offer}")


async def _several_at_once(client: trimcp.Client, screen: Screen) -> str:
    """Run calls side by side, each with its progress; return a snapshot of the server meanwhile."""
    screen.heading(f"{len(BATCHES) + 1} calls at once, on one connection, with progress")

    async def call(bar: Bar, name: str, arguments: Mapping[str, Any]) -> None:
        result = await client.call_tool(name, arguments, on_progress=bar.moved)
        bar.done(result.text)

    with screen.bars():
        async with trio.open_nursery() as nursery:
            for bread, loaves, seconds in BATCHES:
                bar = screen.bar(f"bake({bread}, {loaves} loaves)")
                nursery.start_soon(call, bar, "bake", {"bread": bread, "loaves": loaves, "seconds": seconds})
            bar = screen.bar("grind(200 kilos), sync, in a thread")
            nursery.start_soon(call, bar, "grind", {"kilos": 200})
            await trio.sleep(1)
            tree = await client.call_tool("tree")
    return tree.text


async def _cancelled(client: trimcp.Client, screen: Screen) -> None:
    screen.heading("Calls that end early, and what the server is told")
    with trio.move_on_after(PATIENCE) as scope:
        await client.call_tool("ferment", {"hours": 12})
    assert scope.cancelled_caught
    screen.say(f"ferment(hours=12): the client left after {PATIENCE:g} s, by trio.move_on_after")
    try:
        await client.call_tool("cool", {"hours": 1})
    except trimcp.RequestFailed as exc:
        screen.say(f"cool(hours=1): {exc}, data {exc.data}")


async def _failing(client: trimcp.Client, screen: Screen) -> None:
    screen.heading("Calls that fail, and harm nobody else")
    for arguments in ({"loaves": 3, "slices": 0}, {"loaves": 3, "slices": "many"}):
        result = await client.call_tool("cut", arguments)
        screen.say(f"cut({_shown(arguments)}): is_error={result.is_error}, {result.text!r}")
    slices = await client.call_tool("cut", {"loaves": 3, "slices": 12}, returns=int)
    screen.say(f"cut(loaves=3, slices=12) -> {slices}")


def _shown(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())


async def _figures(client: trimcp.Client, screen: Screen) -> None:
    screen.heading("Figures, of this machine as busy as it is (client and server share it)")
    serial = await _calls_per_second(client, 1)
    pipelined = await _calls_per_second(client, IN_FLIGHT)
    for words, figure in (("one call after the other", serial), (f"{IN_FLIGHT} calls in flight", pipelined)):
        screen.say(f"add(a, b), {words:<24} {figure:>8,.0f} calls/s")


async def _calls_per_second(client: trimcp.Client, in_flight: int) -> float:
    calls = 0
    started = time.perf_counter()

    async def caller() -> None:
        nonlocal calls
        while time.perf_counter() - started < BURST:
            result = await client.call_tool("add", {"a": calls, "b": 1})
            assert not result.is_error
            calls += 1

    async with trio.open_nursery() as nursery:
        for _ in range(in_flight):
            nursery.start_soon(caller)
    return calls / (time.perf_counter() - started)


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--plain", action="store_true", help="no colours and no moving bars")
    parser.add_argument("--auth", action="store_true", help="show how a client signs in at a protected server")


COMMANDS: Final = {
    "demo": Command(
        "Show a server and a client at work, on this terminal, for some seconds.",
        _configure,
        lambda options: demo(plain=options.plain, auth=options.auth),
        "  trimcp demo\n  trimcp demo --plain\n  trimcp demo --auth",
    )
}
