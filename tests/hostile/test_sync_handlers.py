"""Hostile sync handlers, which run in threads: 99 healthy calls beside them get right answers."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, Final

import pytest

import trimcp
from tests.hostile.crowd import STRIKES, Attack, Town, besiege, call_tool, in_time
from tests.hostile.doors import serving
from tests.hostile.functions import SYNC, Outcome, raises_a_kept_cancelled, stray_cancelled

FEW: Final = ("raises_generator_exit", "calls_sys_exit", "changes_a_context_variable")
KINDS = pytest.mark.parametrize("kind", ["tool", "resource", "prompt", "completion", "provider"])


class Word:
    """What the provider provides."""


def declare(kind: str, server: trimcp.Server, run: Callable[[], Any]) -> Callable[[trimcp.Client], Any]:
    """Declares a sync function as a handler; returns what calls it."""

    async def call(client: trimcp.Client) -> Any:
        match kind:
            case "resource":
                return (await client.read_resource("sync://it")).text
            case "prompt":
                (message,) = (await client.get_prompt("hostile")).messages
                return getattr(message.content, "text", None)
            case "completion":
                return (await client.complete("word", "", prompt="words")).values[0]
        return await call_tool(client, "hostile")

    def hostile() -> Any:
        return run()

    match kind:
        case "tool":
            server.tool(hostile)
        case "resource":
            server.resource("sync://it")(hostile)
        case "prompt":
            server.prompt(hostile)
        case "completion":

            @server.prompt
            def words(word: str) -> str:
                return word

            @server.completion("words", "word")
            def complete(value: str) -> list[Any]:
                return [run()]

        case "provider":

            @server.provider
            def provide() -> Word:
                run()
                return Word()

            @server.tool(name="hostile")
            def take(word: Word) -> str:
                return "changed"

    return call


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *(("tool", name) for name in SYNC),
        *((kind, name) for kind in ("resource", "prompt", "completion", "provider") for name in FEW),
    ],
)
async def test_a_hostile_sync_handler(kind: str, name: str) -> None:
    run, outcome = SYNC[name]
    async with in_time():
        town = Town()
        call = declare(kind, town.server, run)
        async with serving("memory", town.server) as service:
            await besiege(town, service.connect, [Attack(call, outcome, "changed")] * STRIKES)


@KINDS
async def test_a_sync_handler_that_raises_a_cancelled_taken_elsewhere(kind: str) -> None:
    async with in_time():
        town = Town()
        run = functools.partial(raises_a_kept_cancelled, await stray_cancelled())
        call = declare(kind, town.server, run)
        async with serving("memory", town.server) as service:
            await besiege(town, service.connect, [Attack(call, Outcome.FAILS)] * STRIKES)


@pytest.mark.parametrize("kind", ["tool", "resource", "prompt", "completion"])
async def test_a_sync_handler_that_waits_for_ever_is_left_in_its_thread(kind: str) -> None:
    gate = threading.Event()
    async with in_time():
        town = Town(limits=trimcp.Limits(grace=0.1))
        call = declare(kind, town.server, gate.wait)
        try:
            async with serving("memory", town.server) as service:
                await besiege(town, service.connect, [Attack(call, Outcome.HANGS)] * STRIKES)
        finally:
            gate.set()
