"""An answer on a stream that cannot be read fails its call at once, though the stream stays open."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock

import trimcp
from tests.http.client.eras import Legacy, modern
from tests.http.client.scripted import Answer, Ask, scripted
from tests.session.test_unreadable_answers import KINDS, unreadable
from trimcp import InvalidResult, Limits
from trimcp.framing.sse import encode_event


@pytest.mark.parametrize("era", ["legacy", "modern"])
@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_that_cannot_be_read_fails_its_call_at_once(
    kind: str, era: str, autojump_clock: MockClock
) -> None:
    async def call(ask: Ask, answer: Answer) -> None:
        await answer.stream()
        await answer.piece(encode_event(unreadable(ask.id)[kind]))
        await ask.gone.wait()

    on: dict[str, Any] = {"tools/call": call}
    async with (
        scripted(modern(on) if era == "modern" else Legacy(on)) as server,
        trimcp.connect(server.url, limits=Limits(message_bytes=65536)) as client,
    ):
        with trio.fail_after(1), pytest.raises(InvalidResult):
            await client.request("tools/call", {"name": "a"})
