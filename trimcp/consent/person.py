"""`Person`: the user of a host, who is asked. A host implements it with its own dialogs."""

from __future__ import annotations

import abc
import enum

from trimcp.client.features.consent import ModelAnswer, ModelPrompt
from trimcp.consent.question import Question


class Choice(enum.Enum):
    """The answer to a question."""

    YES = "yes"
    """This once."""
    ALWAYS = "always"
    """Until the definition changes, or the decision is revoked."""
    NO = "no"
    """Not this time."""
    NEVER = "never"
    """Never, until the decision is revoked."""


class Person(abc.ABC):
    """Answers questions about consent. Methods run in a dialog: one question is open at a time.

    A dialog is cancelled when its time is over, or when the request that needs it is cancelled. Show `question.text`:
    secrets are masked in it, and unsafe characters are escaped.
    """

    @abc.abstractmethod
    async def decide(self, question: Question) -> Choice:
        """Return the person's choice."""

    async def review(self, question: Question, draft: ModelPrompt | ModelAnswer) -> ModelPrompt | ModelAnswer | None:
        """Return a prompt, or an answer of the model, as it may be sent; None for a no.

        A dialog that lets the person change the text overrides it, and returns a changed `draft`.
        """
        return draft if await self.decide(question) in (Choice.YES, Choice.ALWAYS) else None
