"""Content blocks: the parts of tool results, prompts and conversations.

The blocks of each revision, and their places, are in `trimcp.codec.unions`.
"""

from typing import Any, Literal

import attrs

from trimcp.types.fields import ALWAYS, Extensible, spec_field
from trimcp.types.metadata import Annotations, Icon


@attrs.define(eq=False, repr=False)
class TextResourceContents(Extensible):
    """The contents of a resource that is text.

    Attributes:
        uri: the URI of the resource.
        text: its whole text.
        mime_type: its media type.
    """

    uri: str
    text: str
    mime_type: str | None = None
    meta: dict[str, Any] | None = spec_field(since="2025-06-18")


@attrs.define(eq=False, repr=False)
class BlobResourceContents(Extensible):
    """The contents of a resource that is bytes.

    Attributes:
        uri: the URI of the resource.
        blob: all its bytes, in base64.
        mime_type: its media type.
    """

    uri: str
    blob: str
    mime_type: str | None = None
    meta: dict[str, Any] | None = spec_field(since="2025-06-18")


ResourceContents = TextResourceContents | BlobResourceContents


@attrs.define(eq=False, repr=False)
class TextContent(Extensible):
    """A text block."""

    text: str
    annotations: Annotations | None = None
    meta: dict[str, Any] | None = spec_field(since="2025-06-18")
    type: Literal["text"] = attrs.field(default="text", kw_only=True, metadata=ALWAYS)


@attrs.define(eq=False, repr=False)
class ImageContent(Extensible):
    """An image block.

    Attributes:
        data: the image in base64.
        mime_type: its media type.
    """

    data: str
    mime_type: str
    annotations: Annotations | None = None
    meta: dict[str, Any] | None = spec_field(since="2025-06-18")
    type: Literal["image"] = attrs.field(default="image", kw_only=True, metadata=ALWAYS)

    @property
    def text(self) -> str:
        """Empty: every block has this attribute, and only text has a text."""
        return ""


@attrs.define(eq=False, repr=False)
class AudioContent(Extensible):
    """An audio block (2025-03-26).

    Attributes:
        data: the sound in base64.
        mime_type: its media type.
    """

    data: str
    mime_type: str
    annotations: Annotations | None = None
    meta: dict[str, Any] | None = spec_field(since="2025-06-18")
    type: Literal["audio"] = attrs.field(default="audio", kw_only=True, metadata=ALWAYS)

    @property
    def text(self) -> str:
        """Empty: every block has this attribute, and only text has a text."""
        return ""


@attrs.define(eq=False, repr=False)
class ResourceLink(Extensible):
    """A link to a resource, which need not be in any list (2025-06-18).

    Attributes:
        uri: the URI of the resource.
        name: its name for programs.
        title: its name for people.
        size: its size in bytes, before any encoding.
    """

    uri: str
    name: str
    title: str | None = None
    description: str | None = None
    mime_type: str | None = None
    size: int | None = None
    annotations: Annotations | None = None
    icons: list[Icon] | None = spec_field(since="2025-11-25")
    meta: dict[str, Any] | None = None
    type: Literal["resource_link"] = attrs.field(default="resource_link", kw_only=True, metadata=ALWAYS)

    @property
    def text(self) -> str:
        """Empty: a link has no contents."""
        return ""


@attrs.define(eq=False, repr=False)
class EmbeddedResource(Extensible):
    """A resource with its contents."""

    resource: ResourceContents
    annotations: Annotations | None = None
    meta: dict[str, Any] | None = spec_field(since="2025-06-18")
    type: Literal["resource"] = attrs.field(default="resource", kw_only=True, metadata=ALWAYS)

    @property
    def text(self) -> str:
        """The text of the resource; empty if it is bytes."""
        return self.resource.text if isinstance(self.resource, TextResourceContents) else ""


ContentBlock = TextContent | ImageContent | AudioContent | ResourceLink | EmbeddedResource
"""A part of a tool result or of a prompt message."""
