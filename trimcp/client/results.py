"""What a call of a tool returns to the program that made it."""

from __future__ import annotations

from typing import Any

import attrs

from trimcp.errors import ToolFailed
from trimcp.types.content import ContentBlock, TextContent
from trimcp.types.fields import ABSENT
from trimcp.types.tools import CallToolResult


@attrs.frozen(eq=False)
class ToolResult:
    """The result of `Client.call_tool` (server/tools, "Tool Result").

    Attributes:
        content: what the tool returned, block by block, for a model to read.
        structured: the same as a JSON value for programs; None where there is none (`has_structured`
            tells that from a null).
        is_error: whether the tool says that it failed; the content then says how.
        meta: the result's `_meta`.
        raw: the whole result.
    """

    content: list[ContentBlock]
    structured: Any
    has_structured: bool
    is_error: bool
    meta: dict[str, Any] | None
    raw: CallToolResult

    @classmethod
    def of(cls, result: CallToolResult) -> ToolResult:
        """Make one of the decoded result."""
        has_structured = result.structured_content is not ABSENT
        return cls(
            result.content,
            result.structured_content if has_structured else None,
            has_structured,
            bool(result.is_error),
            result.meta,
            result,
        )

    @property
    def text(self) -> str:
        """The text blocks of the content, a line break between two of them; empty if there is none."""
        return "\n".join(block.text for block in self.content if isinstance(block, TextContent))

    def raise_for_error(self) -> ToolResult:
        """Return the result itself, unless the tool failed.

        Raises:
            ToolFailed: it did.
        """
        if self.is_error:
            raise ToolFailed(self.text or "the tool failed and does not say why", self.raw)
        return self
