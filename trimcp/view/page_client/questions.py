"""What the server asks of its client, answered by the person at the page: forms, web pages, sampling, consent."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, Final

from trimcp.actors.reply import Reply
from trimcp.codec.revisions import codec_for
from trimcp.consent.person import Choice, Person
from trimcp.consent.question import Question
from trimcp.consent.web_address import is_web_page, warnings_of
from trimcp.errors import RequestFailed, UsageError
from trimcp.types.content import TextContent
from trimcp.types.elicitation import ElicitRequestFormParams, ElicitRequestURLParams, ElicitResult
from trimcp.types.revisions import LATEST
from trimcp.types.sampling import CreateMessageRequestParams, CreateMessageResult
from trimcp.view.control import ControlRefused
from trimcp.view.page_client.outbox import PageOutbox

OPEN: Final = 16
"""Questions that wait for a person. Further ones are refused."""
REJECTED: Final = -1
"""The code that tells a server that the user refused (client/sampling, "Error Handling")."""
MODEL: Final = "a person"
"""The name of the model in answers to sampling."""


class PageQuestions:
    """Shows the questions of a server on a page, and waits for the answers."""

    def __init__(self, outbox: PageOutbox) -> None:
        self._outbox = outbox
        self._open: dict[int, Reply[Mapping[str, Any]]] = {}
        self._numbers = itertools.count(1)
        self._wire = codec_for(LATEST).unstructure

    def answer(self, number: object, answer: Mapping[str, Any]) -> None:
        """Give the answer of the person.

        Raises:
            ControlRefused: the question waits no more.
        """
        reply = self._open.get(number) if isinstance(number, int) else None
        if reply is None or not reply.set(answer):
            raise ControlRefused("The question waits no more: the server has withdrawn it")

    async def ask(self, kind: str, **members: Any) -> Mapping[str, Any]:
        """Show a question until it is answered, or the caller is cancelled.

        Raises:
            RequestFailed: too many questions are open.
        """
        if len(self._open) >= OPEN:
            raise RequestFailed(REJECTED, f"The person has {OPEN} questions open: ask later")
        number = next(self._numbers)
        reply = self._open[number] = Reply()
        self._outbox.post("question", number=number, kind=kind, **members)
        try:
            return await reply.wait()
        finally:
            del self._open[number]
            self._outbox.post("closed", number=number)

    async def fill_in(self, params: ElicitRequestFormParams) -> ElicitResult:
        """Have a form filled in: the `elicitation` of the client."""
        return _elicited(await self.ask("form", message=params.message, schema=params.requested_schema))

    async def visit(self, params: ElicitRequestURLParams) -> ElicitResult:
        """Show a URL, which the person opens: the `visit` of the client."""
        if not is_web_page(params.url):
            return ElicitResult("decline")
        shown = {"message": params.message, "url": params.url, "warnings": list(warnings_of(params.url))}
        return _elicited(await self.ask("page", **shown))

    async def sample(self, params: CreateMessageRequestParams) -> CreateMessageResult:
        """Have the person answer as the model: the `sampling` of the client.

        Raises:
            RequestFailed: the person refused.
        """
        answer = await self.ask("sampling", params=self._wire(params))
        text = answer.get("text")
        if not isinstance(text, str):
            raise RequestFailed(REJECTED, "User rejected sampling request")
        model = answer.get("model")
        return CreateMessageResult(
            "assistant", TextContent(text), model if isinstance(model, str) and model else MODEL, "endTurn"
        )


def _elicited(answer: Mapping[str, Any]) -> ElicitResult:
    action, content = answer.get("action"), answer.get("content")
    if action == "accept":
        return ElicitResult("accept", content if isinstance(content, dict) else None)
    return ElicitResult("decline" if action == "decline" else "cancel")


class PagePerson(Person):
    """Asks on the page."""

    def __init__(self, questions: PageQuestions) -> None:
        self._questions = questions

    async def decide(self, question: Question) -> Choice:
        """See `Person`."""
        answer = await self._questions.ask(
            "consent", text=question.text, whole=question.whole, can_remember=question.can_remember
        )
        try:
            return Choice(answer.get("choice"))
        except ValueError as exc:
            raise UsageError(f"{answer.get('choice')!r} is no choice: answer yes, always, no or never") from exc
