"""Clients of both eras, by hand: what they send is what a well-behaved client does, unless a test says otherwise."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.http.raw import Fields, Http, serving
from tests.http.wires import Answer, Wire
from tests.http.workshop import Workshop

MODERN = "2026-07-28"
STREAMABLE = ("2025-03-26", "2025-06-18", "2025-11-25")
"""The legacy revisions that have streamable HTTP."""
PREFIX = "io.modelcontextprotocol/"
SUBSCRIPTION = PREFIX + "subscriptionId"

BUSY, DRAINING, TOO_MANY_SESSIONS = -31001, -31002, -31004

NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}


def request(id: Any, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
    """A request."""
    return {"jsonrpc": "2.0", "id": id, "method": method, **({} if params is None else {"params": params})}


def notification(method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
    """A notification."""
    return {"jsonrpc": "2.0", "method": method, **({} if params is None else {"params": params})}


def response(id: Any, result: dict[str, Any]) -> dict[str, Any]:
    """An answer."""
    return {"jsonrpc": "2.0", "id": id, "result": result}


def encoded(value: str) -> str:
    """A header's value in base64."""
    return f"=?base64?{base64.b64encode(value.encode()).decode()}?="


class Modern:
    """A client of 2026-07-28."""

    def __init__(self, http: Http, capabilities: dict[str, Any] | None = None, principal: str | None = None) -> None:
        self.http = http
        self.capabilities = capabilities or {}
        self.principal = principal

    def request(self, id: Any, method: str, params: dict[str, Any] | None = None, **meta: Any) -> dict[str, Any]:
        """A request with all that it must carry."""
        stamp = {
            PREFIX + "protocolVersion": MODERN,
            PREFIX + "clientCapabilities": self.capabilities,
            PREFIX + "clientInfo": {"name": "raw", "version": "1"},
            **meta,
        }
        return request(id, method, {**(params or {}), "_meta": stamp})

    def fields(self, message: dict[str, Any]) -> dict[str, str]:
        """The header fields of a request."""
        method, params = message["method"], message.get("params", {})
        fields = {"MCP-Protocol-Version": MODERN, "Mcp-Method": method}
        if method in NAMED:
            name = params[NAMED[method]]
            fields["Mcp-Name"] = name if name.isascii() else encoded(name)
        if self.principal is not None:
            fields["Authorization"] = self.principal
        return fields

    async def post(self, message: dict[str, Any], *, fields: Fields | None = None, on: Wire | None = None) -> Answer:
        """Send a message; do not wait for the answer."""
        return await self.http.send("POST", body=message, fields={**self.fields(message), **(fields or {})}, on=on)

    async def ask(
        self,
        method: str,
        params: dict[str, Any] | None = None,
        *,
        id: Any = 1,
        fields: Fields | None = None,
        on: Wire | None = None,
        **meta: Any,
    ) -> Answer:
        """Send a request; do not wait for the answer."""
        return await self.post(self.request(id, method, params, **meta), fields=fields, on=on)

    async def call(self, name: str, arguments: dict[str, Any] | None = None, **given: Any) -> Answer:
        """Call a tool; do not wait for the answer."""
        round = {key: given.pop(key) for key in ("inputResponses", "requestState") if key in given}
        return await self.ask("tools/call", {"name": name, "arguments": arguments or {}, **round}, **given)

    async def listen(
        self, *, id: Any = 1, fields: Fields | None = None, on: Wire | None = None, **wanted: Any
    ) -> Answer:
        """Open a `subscriptions/listen`."""
        answer = await self.ask("subscriptions/listen", {"notifications": wanted}, id=id, fields=fields, on=on)
        return await answer.begun()


