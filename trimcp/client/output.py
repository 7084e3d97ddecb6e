"""The structured output of tools: checked against what the tool declared, made into the type asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trimcp.codec.validation import SchemaRefused, SchemaValidator, UnknownDialect, compile_schema
from trimcp.errors import InvalidResult
from trimcp.observability import events, log
from trimcp.types.tools import Tool

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from trimcp.client.results import ToolResult


class OutputSchemas:
    """The output schemas of a server's tools, as far as they are known."""

    def __init__(self) -> None:
        self._validators: dict[str, SchemaValidator | None] = {}
        self._unknown: dict[str, str] = {}
        self.known = False
        """Whether the list of tools has been read since it last changed."""

    def learn(self, tools: Iterable[Tool]) -> None:
        """Take note of the tools of one page."""
        for tool in tools:
            self._unknown.pop(tool.name, None)
            self._validators[tool.name] = None if tool.output_schema is None else self._compile(tool)

    def _compile(self, tool: Tool) -> SchemaValidator | None:
        assert tool.output_schema is not None
        try:
            return compile_schema(tool.output_schema)
        except UnknownDialect as exc:
            self._unknown[tool.name] = str(exc)
            return None
        except SchemaRefused as exc:
            # A schema that cannot be checked is the server's mistake; its results are still of use.
            log.warning(events.MESSAGE_IGNORED, tool=tool.name, why=f"its output schema is refused: {exc}")
            return None

    def retain(self, names: Collection[str]) -> None:
        """Forget all tools but these, which are the whole list."""
        for kept in (self._validators, self._unknown):
            for name in kept.keys() - names:
                del kept[name]

    def forget(self) -> None:
        """The list of tools has changed."""
        self._validators.clear()
        self._unknown.clear()
        self.known = False

    def check(self, name: str, result: ToolResult) -> None:
        """Check a result against the schema of its tool, where that is known.

        Raises:
            InvalidResult: the tool broke its word, or gave it in a dialect that is not understood here.
        """
        if name in self._unknown and not result.is_error:
            raise InvalidResult([f"the result of {name} cannot be checked: {self._unknown[name]}"])
        validator = self._validators.get(name)
        if validator is None or result.is_error:
            return
        if not result.has_structured:
            raise InvalidResult([f"the tool {name} declares an output schema, and returned no structured content"])
        if not validator.is_valid(result.structured):
            raise InvalidResult(
                [f"the structured content of {name}: {p}" for p in validator.problems(result.structured)]
            )


def value_of(result: ToolResult, name: str, returns: type[Any]) -> Any:
    """The structured content of a result as an object of the type asked for.

    A value that is not an object travels as `{"result": value}`; it is unwrapped.

    Raises:
        InvalidResult: there is none, or it does not fit the type.
        UsageError: the type is none that JSON can become.
    """
    from trimcp.shapes.values import value_builder

    if not result.has_structured:
        if returns is str:
            return result.text
        raise InvalidResult([f"the tool {name} returned no structured content to make a {returns!r} of"])
    build = value_builder(returns)
    structured = result.structured
    try:
        return build(structured)
    except InvalidResult:
        if isinstance(structured, dict) and structured.keys() == {"result"}:
            return build(structured["result"])
        raise
