"""A server whose tools do what tests want to see, and tell what became of them."""

from __future__ import annotations

from typing import Annotated, Any

import attrs
import trio

import trimcp
from tests.http.wires import settled
from trimcp.errors import Unauthenticated
from trimcp.http.binding import HttpRequest


@attrs.define
class Person:
    """Whom to greet."""

    name: str


class Workshop:
    """The server, and what its tools have seen."""

    def __init__(self, *, limits: dict[str, Any] | None = None, **options: Any) -> None:
        bounds = trimcp.Limits(**{"grace": 0.01, **(limits or {})})
        self.server = trimcp.Server("workshop", limits=bounds, **{"log_level": None, **options})
        self.began: list[str] = []
        """Calls of `hold` by name, in order."""
        self.ended: dict[str, str | None] = {}
        """The reason why each was cancelled, or None."""
        self._gates: dict[str, trio.Event] = {}
        self._declare()

    def open(self, name: str) -> None:
        """Let a call of `hold` go on."""
        self._gates.setdefault(name, trio.Event()).set()

    async def begun(self, name: str) -> None:
        """Wait until a call of `hold` runs."""
        while name not in self.began:
            await settled()

    async def is_over(self, name: str) -> str | None:
        """Wait until it has ended; why it was cancelled."""
        while name not in self.ended:
            await settled()
        return self.ended[name]

    async def _hold(self, name: str, ctx: trimcp.Context) -> str:
        self.began.append(name)
        try:
            await self._gates.setdefault(name, trio.Event()).wait()
        finally:
            self.ended[name] = None if ctx.cancel_reason is None else ctx.cancel_reason.value
        return name

    def _declare(self) -> None:
        server = self.server

        @server.tool
        async def add(a: int, b: int) -> int:
            return a + b

        @server.tool
        async def hold(name: str, ctx: trimcp.Context) -> str:
            return await self._hold(name, ctx)

        @server.tool
        async def talk(name: str, ctx: trimcp.Context) -> str:
            """Say two things, wait, say another, and end."""
            await ctx.progress(1, 3)
            ctx.log("info", f"{name} begins")
            await self._hold(name, ctx)
            await ctx.progress(2, 3)
            return f"{name} is done"

        @server.tool
        async def ask(ctx: trimcp.Context) -> str:
            answer = await ctx.elicit("Who are you?", Person)
            return f"Hello {answer.data.name}." if answer.data is not None else "Hello stranger."

        @server.tool
        async def think(text: str, ctx: trimcp.Context) -> str:
            sampled = await ctx.sample(text)
            return sampled.text

        @server.tool
        async def big(bytes: int) -> str:
            return "x" * bytes

        @server.tool
        async def fail() -> str:
            raise RuntimeError("the secret is 4711")

        @server.tool
        async def unspeakable() -> Any:
            return {"it": object()}

        @server.tool
        async def leave(name: str, ctx: trimcp.Context) -> str:
            """Let go of the connection, and work on."""
            released = await ctx.close_stream(retry=2.5)
            await self._hold(name, ctx)
            return f"released: {released}"

        @server.tool
        async def query(region: Annotated[str, trimcp.Header("Region")], text: str) -> str:
            return f"{region}: {text}"

        @server.prompt
        async def greet(name: str) -> str:
            return f"Greet {name}."

        server.add_resource("mem://motd", "Hello.")
        server.add_resource("mem://grüße", "Hallo.")


async def by_name(request: HttpRequest) -> str | None:
    """Takes everybody for whom they say they are, and sends away whoever does not say."""
    name = request.field("Authorization")
    if name is None:
        raise Unauthenticated
    return name
