"""The program that every node serves: tools with counted effects, a question, and squares to subscribe to.

An effect is a line in a file that the environment names, appended by one write: it survives `kill -9`. The effects of
tasks are in a file of their own, with their times, since the ledger reads them in another way.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import secrets
import time
from dataclasses import dataclass

import trio

import trimcp
from trimcp.stores import node_store

# Before the store is made: its nodes count as dead earlier, so that a simulation need not be long.
node_store.LEASE = float(os.environ.get("TOWN_LEASE", node_store.LEASE))  # type: ignore[misc]
server = trimcp.Server(
    "town", limits=trimcp.Limits(sessions=int(os.environ.get("TOWN_SESSIONS", "2000")), anonymous_tasks=100_000)
)


def _opened(variable: str) -> int:
    return os.open(os.environ.get(variable, os.devnull), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


_effects = _opened("TOWN_EFFECTS")
_task_effects = _opened("TOWN_TASK_EFFECTS")


@dataclass
class Wish:
    """The form of a question."""

    word: str


@server.tool
async def ring(key: str, seconds: float = 0.0) -> str:
    """Ring the bell once."""
    await trio.sleep(seconds)
    os.write(_effects, f"{key}\n".encode())
    return f"rang {key}"


@server.tool
async def work(rounds: int) -> str:
    """Compute for about a millisecond in each round."""
    digest = b""
    for _ in range(rounds):
        digest = hashlib.pbkdf2_hmac("sha256", b"town", digest, 2500)
    return digest.hex()


@server.tool
async def ask(key: str, *, ctx: trimcp.Context) -> str:
    """Ask the user for a word, and then ring the bell once."""
    answer = await ctx.elicit(f"A word for {key}?", Wish)
    os.write(_effects, f"{key}\n".encode())
    return "no word" if answer.data is None else f"{answer.data.word} for {key}"


@server.resource("town://square/{number}")
async def square(number: str) -> str:
    """A square of the town."""
    return f"square {number}"


@server.tool
async def announce(number: int) -> None:
    """Tell all who watch a square that it has changed."""
    server.notify_resource_updated(f"town://square/{number}")


# --- tasks ----------------------------------------------------------------------------


class _Run:
    """One run of the function of a task: notes its effects."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._name = secrets.token_hex(4)
        self.note("began")

    def note(self, event: str, step: int = 0, value: str = "") -> None:
        """Append a line to the effects of tasks."""
        line = json.dumps([self._key, self._name, event, step, value, time.time()])
        os.write(_task_effects, f"{line}\n".encode())

    def step(self, number: int) -> str:
        """Take a step: its effect, and a value that no other run gives."""
        value = f"{number}.{self._name}"
        self.note("step", number, value)
        return value


@server.tool(task="required", on_lost="rerun")
async def build(key: str, steps: int, seconds: float, *, ctx: trimcp.Context) -> str:
    """Build in steps that are kept, with a pause before each."""
    await ctx.become_task()
    run = _Run(key)
    values = []
    for number in range(steps):
        await trio.sleep(seconds)
        values.append(await ctx.once(f"step {number}", functools.partial(run.step, number)))
        run.note("kept", number, values[-1])
    run.note("done")
    return " ".join(values)


@server.tool(task="required")
async def deliver(key: str, seconds: float, *, ctx: trimcp.Context) -> str:
    """Deliver a letter once, after a while, or never."""
    await ctx.become_task()
    run = _Run(key)
    await trio.sleep(seconds)
    run.note("done")
    return f"delivered {key}"


@server.tool(task="required", on_lost="rerun")
async def wish(key: str, seconds: float, *, ctx: trimcp.Context) -> str:
    """Ask the user for a word, and work for a while."""
    await ctx.become_task()
    run = _Run(key)
    answer = await ctx.elicit(f"A word for {key}?", Wish)
    await trio.sleep(seconds)
    run.note("done")
    return "no word" if answer.data is None else f"{answer.data.word} for {key}"
