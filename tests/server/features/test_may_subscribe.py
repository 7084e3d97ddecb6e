"""Who may subscribe to what: `@server.may_subscribe`, in both eras."""

from __future__ import annotations

from typing import Any

import pytest
from trio.testing import wait_all_tasks_blocked

import trimcp
from tests.session.peer import LEGACY, MODERN, served
from trimcp.client.notifications.notices import ResourceUpdated, Topics

LISTEN = "subscriptions/listen"


def guarded(asked: list[Any] | None = None) -> trimcp.Server:
    """A server whose `secret:` resources are for nobody, or for a client of a certain name."""
    server = trimcp.Server("guarded")
    server.add_resource("open:1", "")
    server.add_resource("secret:1", "")

    @server.may_subscribe
    def allowed(uri: str, ctx: trimcp.Context) -> bool:
        name = ctx.client_info.name if ctx.client_info else ""
        if asked is not None:
            asked.append((uri, ctx.method, ctx.principal, name))
        if uri == "worse:1":
            raise trimcp.RequestFailed(-31900, "not you")
        if uri == "broken:1":
            raise ValueError
        return not uri.startswith("secret:") or name == "boss"

    return server


@pytest.mark.parametrize("version", [LEGACY[0], "2025-11-25", MODERN])
async def test_what_is_not_for_a_client_is_not_acknowledged_nor_told(version: str) -> None:
    asked: list[Any] = []
    server = guarded(asked)
    async with (
        trimcp.connect(server, revision=version, name="mate") as client,
        client.listen(uris=["open:1", "secret:1"]) as notices,
    ):
        assert notices.acknowledged == Topics(uris=("open:1",))
        assert server.tree()[0].subscriptions == 1
        server.notify_resource_updated("secret:1")
        server.notify_resource_updated("open:1")
        assert await anext(notices) == ResourceUpdated("open:1")
    method = LISTEN if version == MODERN else "resources/subscribe"
    assert sorted(asked) == [("open:1", method, None, "mate"), ("secret:1", method, None, "mate")]


@pytest.mark.parametrize("version", ["2025-11-25", MODERN])
async def test_another_client_may(version: str) -> None:
    server = guarded()
    async with (
        trimcp.connect(server, revision=version, name="boss") as client,
        client.listen(uris=["secret:1"]) as notices,
    ):
        assert notices.acknowledged == Topics(uris=("secret:1",))
    async with trimcp.connect(server, revision=version) as client:
        with pytest.raises(trimcp.RequestFailed, match=r"may not subscribe|did not agree"):
            await client.subscribe("secret:1")


async def test_on_the_wire_a_legacy_subscription_is_refused_by_an_error() -> None:
    async with served(guarded(), "2025-11-25") as peer:
        answer = await peer.ask(peer.request(1, "resources/subscribe", {"uri": "secret:1"}))
        assert answer["error"]["code"] == -32602
        assert answer["error"]["data"] == {"uri": "secret:1"}


async def test_on_the_wire_a_listen_is_acknowledged_without_it() -> None:
    wanted = {"notifications": {"resourceSubscriptions": ["secret:1"], "resourcesListChanged": True}}
    async with served(guarded(), MODERN) as peer:
        told = await peer.ask(peer.request(1, LISTEN, wanted))
        assert told["params"]["notifications"] == {"resourceSubscriptions": [], "resourcesListChanged": True}


@pytest.mark.parametrize("version", ["2025-11-25", MODERN])
@pytest.mark.parametrize(("uri", "code"), [("worse:1", -31900), ("broken:1", -32603)])
async def test_what_it_raises_is_the_answer_to_all_of_the_request(version: str, uri: str, code: int) -> None:
    server = guarded()
    params = {"uri": uri} if version != MODERN else {"notifications": {"resourceSubscriptions": ["open:1", uri]}}
    async with served(server, version) as peer:
        method = LISTEN if version == MODERN else "resources/subscribe"
        answer = await peer.ask(peer.request(1, method, params))
        assert answer["error"]["code"] == code
        await wait_all_tasks_blocked()  # the answer may arrive before the request has unwound
        assert server.tree()[0].subscriptions == 0
        assert server.tree()[0].listens == 0


async def test_it_is_asked_after_the_bounds() -> None:
    asked: list[Any] = []
    async with served(guarded(asked), MODERN) as peer:
        uris = ["x:" + "y" * 5000]
        answer = await peer.ask(peer.request(1, LISTEN, {"notifications": {"resourceSubscriptions": uris}}))
        assert answer["error"]["code"] == -32602
    assert asked == []


def test_it_is_declared_once_before_the_server_runs_and_not_async() -> None:
    server = guarded()
    with pytest.raises(trimcp.UsageError, match="once"):
        server.may_subscribe(lambda uri, ctx: True)

    async def slow(uri: str, ctx: trimcp.Context) -> bool:
        return True

    with pytest.raises(trimcp.UsageError, match="must not be async"):
        trimcp.Server("s").may_subscribe(slow)  # type: ignore[arg-type]
