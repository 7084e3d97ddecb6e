"""The sections of a server: what stays from one to the next."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from trimcp.view.figures import Figures
from trimcp.view.state import State


@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
async def test_a_client_keeps_its_name_between_two_requests(version: str, autojump_clock: MockClock) -> None:
    server = trimcp.Server("shop")

    @server.tool
    async def wait() -> None:
        await trio.sleep_forever()

    state = State(server._runs, Figures(), control=False)
    async with trimcp.connect(server, name="tester", version="9", revision=version) as client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: client.call_tool("wait"))
            await wait_all_tasks_blocked()
            (busy,) = [section for name, section in state.sections().items() if name.startswith("session:")]
            assert (busy["client"], len(busy["requests"])) == ("tester 9", 1)
            nursery.cancel_scope.cancel()
        await wait_all_tasks_blocked()
        (idle,) = [section for name, section in state.sections().items() if name.startswith("session:")]
        assert (idle["client"], len(idle["requests"])) == ("tester 9", 0)
    assert not [name for name in state.sections() if name.startswith("session:")]
    assert not state._clients