class Legacy:
    """A client of a session."""

    def __init__(self, http: Http, version: str, id: str, principal: str | None = None) -> None:
        self.http = http
        self.version = version
        self.id = id
        self.principal = principal

    @classmethod
    async def open(
        cls,
        http: Http,
        version: str = "2025-11-25",
        capabilities: dict[str, Any] | None = None,
        principal: str | None = None,
        on: Wire | None = None,
    ) -> Legacy:
        """Open a session, and say that it is ready."""
        answer = await initialize(http, version, capabilities, principal, on=on)
        body = await answer.json()
        assert answer.status == 200
        assert body["result"]["protocolVersion"] == version
        client = cls(http, version, answer.fields["mcp-session-id"], principal)
        assert (await client.notify("notifications/initialized")).status == 202
        return client

    def fields(self, further: Fields | None = None) -> dict[str, str | None]:
        """The header fields of every request."""
        fields: dict[str, str | None] = {"Mcp-Session-Id": self.id}
        if self.version >= "2025-06-18":
            fields["MCP-Protocol-Version"] = self.version
        if self.principal is not None:
            fields["Authorization"] = self.principal
        return {**fields, **(further or {})}

    async def post(self, message: Any, *, fields: Fields | None = None, on: Wire | None = None) -> Answer:
        """Send a message, or a batch; do not wait for the answer."""
        return await self.http.send("POST", body=message, fields=self.fields(fields), on=on)

    async def ask(
        self,
        method: str,
        params: dict[str, Any] | None = None,
        *,
        id: Any = 1,
        fields: Fields | None = None,
        on: Wire | None = None,
    ) -> Answer:
        """Send a request; do not wait for the answer."""
        return await self.post(request(id, method, params), fields=fields, on=on)

    async def call(
        self, name: str, arguments: dict[str, Any] | None = None, *, token: Any = None, **given: Any
    ) -> Answer:
        """Call a tool; do not wait for the answer. `token`: for progress."""
        meta = {} if token is None else {"_meta": {"progressToken": token}}
        return await self.ask("tools/call", {"name": name, "arguments": arguments or {}, **meta}, **given)

    async def notify(self, method: str, params: dict[str, Any] | None = None) -> Answer:
        """Send a notification."""
        return await (await self.post(notification(method, params))).ended()

    async def respond(self, id: Any, result: dict[str, Any]) -> Answer:
        """Answer a question of the server's."""
        return await (await self.post(response(id, result))).ended()

    async def get(self, last: str | None = None, *, fields: Fields | None = None, on: Wire | None = None) -> Answer:
        """Open a stream, or go on with one behind an event."""
        given = self.fields({**({} if last is None else {"Last-Event-ID": last}), **(fields or {})})
        return await self.http.ask("GET", fields={**given, "accept": "text/event-stream"}, on=on)

    async def delete(self, *, fields: Fields | None = None) -> Answer:
        """End the session."""
        return await (await self.http.send("DELETE", fields=self.fields(fields))).ended()


async def initialize(
    http: Http,
    version: str = "2025-11-25",
    capabilities: dict[str, Any] | None = None,
    principal: str | None = None,
    *,
    id: Any = 0,
    fields: Fields | None = None,
    on: Wire | None = None,
) -> Answer:
    """Ask for a session."""
    params = {
        "protocolVersion": version,
        "capabilities": capabilities or {},
        "clientInfo": {"name": "raw", "version": "1"},
    }
    sent = {} if principal is None else {"Authorization": principal}
    body = request(id, "initialize", params)
    return await (await http.send("POST", body=body, fields={**sent, **(fields or {})}, on=on)).begun()


@asynccontextmanager
async def open_session(
    door: str,
    version: str = "2025-11-25",
    capabilities: dict[str, Any] | None = None,
    principal: str | None = None,
    *,
    limits: dict[str, Any] | None = None,
    **options: Any,
) -> AsyncIterator[tuple[Workshop, Legacy]]:
    """Serve a workshop with these limits behind a door, by these options, and open a session with it."""
    shop = Workshop(limits=limits)
    async with serving(door, shop.server, **options) as http:
        yield shop, await Legacy.open(http, version, capabilities, principal)
