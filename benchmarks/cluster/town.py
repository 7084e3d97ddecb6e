"""The program that every node serves: tools with counted effects, a question, and squares to subscribe to.

An effect is a line in the file that the environment names, appended by one write: it survives `kill -9`.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass

import trio

import trimcp
from trimcp.stores import node_store

# Before the store is made: its nodes count as dead earlier, so that a simulation need not be long.
node_store.LEASE = float(os.environ.get("TOWN_LEASE", node_store.LEASE))  # type: ignore[misc]
server = trimcp.Server("town", limits=trimcp.Limits(sessions=int(os.environ.get("TOWN_SESSIONS", "2000"))))
_effects = os.open(os.environ.get("TOWN_EFFECTS", os.devnull), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


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
