"""Consent at the terminal: the options `--ask`, `--allow` and `--deny`, and the dialog that they open."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Final

import attrs

from trimcp.client.features.consent import ModelAnswer, ModelPrompt
from trimcp.consent.person import Choice, Person
from trimcp.consent.policy import Policy
from trimcp.consent.rules import Rule
from trimcp.types.content import TextContent

if TYPE_CHECKING:
    from trimcp.cli.terminal import Terminal
    from trimcp.consent.question import Question

DIRECTORY: Final = "TRIMCP_CONSENT_DIR"
"""The environment variable that names the directory of decisions and of the audit log."""
_CHOICES: Final = {
    "": Choice.NO,
    **{word: choice for choice in Choice for word in (choice.value, choice.value[0])},
    "n": Choice.NO,
    "v": Choice.NEVER,
}


def directory() -> str | None:
    """Return the directory that the environment names."""
    return os.environ.get(DIRECTORY) or None


def policy_of(options: argparse.Namespace, terminal: Terminal) -> Policy | None:
    """Return the policy that the options ask for; None without any of them.

    Without a terminal no person can be asked, and the answer is no.
    """
    if not (options.ask or options.allow or options.deny):
        return None
    rules = [Rule("deny", tool=pattern) for pattern in options.deny]
    rules += [Rule("allow", tool=pattern) for pattern in options.allow]
    return Policy(
        rules,
        person=TerminalPerson(terminal) if terminal.is_interactive else None,
        default="ask" if options.ask or options.allow else "allow",
        directory=directory(),
    )


class TerminalPerson(Person):
    """Asks at the terminal. An empty line, and the end of input, is a no."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    async def decide(self, question: Question) -> Choice:
        """See `Person`."""
        lasting = "[a]lways, [N]o, ne[v]er" if question.can_remember else "[N]o"
        async with self._terminal.asking():
            while True:
                word = await self._answer(question, f"[y]es, {lasting}, or show the [w]hole text: ")
                choice = _CHOICES.get(word)
                if choice is not None and (question.can_remember or choice in (Choice.YES, Choice.NO)):
                    return choice

    async def review(self, question: Question, draft: ModelPrompt | ModelAnswer) -> ModelPrompt | ModelAnswer | None:
        """See `Person`. The person may type another text."""
        async with self._terminal.asking():
            while True:
                word = await self._answer(question, "[y]es, [N]o, [e]dit, or show the [w]hole text: ")
                if word in ("y", "yes"):
                    return draft
                if word in ("", "n", "no"):
                    return None
                if word in ("e", "edit"):
                    text = await self._terminal.ask("The text to send instead: ")
                    return None if text is None else _edited(draft, text)

    async def _answer(self, question: Question, prompt: str) -> str:
        """Show the question, and return a word that was typed after that; an empty one at the end of input."""
        # A line that was typed earlier is no answer to this question.
        self._terminal.forget_typed()
        self._terminal.say(f"\n{question.text}")
        while True:
            line = await self._terminal.ask(prompt)
            word = "" if line is None else line.strip().lower()
            if word not in ("w", "whole"):
                return word
            self._terminal.say(f"\n{question.whole}")


def _edited(draft: ModelPrompt | ModelAnswer, text: str) -> ModelPrompt | ModelAnswer:
    """Return a draft with another text, in a prompt in place of its last message."""
    content = TextContent(text)
    if isinstance(draft, ModelAnswer):
        return attrs.evolve(draft, result=attrs.evolve(draft.result, content=content))
    *former, last = draft.params.messages
    messages = [*former, attrs.evolve(last, content=content)]
    return attrs.evolve(draft, params=attrs.evolve(draft.params, messages=messages))
