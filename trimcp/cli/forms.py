"""The fields of a form that a server asks with: how they are shown, and what a line that was typed means.

client/elicitation: texts, numbers, yes or no, one of several, some of several; each perhaps with a
default. What is read here fits the field's schema, formats included. No I/O.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from trimcp.cli.values import BOOLEANS
from trimcp.codec.validation import SchemaRefused, compile_schema

if TYPE_CHECKING:
    from trimcp.codec.validation import SchemaValidator

Read = tuple[Any, str | None]
"""What a line means (None: left out), and what is wrong with it, if anything is."""

_HINTS: Final = {"email": "an e-mail address", "uri": "a URI", "date": "YYYY-MM-DD", "date-time": "a date and time"}


def fields_of(schema: Mapping[str, Any]) -> list[Field]:
    """The fields of a form, in its order."""
    required = schema.get("required") or ()
    properties = schema.get("properties") or {}
    return [Field(name, each, is_required=name in required) for name, each in properties.items()]


class Field:
    """One field."""

    def __init__(self, name: str, schema: Mapping[str, Any], *, is_required: bool) -> None:
        self.name = name
        self.is_required = is_required
        self._schema = schema
        self._kind = schema.get("type", "string")
        self._options = list(_options(schema))
        self._validator: SchemaValidator | None = None

    @property
    def default(self) -> Any:
        """What an empty line stands for; None where there is none."""
        return self._schema.get("default")

    # --- shown ------------------------------------------------------------------------

    def introduction(self) -> Iterator[str]:
        """What is said before it is asked for."""
        title = self._schema.get("title") or self.name
        description = self._schema.get("description")
        yield f"\n{title}{'' if self.is_required else ' (may be left out)'}{f': {description}' if description else ''}"
        for number, (value, label) in enumerate(self._options, 1):
            yield f"  {number}. {label}{'' if label == value else f' ({value})'}"

    def prompt(self) -> str:
        """What stands before the line that is typed."""
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
        """What a line that was typed means."""
        text = line if self._kind == "string" and not self._options else line.strip()
        if not text.strip():
            if self.default is not None:
                return self.default, None
            return None, "this one is needed" if self.is_required else None
        value, problem = self._understood(text)
        return (None, problem) if problem is not None else (value, self._misfit(value))

    def problem(self, content: Mapping[str, Any]) -> str | None:
        """What is wrong with this field of a form that was filled in, if anything is."""
        if self.name not in content:
            return "it is needed" if self.is_required else None
        return self._misfit(content[self.name])

    def _understood(self, text: str) -> Read:
        if self._kind == "array":
            chosen = [self._chosen(part.strip()) for part in text.split(",") if part.strip()]
            return (None, "choose among those above") if None in chosen else (list(dict.fromkeys(chosen)), None)
        if self._options:
            value = self._chosen(text)
            return value, None if value is not None else "choose one of those above"
        if self._kind == "boolean":
            answers = {**BOOLEANS, "y": True, "n": False}
            return answers.get(text.lower()), None if text.lower() in answers else "yes or no?"
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
    """The values to choose from, and what people see of them."""
    items = schema.get("items")
    holder = items if isinstance(items, Mapping) else schema
    for each in holder.get("oneOf") or holder.get("anyOf") or ():
        yield str(each["const"]), str(each.get("title", each["const"]))
    values = holder.get("enum") or ()
    names = holder.get("enumNames") or ()
    for at, value in enumerate(values):
        yield str(value), str(names[at]) if at < len(names) else str(value)
