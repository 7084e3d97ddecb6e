"""What a server asks while a command of ours runs: a person answers at the terminal, or a file does.

Without either nothing is offered to the server, which is then told so when it asks. There is no model
here, so sampling is never offered.
"""

from __future__ import annotations

import abc
import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from trimcp.cli.forms import Field, fields_of
from trimcp.codec.jsontext import InvalidJson, loads
from trimcp.errors import UsageError
from trimcp.types.elicitation import ElicitAction, ElicitResult

if TYPE_CHECKING:
    from trimcp.cli.terminal import Terminal
    from trimcp.types.elicitation import ElicitRequestFormParams, ElicitRequestURLParams

ACCEPT: Final = "accept"
DECLINE: Final = "decline"
CANCEL: Final = "cancel"
ACTIONS: Final = (ACCEPT, DECLINE, CANCEL)
YES_OR_NO: Final[dict[str, ElicitAction]] = {
    **dict.fromkeys(("", "y", "yes"), ACCEPT),
    **dict.fromkeys(("n", "no"), DECLINE),
    **dict.fromkeys(("c", "cancel"), CANCEL),
}


class Asked(abc.ABC):
    """Whoever answers."""

    @staticmethod
    def of(options: argparse.Namespace, terminal: Terminal) -> Asked | None:
        """A file, a person, or nobody.

        Raises:
            UsageError: the file cannot be read, or holds no answers.
        """
        if options.answers is not None:
            return FromFile(options.answers, terminal)
        return AtTerminal(terminal) if terminal.is_interactive else None

    @abc.abstractmethod
    async def fill_in(self, form: ElicitRequestFormParams) -> ElicitResult:
        """Fill in a form: what `trimcp.connect` takes as `elicitation`."""

    @abc.abstractmethod
    async def visit(self, page: ElicitRequestURLParams) -> ElicitResult:
        """Go to a page, or not: what `trimcp.connect` takes as `visit`."""


class AtTerminal(Asked):
    """A person, asked field by field."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    async def fill_in(self, form: ElicitRequestFormParams) -> ElicitResult:
        """See `Asked`."""
        async with self._terminal.asking():
            self._terminal.say(f"\n{self._terminal.peer} asks: {form.message}")
            fields = fields_of(form.requested_schema)
            action = await self._agreed("Answer?" if fields else "Agree?")
            if action != ACCEPT:
                return ElicitResult(action)
            content: dict[str, Any] = {}
            for field in fields:
                given = await self._ask(field)
                if given is _ENDED:
                    return ElicitResult(CANCEL)
                if given is not None:
                    content[field.name] = given
            return ElicitResult(ACCEPT, content)

    async def visit(self, page: ElicitRequestURLParams) -> ElicitResult:
        """See `Asked`. The page is not opened by us: whoever has read where it leads opens it."""
        async with self._terminal.asking():
            self._terminal.say(
                f"\n{self._terminal.peer} asks: {page.message}\nIt wants you to open this page:\n\n  {page.url}\n"
            )
            return ElicitResult(await self._agreed("Will you?"))

    async def _agreed(self, question: str) -> ElicitAction:
        """accept, decline, or cancel."""
        while True:
            line = await self._terminal.ask(f"{question} [Y]es, [n]o, or [c]ancel: ")
            if line is None:
                return CANCEL
            action = YES_OR_NO.get(line.strip().lower())
            if action is not None:
                return action

    async def _ask(self, field: Field) -> Any:
        """What was filled in; None where it was left out, `_ENDED` where nothing more is to come."""
        for words in field.introduction():
            self._terminal.say(words)
        while True:
            line = await self._terminal.ask(field.prompt())
            if line is None:
                return _ENDED
            value, problem = field.read(line)
            if problem is None:
                return value
            self._terminal.say(f"  {problem}")


_ENDED: Final = object()


class FromFile(Asked):
    """Answers prepared in a JSON file.

    An object answers every form with those of its members that the form asks for. A list answers one
    question after the other: an object fills in a form, and `"accept"`, `"decline"` or `"cancel"` says
    what is done about a form or a page.
    """

    def __init__(self, path: str, terminal: Terminal) -> None:
        """
        Raises:
            UsageError: the file cannot be read, or holds no answers.
        """
        self._path = path
        self._terminal = terminal
        try:
            self._answers: Any = loads(Path(path).read_bytes())
        except OSError as exc:
            raise UsageError(f"cannot read {path}: {exc.strerror}") from exc
        except InvalidJson as exc:
            raise UsageError(f"{path} is no JSON: {exc}") from exc
        listed = self._answers if isinstance(self._answers, list) else [self._answers]
        if not all(isinstance(each, dict) or each in ACTIONS for each in listed):
            raise UsageError(f'{path} must hold an object, or a list of objects, "accept", "decline" and "cancel"')

    def _next(self) -> Any:
        if not isinstance(self._answers, list):
            return self._answers
        return self._answers.pop(0) if self._answers else None

    async def fill_in(self, form: ElicitRequestFormParams) -> ElicitResult:
        """See `Asked`."""
        answer = self._next()
        if answer in ACTIONS:
            return self._did(answer, form.message)
        fields = fields_of(form.requested_schema)
        content = {field.name: answer[field.name] for field in fields if answer is not None and field.name in answer}
        problems = [f"{field.name}: {problem}" for field in fields if (problem := field.problem(content))]
        if answer is None:
            problems = ["there is no further answer in it"]
        if problems:
            self._terminal.say(f"{self._path} does not answer the server's form: {'; '.join(problems)}")
            return self._did(DECLINE, form.message)
        self._did(ACCEPT, form.message)
        return ElicitResult(ACCEPT, content)

    async def visit(self, page: ElicitRequestURLParams) -> ElicitResult:
        """See `Asked`. Only a list can say yes to a page."""
        answer = self._next()
        return self._did(answer if answer in ACTIONS else DECLINE, f"{page.message} ({page.url})")

    def _did(self, action: ElicitAction, message: str) -> ElicitResult:
        self._terminal.say(f"{self._terminal.peer} asked: {message}: {action}")
        return ElicitResult(action)
