"""Blocks of content: what tools return, what prompts and conversations are made of.

Which blocks a revision has, and where, is in `trimcp.codec.unions`.
"""

from __future__ import annotations

from typing import Any, Literal

import attrs

from trimcp.types.fields import ALWAYS, spec_field
from trimcp.types.metadata import Annotations, Icon


@attrs.define
class TextResourceContents:
    """A resource that is text.

    Attributes:
        uri: of the resource.
        text: all of it.
        mime_type: its media type.
    """

    uri: str
    text: str
    mime_type: str | None = None
    meta: dict[str, Any] | None = spec_field(since="2025-06-18")
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class BlobResourceContents:
    """A resource that is bytes.

    Attributes:
        uri: of the resource.
        blob: all of it, in base64.
        mime_type: its media type.
    """

    uri: str
    blob: str
    mime_type: str | None = None
    meta: dict[str, Any] | None = spec_field(since="2025-06-18")
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


ResourceContents = TextResourceContents | BlobResourceContents


@attrs.define
class TextContent:
    """A text."""

    text: str
    annotations: Annotations | None = None
    meta: dict[str, Any] | None = spec_field(since="2025-06-18")
    type: Literal["text"] = attrs.field(default="text", kw_only=True, metadata=ALWAYS)
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class ImageContent:
    """A picture.

    Attributes:
        data: in base64.
        mime_type: its media type.
    """

    data: str
    mime_type: str
    annotations: Annotations | None = None
    meta: dict[str, Any] | None = spec_field(since="2025-06-18")
    type: Literal["image"] = attrs.field(default="image", kw_only=True, metadata=ALWAYS)
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class AudioContent:
    """A sound (2025-03-26).

    Attributes:
        data: in base64.
        mime_type: its media type.
    """

    data: str
    mime_type: str
    annotations: Annotations | None = None
    meta: dict[str, Any] | None = spec_field(since="2025-06-18")
    type: Literal["audio"] = attrs.field(default="audio", kw_only=True, metadata=ALWAYS)
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class ResourceLink:
    """A resource to be read where it is (2025-06-18); it need not be in any list.

    Attributes:
        uri: of the resource.
        name: for machines.
        title: for people.
        size: in bytes, before any encoding.
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
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class EmbeddedResource:
    """A resource with what is in it."""

    resource: ResourceContents
    annotations: Annotations | None = None
    meta: dict[str, Any] | None = spec_field(since="2025-06-18")
    type: Literal["resource"] = attrs.field(default="resource", kw_only=True, metadata=ALWAYS)
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


ContentBlock = TextContent | ImageContent | AudioContent | ResourceLink | EmbeddedResource
"""What tools return and prompts are made of."""
