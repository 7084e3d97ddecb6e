"""The dialog at the terminal, for prompts; and lines that were typed before the question."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.cli.conftest import Typist
from trimcp.cli.consent_dialog import TerminalPerson
from trimcp.cli.terminal import Terminal
from trimcp.client.features.consent import ModelAnswer, ModelPrompt
from trimcp.consent import PeerServer, Question
from trimcp.types.content import TextContent
from trimcp.types.sampling import CreateMessageRequestParams, CreateMessageResult, SamplingMessage

SERVER = PeerServer("notes", "notes", "x")
PARAMS = CreateMessageRequestParams([SamplingMessage("user", TextContent("my diary"))], 50)
PROMPT = ModelPrompt(SERVER, PARAMS)
ANSWER = ModelAnswer(SERVER, PARAMS, CreateMessageResult("assistant", TextContent("42"), "model"))


@pytest.mark.parametrize(("word", "is_yes"), [("y", True), ("yes", True), ("", False), ("n", False)])
async def test_a_prompt_is_sent_or_refused(typing: Callable[..., Typist], word: str, is_yes: bool) -> None:
    typing("what?", word)
    for draft in (PROMPT, ANSWER):
        typing(word)
        assert await TerminalPerson(Terminal()).review(Question(draft), draft) is (draft if is_yes else None)


async def test_a_prompt_and_an_answer_can_be_changed(typing: Callable[..., Typist]) -> None:
    typing("e", "nothing")
    prompt: Any = await TerminalPerson(Terminal()).review(Question(PROMPT), PROMPT)
    assert prompt.params.messages == [SamplingMessage("user", TextContent("nothing"))]
    typing("e", "7")
    answer: Any = await TerminalPerson(Terminal()).review(Question(ANSWER), ANSWER)
    assert answer.result.content == TextContent("7")
    typing("e")
    assert await TerminalPerson(Terminal()).review(Question(ANSWER), ANSWER) is None


async def test_a_cancelled_question_takes_no_line_of_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.pipe()
    kept = os.dup(0)
    os.dup2(ours, 0)
    try:
        terminal = Terminal()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(terminal.ask, "first? ")
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        os.write(theirs, b"for the second\n")
        assert await terminal.ask("second? ") == "for the second"
        os.write(theirs, b"y\ny\n")
        assert await terminal.ask("third? ") == "y"
        terminal.forget_typed()
        os.close(theirs)
        assert await terminal.ask("fourth? ") is None
    finally:
        os.dup2(kept, 0)
        os.close(kept)
        os.close(ours)
