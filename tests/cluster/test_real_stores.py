"""The same on SQLite and on a real Valkey: one story for each, since the stores have contracts of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from tests.cluster.nodes import Node, at
from tests.cluster.stores import LinkedStore
from tests.cluster.test_streams import texts
from tests.http.clients import Legacy
from tests.stores.valkey import running_valkey
from trimcp.stores.sqlite.store import SQLite
from trimcp.stores.store import Store
from trimcp.stores.valkey.store import Valkey
from trimcp.types.jsonrpc import NODE_LOST

LEASE = 4.0  # a shorter one runs out on a machine that is busy


@contextmanager
def on_sqlite(directory: Path) -> Iterator[Callable[[], Store]]:
    yield lambda: SQLite(directory / "state.db", lease=LEASE)


@contextmanager
def on_valkey(directory: Path) -> Iterator[Callable[[], Store]]:
    with running_valkey() as valkey:
        yield lambda: Valkey(valkey.url, lease=LEASE, deadline=5.0)


@pytest.mark.parametrize("on", [on_sqlite, on_valkey])
async def test_a_session_outlives_its_node(on: Callable[[Path], Iterator[Callable[[], Store]]], tmp_path: Path) -> None:
    with on(tmp_path) as make:  # type: ignore[attr-defined]
        nodes = [Node(LinkedStore(make()), {}, {}) for _ in range(3)]
        one, two, three = nodes
        with trio.fail_after(120):
            async with trio.open_nursery() as nursery:
                for node in nodes:
                    await nursery.start(node.serve)
                client = await Legacy.open(one.http, capabilities={"elicitation": {}})
                await (await at(client, two).ask("resources/subscribe", {"uri": "mem://motd"})).result()
                # An answer to one node, posted to another.
                asking = await client.call("ask", id=2)
                question = await asking.message()
                await at(client, three).respond(question["id"], {"action": "decline"})
                assert await asking.text() == "Hello stranger."
                # A stream of a node that lives, then of one that is killed.
                answer = await client.call("talk", {"name": "it"}, token=1, id=3)
                await answer.message()
                followed = await at(client, two).get(answer.last_id)
                held = await client.call("hold", {"name": "that"}, id=4)
                while not held.last_id:
                    await held._more()
                one.shop.open("it")
                assert texts(await followed.messages())[-1] == "it is done"
                await one.kill()
                (lost,) = await (await at(client, three).get(held.last_id)).messages()
                assert (lost["id"], lost["error"]["code"]) == (4, NODE_LOST)
                # The subscription lives on.
                stream = await at(client, three).get()
                two.shop.server.notify_resource_updated("mem://motd")
                assert (await stream.message())["method"] == "notifications/resources/updated"
                assert (await at(client, two).delete()).status == 204
                while (await (await at(client, three).call("add", {"a": 1, "b": 1})).ended()).status != 404:
                    await trio.sleep(0.01)  # the bus tells it, some milliseconds later
                for node in (two, three):
                    await node.leave()
                nursery.cancel_scope.cancel()
