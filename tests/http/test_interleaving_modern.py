"""Whatever clients of 2026-07-28 do in whatever order: each gets its own answer, and who left is cancelled."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.http.clients import BUSY, SUBSCRIPTION, Modern
from tests.http.raw import DOORS, Http, serving
from tests.http.wires import Answer, Wire, settled
from tests.http.workshop import Workshop, by_name

STEPS = st.sampled_from(["call", "call", "talk", "listen", "drop", "finish", "finish", "notify", "settle"])


class World:
    """A server with few places, three principals, and what they have asked."""

    def __init__(self, http: Http, shop: Workshop) -> None:
        self.http = http
        self.shop = shop
        self.clients = [Modern(http, principal=name) for name in ("ada", "bob", "cyd")]
        self.shared: list[Wire | None] = [http.connect() if http.door == "asgi" else None for _ in self.clients]
        self.living: dict[str, Answer] = {}
        self.dropped: set[str] = set()
        self.listens: dict[str, Answer] = {}
        self.count = 0

    async def step(self, what: str, number: int) -> None:
        """Take one."""
        client, wire = self.clients[number % 3], self.shared[number % 3]
        self.count += 1
        name = f"{what} {self.count}"
        if what == "call":
            self.living[name] = await client.call("hold", {"name": name}, id=number % 2, on=wire)
        elif what == "talk":
            # On a connection of its own, so that one of them may be lost.
            self.living[name] = await client.call("talk", {"name": name}, id=number % 2, progressToken=name)
        elif what == "listen" and len(self.listens) < 5:
            self.listens[name] = await client.listen(id=name, toolsListChanged=True, on=wire)
        elif what == "notify":
            self.http.server.notify_tools_changed()
        elif what == "settle":
            await settled()
        elif self.living:
            name = list(self.living)[number % len(self.living)]
            if what == "finish":
                self.shop.open(name)
            elif what == "drop":
                await self.living.pop(name).drop()
                self.dropped.add(name)

    async def finish(self) -> None:
        """Let all of it end, and look at what came of it."""
        await settled()
        for name in self.living:
            self.shop.open(name)
        for name, answer in self.living.items():
            message = await answer.answer()
            if answer.status == 503:
                assert message["error"]["code"] == BUSY
                assert name not in self.shop.began
            else:
                text = message["result"]["content"][0]["text"]
                assert text == (name if name.startswith("call") else f"{name} is done")
                assert self.shop.ended[name] is None
        await settled()
        for name in self.dropped & set(self.shop.began):
            # It may have had its answer before its client left.
            assert self.shop.ended[name] in (None, "connection_lost")
        for name, listening in self.listens.items():
            for message in await listening.arrived():
                assert message["params"]["_meta"][SUBSCRIPTION] == name
            await listening.drop()
        await settled()
        (run,) = self.http.server.tree()
        assert run.places_free == run.places
        assert (run.listens, self.http.callers) == (0, 0)


@pytest.mark.parametrize("door", DOORS)
@settings(deadline=None, max_examples=60)
@given(steps=st.lists(st.tuples(STEPS, st.integers(0, 11)), max_size=40))
async def test_whatever_clients_do_each_gets_what_belongs_to_it(door: str, steps: list[tuple[str, int]]) -> None:
    shop = Workshop(limits={"server_requests": 4, "session_requests": 3, "session_waiting": 3})
    async with serving(door, shop.server, authenticate=by_name) as http:
        world = World(http, shop)
        for what, number in steps:
            await world.step(what, number)
            await trio.lowlevel.checkpoint()
        await world.finish()
