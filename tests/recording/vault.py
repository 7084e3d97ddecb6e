"""A server with secrets, questions and slow work, and how it is recorded and replayed in this process."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import attrs
import pydantic
import trio

import trimcp
from trimcp.client.targets import opener_of
from trimcp.recording.connections import duplex_connection
from trimcp.recording.differences import Comparison, IgnoredPaths
from trimcp.recording.format import Recording, read_recording
from trimcp.recording.replaying import Replay, ReplayedStep
from trimcp.recording.writer import RecordingWriter

CANARY = "canary-of-the-vault"
"""Is in every secret: no recording may have it."""
PATIENCE = 60.0


@attrs.define
class Credentials:
    """What a person is asked for."""

    user: str
    phrase: str


class Inner(pydantic.BaseModel):
    """Has a secret of whose name no list knows."""

    motto: str = pydantic.Field(json_schema_extra={"writeOnly": True})


def vault(*, sum_of: Callable[[int, int], int] = lambda a, b: a + b, name: str = "vault") -> trimcp.Server:
    """Make the server."""
    server = trimcp.Server(name, version="1")

    @server.tool
    async def add(a: int, b: int) -> int:
        """Add two numbers."""
        return sum_of(a, b)

    @server.tool
    async def unlock(password: str) -> str:
        """Repeat a secret."""
        return f"{password} opens nothing"

    @server.tool
    async def whisper(
        hint: Annotated[str, pydantic.Field(json_schema_extra={"format": "password"})], inner: Inner
    ) -> str:
        """Repeat secrets that only their schemas call so."""
        return f"{hint} and {inner.motto}"

    @server.tool
    async def wait(ctx: trimcp.Context) -> str:
        """Report once, and wait for the cancel."""
        await ctx.progress(1, 2, "begun")
        await trio.sleep_forever()
        return "never"

    @server.tool
    async def enter(ctx: trimcp.Context) -> str:
        """Ask for a form, and then a model."""
        answer = await ctx.elicit("Who goes there?", Credentials)
        assert answer.data is not None
        said = await ctx.sample(f"greet {answer.data.user}", max_tokens=10)
        return f"{said.text}, {answer.data.user}"

    @server.resource("vault://{number}")
    async def shelf(number: int) -> str:
        """What is on a shelf."""
        return f"gold {number}"

    return server


async def fill_in(params: Any) -> dict[str, Any]:
    """Answer the form of `enter`."""
    return {"user": "anna", "phrase": "open sesame"}


async def model(params: Any) -> str:
    """Answer as a model."""
    return "welcome"


async def recorded(
    path: Path, target: Any, revision: str, use: Callable[[trimcp.Client], Awaitable[Any]], **options: Any
) -> Recording:
    """Record what a client does with a server."""
    with trio.fail_after(PATIENCE), RecordingWriter(path) as tap:
        asked = {"elicitation": fill_in, "sampling": model, **options}
        async with trimcp.connect(target, revision=revision, tap=tap, **asked) as client:
            await use(client)
    return read_recording(path)


async def replayed(
    recording: Recording, server: trimcp.Server, ignored: Sequence[str] = (), **options: Any
) -> list[ReplayedStep]:
    """Replay the only session of a recording to a server."""
    (entries,) = recording.sessions()
    opener = opener_of(server, env=None, inherit_env=False, cwd=None, on_stderr=None, limit=2**20)
    replay = Replay(entries, Comparison(IgnoredPaths(ignored)), **options)
    with trio.fail_after(PATIENCE):
        async with functools.partial(duplex_connection, opener)() as connection:
            return await replay.run(connection)


def outcome(steps: Sequence[ReplayedStep]) -> list[tuple[str, bool]]:
    """The methods of the requests, and whether each had the same answer."""
    return [(step.recorded.method, step.is_same) for step in steps if step.recorded.is_request]
