"""Scripts of servers of either era, with what a test wants otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import trio

from tests.http.client.scripted import Answer, Ask, Script

MODERN = "2026-07-28"
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"
HINTS = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
CAPABILITIES: dict[str, Any] = {
    "tools": {"listChanged": True},
    "resources": {"subscribe": True, "listChanged": True},
    "prompts": {},
}

Scripts = Mapping[str, "Script | dict[str, Any]"]
"""What is done at each method: a script, or the result."""


def text(said: str) -> dict[str, Any]:
    """The result of a tool."""
    return {"resultType": "complete", "content": [{"type": "text", "text": said}]}


async def until_gone(ask: Ask, answer: Answer) -> None:
    """Answer nothing for as long as the client waits."""
    await ask.gone.wait()


async def quiet_stream(ask: Ask, answer: Answer) -> None:
    """A stream on which nothing comes."""
    await answer.stream()
    await ask.gone.wait()


async def listened(ask: Ask, answer: Answer) -> None:
    """Agree to tell of what is asked for; tell nothing."""
    await agree(ask, answer)
    await ask.gone.wait()


async def agree(ask: Ask, answer: Answer) -> None:
    """Agree to tell of what is asked for."""
    await answer.stream()
    params = {"notifications": ask.params["notifications"], "_meta": {SUBSCRIPTION: ask.id}}
    await answer.notice("notifications/subscriptions/acknowledged", params)


async def _do(script: Script | dict[str, Any] | None, ask: Ask, answer: Answer) -> None:
    if script is None:
        await answer.error(-32601, f"there is no {ask.method}")
    elif isinstance(script, dict):
        await answer.result(script)
    else:
        await script(ask, answer)


def modern(on: Scripts | None = None) -> Script:
    """A server of 2026-07-28."""
    scripts: dict[str, Script | dict[str, Any]] = {
        "server/discover": {
            **HINTS,
            "supportedVersions": [MODERN],
            "capabilities": CAPABILITIES,
            "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "scripted", "version": "1"}},
        },
        "tools/list": {**HINTS, "tools": []},
        "tools/call": text("done"),
        "subscriptions/listen": listened,
        **(on or {}),
    }

    async def serve(ask: Ask, answer: Answer) -> None:
        if ask.verb != "POST":
            await answer.whole(405, "text/plain", b"no")
            return
        await _do(scripts.get(ask.method), ask, answer)

    return serve


class Legacy:
    """A server with sessions. Call it as a script."""

    def __init__(
        self,
        on: Scripts | None = None,
        *,
        version: str = "2025-11-25",
        with_ids: bool = True,
        standing: Script | int = quiet_stream,
    ) -> None:
        """`standing`: what is done at GET, or the status that refuses it."""
        self.version = version
        self.with_ids = with_ids
        self.standing = standing
        self.scripts: dict[str, Script | dict[str, Any]] = {
            "tools/list": {"tools": []},
            "tools/call": text("done"),
            "resources/subscribe": {},
            "resources/unsubscribe": {},
            "ping": {},
            **(on or {}),
        }
        self.known: set[str] = set()
        self._count = 0
        self.refuses_to_open = False
        self._forgot = trio.Event()

    def forget(self) -> None:
        """Forget all sessions, and end their standing streams."""
        self.known.clear()
        self._forgot.set()
        self._forgot = trio.Event()

    async def __call__(self, ask: Ask, answer: Answer) -> None:
        id = ask.fields.get("Mcp-Session-Id")
        if ask.method == "server/discover":
            error = {"jsonrpc": "2.0", "id": None, "error": {"code": -32000, "message": "Bad Request: no session"}}
            await answer.json(error, 400)
        elif ask.method == "initialize":
            await self._initialize(ask, answer)
        elif self.with_ids and id not in self.known:
            error = {"jsonrpc": "2.0", "id": None, "error": {"code": -32001, "message": "Session not found"}}
            await answer.json(error, 404 if id else 400)
        elif ask.verb == "DELETE":
            self.known.discard(id)
            await answer.whole(200)
        elif ask.verb == "GET":
            await self._get(ask, answer)
        elif not isinstance(ask.message, dict) or "id" not in ask.message or "method" not in ask.message:
            script = self.scripts.get(ask.method)
            if callable(script):
                await script(ask, answer)
            else:
                await answer.whole(202)
        else:
            await _do(self.scripts.get(ask.method), ask, answer)

    async def _initialize(self, ask: Ask, answer: Answer) -> None:
        if self.refuses_to_open:
            await answer.error(-32603, "no more sessions", 503)
            return
        self._count += 1
        fields = {}
        if self.with_ids:
            self.known.add(f"s-{self._count}")
            fields["mcp-session-id"] = f"s-{self._count}"
        result = {
            "protocolVersion": self.version,
            "capabilities": CAPABILITIES,
            "serverInfo": {"name": "scripted", "version": "1"},
        }
        await answer.result(result, **fields)

    async def _get(self, ask: Ask, answer: Answer) -> None:
        if isinstance(self.standing, int):
            await answer.whole(self.standing, "text/plain", b"no")
            return
        async with trio.open_nursery() as nursery:

            async def end() -> None:
                await self._forgot.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(end)
            await self.standing(ask, answer)
            nursery.cancel_scope.cancel()


class Older:
    """A server of 2024-11-05: a stream at the URL, and another URL to post to."""

    def __init__(
        self,
        on: Scripts | None = None,
        *,
        status: int = 405,
        endpoint: str = "/messages?session=7",
        body: bytes = b"no",
    ) -> None:
        """
        Args:
            on: what is done at each method that is posted: a script, or the result.
            status: what a POST to the URL of the stream is refused with.
            endpoint: what the stream says to post to.
            body: of that refusal.
        """
        self.status, self.endpoint, self.body = status, endpoint, body
        self.stream: Answer | None = None
        self.scripts: dict[str, Script | dict[str, Any]] = {
            "initialize": {
                "protocolVersion": "2024-11-05",
                "capabilities": CAPABILITIES,
                "serverInfo": {"name": "older", "version": "1"},
            },
            "tools/list": {"tools": []},
            "tools/call": text("done"),
            **(on or {}),
        }
        self.hang_up = trio.Event()

    async def __call__(self, ask: Ask, answer: Answer) -> None:
        if ask.verb == "GET":
            self.stream = answer
            await answer.stream()
            await answer.event(self.endpoint, type="endpoint")
            async with trio.open_nursery() as nursery:

                async def wait(event: trio.Event) -> None:
                    await event.wait()
                    nursery.cancel_scope.cancel()

                nursery.start_soon(wait, self.hang_up)
                nursery.start_soon(wait, ask.gone)
        elif ask.path == "/mcp":
            media_type = "application/json" if self.body.startswith(b"{") else "text/plain"
            await answer.whole(self.status, media_type, self.body)
        else:
            assert ask.path == self.endpoint
            script = self.scripts.get(ask.method)
            if callable(script):
                await script(ask, answer)
                return
            await answer.whole(202)
            if script is not None:
                assert self.stream is not None
                await self.stream.result_event(script, to=ask.id)
