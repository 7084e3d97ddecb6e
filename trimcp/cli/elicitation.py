"""Answers to the elicitation of a server: by a person at the terminal, or by a file.

Without either, elicitation is not declared to the server. The command line has no model, so it
never declares sampling. A form may have text, numbers, yes or no, one or several of some options,
each perhaps with a default (client/elicitation). Values read here fit the field's schema, formats
included.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from trimcp.cli.arguments import BOOLEANS
from trimcp.codec.jsontext import InvalidJson, loads
from trimcp.errors import UsageError
from trimcp.schema.validation import SchemaRefused, compile_schema
from trimcp.types.elicitation import ElicitAction, ElicitResult

if TYPE_CHECKING:
    from trimcp.cli.terminal import Terminal
    from trimcp.schema.validation import SchemaValidator
    from trimcp.types.elicitation import ElicitRequestFormParams, ElicitRequestURLParams

Read = tuple[Any, str | None]
"""The value of a line (None: left out), and the problem with it, if there is one."""

_HINTS: Final = {"email": "an e-mail address", "uri": "a URI", "date": "YYYY-MM-DD", "date-time": "a date and time"}


def fields_of(schema: Mapping[str, Any]) -> list[Field]:
    """Return the fields of a form, in its order."""
    required = schema.get("required") or ()
    properties = schema.get("properties") or {}
    return [Field(name, each, is_required=name in required) for name, each in properties.items()]


class Field:
    """Describes one field of a form, and reads its value from a line."""

    def __init__(self, name: str, schema: Mapping[str, Any], *, is_required: bool) -> None:
        self.name: str = name
        self.is_required: bool = is_required
        self._schema = schema
        self._kind = schema.get("type", "string")
        self._options = list(_options(schema))
        self._validator: SchemaValidator | None = None

    @property
    def default(self) -> Any:
        """The value of an empty line; None without one."""
        return self._schema.get("default")

    # --- shown ------------------------------------------------------------------------

    def introduction(self) -> Iterator[str]:
        """Yield the lines that introduce the field."""
        title = self._schema.get("title") or self.name
        description = self._schema.get("description")
        yield f"\n{title}{'' if self.is_required else ' (optional)'}{f': {description}' if description else ''}"
        for number, (value, label) in enumerate(self._options, 1):
            yield f"  {number}. {label}{'' if label == value else f' ({value})'}"

    def prompt(self) -> str:
        """Return the prompt of the line."""
        default = self.default
        if isinstance(default, bool):
            default = "yes" if default else "no"
        elif isinstance(default, list):
            default = ", ".join(map(str, default))
        return f"  {self._wanted()}{'' if default is None else f' [{default}]'}: "

    def _wanted(self) -> str:
        if self._options:
            return "numbers or values, with commas" if self._kind == "array" else "number or value"
        if self._kind == "boolean":
            return "yes or no"
        low, high = self._schema.get("minimum"), self._schema.get("maximum")
        bounds = f" from {low:g}" if isinstance(low, int | float) else ""
        bounds += f" up to {high:g}" if isinstance(high, int | float) else ""
        if self._kind in ("integer", "number"):
            return ("whole number" if self._kind == "integer" else "number") + bounds
        return _HINTS.get(self._schema.get("format", ""), "text")

    # --- read -------------------------------------------------------------------------

    def read(self, line: str) -> Read:
        """Read the value from a typed line."""
        text = line if self._kind == "string" and not self._options else line.strip()
        if not text.strip():
            if self.default is not None:
                return self.default, None
            return None, "a value is required" if self.is_required else None
        value, problem = self._parse(text)
        return (None, problem) if problem is not None else (value, self._misfit(value))

    def problem(self, content: Mapping[str, Any]) -> str | None:
        """Return the problem with this field in the content of a form; None without one."""
        if self.name not in content:
            return "a value is required" if self.is_required else None
        return self._misfit(content[self.name])

    def _parse(self, text: str) -> Read:
        if self._kind == "array":
            chosen = [self._chosen(part.strip()) for part in text.split(",") if part.strip()]
            return (None, "choose among the options above") if None in chosen else (list(dict.fromkeys(chosen)), None)
        if self._options:
            value = self._chosen(text)
            return value, None if value is not None else "choose one of the options above"
        if self._kind == "boolean":
            answers = {**BOOLEANS, "y": True, "n": False}
            return answers.get(text.lower()), None if text.lower() in answers else "answer yes or no"
        if self._kind in ("integer", "number"):
            return _number(text, self._kind)
        return text, None

    def _chosen(self, text: str) -> str | None:
        values = [value for value, _ in self._options]
        if text in values:
            return text
        if text.isdecimal() and 1 <= int(text) <= len(values):
            return values[int(text) - 1]
        labels = {label.lower(): value for value, label in self._options}
        return labels.get(text.lower())

    def _misfit(self, value: Any) -> str | None:
        try:
            if self._validator is None:
                self._validator = compile_schema(dict(self._schema), formats=True)
        except SchemaRefused as exc:
            return f"the server's schema cannot be used: {exc}"
        problems = self._validator.problems(value, most=1)
        return problems[0].removesuffix(" @ $") if problems else None


def _number(text: str, kind: str) -> Read:
    try:
        return (int(text) if kind == "integer" else float(text)), None
    except ValueError:
        return None, "a whole number, such as 12" if kind == "integer" else "a number, such as 1.5"


def _options(schema: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the options of a field: values, and labels for people."""
    items = schema.get("items")
    holder = items if isinstance(items, Mapping) else schema
    for each in holder.get("oneOf") or holder.get("anyOf") or ():
        yield str(each["const"]), str(each.get("title", each["const"]))
    values = holder.get("enum") or ()
    names = holder.get("enumNames") or ()
    for at, value in enumerate(values):
        yield str(value), str(names[at]) if at < len(names) else str(value)


