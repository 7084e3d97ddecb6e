"""The end of a session over HTTP ends the reading of notices, in a client and in no group alike."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.http.client.eras import Legacy, modern
from tests.http.client.scripted import scripted
from trimcp.errors import ConnectionLost


@pytest.mark.parametrize("era", ["legacy", "modern"])
@pytest.mark.parametrize("how", ["notices", "listen"])
async def test_readers_of_notices_do_not_wait_for_a_session_that_is_over(
    how: str, era: str, autojump_clock: MockClock
) -> None:
    server: Any = Legacy() if era == "legacy" else modern()
    async with scripted(server) as running, trimcp.connect(running.url) as client:
        reading = client.notices() if how == "notices" else client.listen(tools=True)
        async with reading as notices, trio.open_nursery() as nursery:

            async def read() -> None:
                with trio.fail_after(5), pytest.raises(ConnectionLost, match="does not read"):
                    async for _ in notices:
                        pass

            nursery.start_soon(read)
            await wait_all_tasks_blocked()
            client._run.session.lose(ConnectionLost("the server asks, and does not read the answers"))
        with pytest.raises(ConnectionLost):
            async with client.notices():
                pass
