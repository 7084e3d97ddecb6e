"""What calls of tools and reads of resources return to the program that made them."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

import attrs

from trimcp.errors import InvalidResult, ToolFailed
from trimcp.types.content import BlobResourceContents, ContentBlock, ResourceContents, TextContent, TextResourceContents
from trimcp.types.fields import ABSENT
from trimcp.types.tools import CallToolResult

if TYPE_CHECKING:
    from trimcp.types.payload import CacheScope
    from trimcp.types.resources import ReadResourceResult


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


@attrs.frozen(eq=False)
class ResourceResult:
    """The result of `Client.read_resource` (server/resources, "Resource Contents").

    Attributes:
        contents: what the URI stands for: mostly one, several for a directory and the like.
        meta: the result's `_meta`.
        raw: the whole result.
    """

    contents: list[ResourceContents]
    meta: dict[str, Any] | None
    raw: ReadResourceResult

    @classmethod
    def of(cls, result: ReadResourceResult) -> ResourceResult:
        """Make one of the decoded result."""
        return cls(result.contents, result.meta, result)

    @property
    def text(self) -> str:
        """The contents that are text, a line break between two of them; empty if there are none."""
        return "\n".join(item.text for item in self.contents if isinstance(item, TextResourceContents))

    @property
    def blob(self) -> bytes | None:
        """The first of the contents that is no text, as bytes; None if there is none.

        Raises:
            InvalidResult: the server sent something other than base64.
        """
        for item in self.contents:
            if isinstance(item, BlobResourceContents):
                try:
                    return base64.b64decode(item.blob, validate=True)
                except (binascii.Error, ValueError):
                    raise InvalidResult([f"the blob of {item.uri} is no base64"]) from None
        return None

    @property
    def mime_type(self) -> str | None:
        """The media type of the first of the contents, where it has one."""
        return self.contents[0].mime_type if self.contents else None

    @property
    def ttl_ms(self) -> int:
        """How long the server lets it be kept, in milliseconds; 0 in older revisions."""
        return self.raw.ttl_ms or 0

    @property
    def cache_scope(self) -> CacheScope:
        """Whether it is the same for everybody; `private` in older revisions."""
        return self.raw.cache_scope or "private"
