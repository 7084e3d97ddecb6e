"""Rotated secrets: event ids of before and after are read by every node, whenever it was started."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from tests.cluster.nodes import at, cluster
from tests.cluster.test_streams import begun, texts
from tests.http.clients import Legacy


async def test_streams_are_resumed_before_and_after_a_rotation(autojump_clock: MockClock) -> None:
    async with cluster(2) as those:
        one, two = those.nodes
        client = await Legacy.open(one.http)
        before = await begun(client, one, "before")
        old = before.last_id
        await before.drop()
        await those.store.secrets.rotate()
        await trio.sleep(15)
        after = await begun(client, one, "after")
        new = after.last_id
        await after.drop()
        assert old.split(".")[0] != new.split(".")[0]
        for name, last in (("before", old), ("after", new)):
            answer = await at(client, two).get(last)
            one.shop.open(name)
            assert texts(await answer.messages())[-1] == f"{name} is done"
