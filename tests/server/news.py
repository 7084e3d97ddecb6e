"""What the tests of subscriptions share: a server with something of everything, and its messages by hand."""

from __future__ import annotations

from typing import Any

import trimcp
from tests.session.peer import Peer, notification

SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"

LISTS = ("tools", "prompts", "resources")


def newsy(**limits: Any) -> trimcp.Server:
    """A server with a tool, a prompt and a resource."""
    server = trimcp.Server("newsy", limits=trimcp.Limits(**limits))

    @server.tool
    async def add(a: int, b: int) -> int:
        return a + b

    @server.prompt
    async def greet(name: str) -> str:
        return f"Greet {name}."

    server.add_resource("mem://motd", "Hello.")
    return server


def notify_list(server: trimcp.Server, kind: str) -> None:
    """Say that a list has changed."""
    {
        "tools": server.notify_tools_changed,
        "prompts": server.notify_prompts_changed,
        "resources": server.notify_resources_changed,
    }[kind]()


def listen(peer: Peer, id: Any, **wanted: Any) -> dict[str, Any]:
    """A `subscriptions/listen`; `tools=True` and `uris=[…]` for the fields of its filter."""
    filter = {f"{kind}ListChanged": wanted[kind] for kind in LISTS if kind in wanted}
    if "uris" in wanted:
        filter["resourceSubscriptions"] = wanted["uris"]
    return peer.request(id, "subscriptions/listen", {"notifications": filter})


def acknowledged(id: Any, **granted: Any) -> dict[str, Any]:
    """The first message of a listen."""
    filter = {f"{kind}ListChanged": True for kind in LISTS if granted.get(kind)}
    if "uris" in granted:
        filter["resourceSubscriptions"] = granted["uris"]
    return notification(
        "notifications/subscriptions/acknowledged", {"_meta": {SUBSCRIPTION: id}, "notifications": filter}
    )


def changed(kind: str, *, id: Any = None) -> dict[str, Any]:
    """The notice that a list has changed, for a listen or for a legacy session."""
    return notification(f"notifications/{kind}/list_changed", None if id is None else {"_meta": {SUBSCRIPTION: id}})


def updated(uri: str, *, id: Any = None) -> dict[str, Any]:
    """The notice that a resource has changed."""
    tag = {} if id is None else {"_meta": {SUBSCRIPTION: id}}
    return notification("notifications/resources/updated", {**tag, "uri": uri})
