"""A person who answers as the test says, and servers to ask about."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import trio

import trimcp
from trimcp.client.features.consent import ModelAnswer, ModelPrompt
from trimcp.consent import Choice, Person, Policy, Question, Rule


class Scripted(Person):
    """Gives the choices one after the other, then a no; keeps the questions."""

    def __init__(self, *choices: Choice) -> None:
        self._choices = list(choices)
        self.questions: list[Question] = []
        self.open = 0
        self.most_open = 0

    @property
    def texts(self) -> list[str]:
        return [question.text for question in self.questions]

    async def decide(self, question: Question) -> Choice:
        self.questions.append(question)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await trio.lowlevel.checkpoint()
        finally:
            self.open -= 1
        return self._choices.pop(0) if self._choices else Choice.NO


class Silent(Person):
    """Never answers."""

    def __init__(self) -> None:
        self.opened = trio.Event()
        self.closed = trio.Event()

    async def decide(self, question: Question) -> Choice:
        self.opened.set()
        try:
            await trio.sleep_forever()
        finally:
            self.closed.set()
        raise AssertionError("it never answers")


class Editor(Scripted):
    """Changes prompts and answers by functions."""

    def __init__(self, edit: Callable[[Any], Any]) -> None:
        super().__init__()
        self._edit = edit

    async def review(self, question: Question, draft: ModelPrompt | ModelAnswer) -> ModelPrompt | ModelAnswer | None:
        self.questions.append(question)
        edited: ModelPrompt | ModelAnswer | None = self._edit(draft)
        return edited


def policy(directory: Path, person: Person | None = None, rules: Iterable[Rule] = (), **more: Any) -> Policy:
    """A policy that keeps its files in a directory of the test."""
    return Policy(rules, person=person, directory=directory / "consent", **more)


def audited(directory: Path) -> list[dict[str, Any]]:
    """The lines of the audit log."""
    text = (directory / "consent" / "audit.ndjson").read_text()
    return [json.loads(line) for line in text.splitlines()]


def notes(description: str = "Delete a note.", name: str = "notes") -> tuple[trimcp.Server, list[str]]:
    """A server with a tool, and the notes that were deleted."""
    server = trimcp.Server(name)
    deleted: list[str] = []

    @server.tool(description=description)
    async def delete(note: str, api_key: str = "") -> str:
        deleted.append(note)
        return f"deleted {note}"

    return server, deleted
