"""Cancels calls while their handlers wait, and drains the server under them."""

from __future__ import annotations

from typing import Final

import attrs
import trio
import trio.testing

from trimcp.observability import events, log
from trimcp.testing.fake_peer import FakePeer, cancelled, open_fake_client
from trimcp.testing.server_checks.calls import shown
from trimcp.testing.server_checks.faults import Check, CheckReport
from trimcp.testing.server_checks.steps import Over, Steps
from trimcp.testing.server_checks.subjects import Arguments, Subject

SETTLING: Final = 1.0
"""Seconds after which a handler that polls is taken for one that waits."""
QUIET: Final = 0.005
"""Seconds without a step of any task, after which all of them wait."""


@attrs.frozen
class Interruption:
    """One call that is interrupted."""

    steps: Steps
    subject: Subject
    report: CheckReport
    arguments: Arguments

    async def cancel(self, over: Over) -> None:
        """Cancel the call while its handler waits: a step."""
        async with open_fake_client(self.steps.server, self.steps.revision) as peer:
            with log.captured() as lines:
                if await self._begin(peer):
                    self.report.cancelled += 1
                    await peer.send(cancelled(1))
                    limit = self.steps.server.limits.cleanup
                    problem = "" if await _ended(peer, limit) else _overstays(limit)
                    if any(line.event == events.CANCEL_SWALLOWED for line in lines):
                        problem = "returned a result after its cancel: let trio.Cancelled pass"
                    if problem:
                        self._found("cancel", problem)
            over()

    async def drain(self, over: Over) -> None:
        """Drain the session while the handler waits: a step."""
        async with open_fake_client(self.steps.server, self.steps.revision) as peer:
            if await self._begin(peer):
                self.report.drained += 1
                session = peer.session
                assert session is not None
                drained = await session.drain(0.0)
                if drained.lost:
                    self._found("drain", _overstays(self.steps.server.limits.cleanup))
            over()

    async def _begin(self, peer: FakePeer) -> bool:
        """Make the call; return whether its handler waits for something."""
        await peer.send(peer.request(1, self.subject.method, self.subject.params(self.arguments)))
        await _settle()
        return _in_flight(peer)

    def _found(self, check: Check, problem: str) -> None:
        self.steps.found(
            self.subject.kind, self.subject.name, check, f"{problem}. The arguments: {shown(self.arguments)}"
        )


async def _settle() -> None:
    """Wait until all tasks wait, or one is taken for a handler that polls."""
    with trio.move_on_after(SETTLING):
        await trio.testing.wait_all_tasks_blocked(QUIET)


async def _ended(peer: FakePeer, seconds: float) -> bool:
    """Wait until the session has no request; return whether it came to that."""
    with trio.move_on_after(seconds):
        while _in_flight(peer):  # noqa: ASYNC110 - a session tells no event for it
            await trio.sleep(QUIET)
    if _in_flight(peer):  # on a busy machine the time may pass before the server has its turn
        await _settle()
    return not _in_flight(peer)


def _in_flight(peer: FakePeer) -> bool:
    assert peer.session is not None
    return bool(peer.session.snapshot().requests)


def _overstays(seconds: float) -> str:
    return f"still runs {seconds:g} seconds after its cancel: let trio.Cancelled pass, and give a shield a deadline"