ACCEPT: Final = "accept"
DECLINE: Final = "decline"
CANCEL: Final = "cancel"
ACTIONS: Final = (ACCEPT, DECLINE, CANCEL)
YES_OR_NO: Final[dict[str, ElicitAction]] = {
    **dict.fromkeys(("", "y", "yes"), ACCEPT),
    **dict.fromkeys(("n", "no"), DECLINE),
    **dict.fromkeys(("c", "cancel"), CANCEL),
}


def answerer_of(options: argparse.Namespace, terminal: Terminal) -> TerminalAnswerer | FileAnswerer | None:
    """Return the answerer that the options and the terminal allow.

    Raises:
        UsageError: the file of answers cannot be read, or has another form.
    """
    if options.answers is not None:
        return FileAnswerer(options.answers, terminal)
    return TerminalAnswerer(terminal) if terminal.is_interactive else None


class TerminalAnswerer:
    """Asks a person, field by field."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    async def fill_in(self, form: ElicitRequestFormParams) -> ElicitResult:
        """Ask for each field; None ends the form."""
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
        """Show the page and ask; the person opens the page, after reading its address."""
        from trimcp.consent.web_address import is_web_page, shown_url, warnings_of

        async with self._terminal.asking():
            self._terminal.say(f"\n{self._terminal.peer} asks: {page.message}")
            if not is_web_page(page.url):
                self._terminal.say(f"It asks you to open {page.url}, which is no web page: declined")
                return ElicitResult(DECLINE)
            lines = [*shown_url(page.url), *(f"! {warning}" for warning in warnings_of(page.url))]
            self._terminal.say("It asks you to open this page:\n\n  " + "\n  ".join(lines) + "\n")
            return ElicitResult(await self._agreed("Open it yourself, if you trust that host. Do you agree?"))

    async def _agreed(self, question: str) -> ElicitAction:
        """Ask for agreement: accept, decline, or cancel."""
        while True:
            line = await self._terminal.ask(f"{question} [Y]es, [n]o, or [c]ancel: ")
            if line is None:
                return CANCEL
            action = YES_OR_NO.get(line.strip().lower())
            if action is not None:
                return action

    async def _ask(self, field: Field) -> Any:
        """Return the value; None if it was left out, `_ENDED` at the end of input."""
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


class FileAnswerer:
    """Answers from a JSON file.

    An object answers every form, with the members that the form asks for. A list answers one request
    after the other: an object fills in a form; `"accept"`, `"decline"` or `"cancel"` is the action for
    a form or a page.
    """

    def __init__(self, path: str, terminal: Terminal) -> None:
        """
        Raises:
            UsageError: the file cannot be read, or has another form.
        """
        self._path = path
        self._terminal = terminal
        try:
            self._answers: Any = loads(Path(path).read_bytes())
        except OSError as exc:
            raise UsageError(f"cannot read {path}: {exc.strerror}") from exc
        except InvalidJson as exc:
            raise UsageError(f"{path} is not JSON: {exc}") from exc
        listed = self._answers if isinstance(self._answers, list) else [self._answers]
        if not all(isinstance(each, dict) or each in ACTIONS for each in listed):
            raise UsageError(f'{path} must hold an object, or a list of objects, "accept", "decline" and "cancel"')

    def _next(self) -> Any:
        if not isinstance(self._answers, list):
            return self._answers
        return self._answers.pop(0) if self._answers else None

    async def fill_in(self, form: ElicitRequestFormParams) -> ElicitResult:
        """Fill in the form from the next answer, or decline it."""
        answer = self._next()
        if answer in ACTIONS:
            return self._did(answer, form.message)
        fields = fields_of(form.requested_schema)
        content = {field.name: answer[field.name] for field in fields if answer is not None and field.name in answer}
        problems = [f"{field.name}: {problem}" for field in fields if (problem := field.problem(content))]
        if answer is None:
            problems = ["it has no further answer"]
        if problems:
            self._terminal.say(f"{self._path} does not answer the server's form: {'; '.join(problems)}")
            return self._did(DECLINE, form.message)
        self._did(ACCEPT, form.message)
        return ElicitResult(ACCEPT, content)

    async def visit(self, page: ElicitRequestURLParams) -> ElicitResult:
        """Take the action from a list of answers; without a list, decline."""
        answer = self._next()
        return self._did(answer if answer in ACTIONS else DECLINE, f"{page.message} ({page.url})")

    def _did(self, action: ElicitAction, message: str) -> ElicitResult:
        self._terminal.say(f"{self._terminal.peer} asked: {message}: {action}")
        return ElicitResult(action)
