"""What things and programs say of themselves, and the keys that MCP reserves in `_meta`."""

from __future__ import annotations

from typing import Any, Final, Literal

import attrs

from trimcp.types.fields import spec_field

PROTOCOL_VERSION: Final = "io.modelcontextprotocol/protocolVersion"
"""In each request of 2026-07-28: the revision it is written in."""
CLIENT_INFO: Final = "io.modelcontextprotocol/clientInfo"
"""In requests of 2026-07-28: an `Implementation`."""
CLIENT_CAPABILITIES: Final = "io.modelcontextprotocol/clientCapabilities"
"""In each request of 2026-07-28: `ClientCapabilities`."""
SERVER_INFO: Final = "io.modelcontextprotocol/serverInfo"
"""In results of 2026-07-28: an `Implementation`."""
LOG_LEVEL: Final = "io.modelcontextprotocol/logLevel"
"""In requests of 2026-07-28: the `LoggingLevel` from which on the request wants log messages."""
SUBSCRIPTION_ID: Final = "io.modelcontextprotocol/subscriptionId"
"""In notifications of 2026-07-28: the id of the `subscriptions/listen` request they belong to."""
RELATED_TASK: Final = "io.modelcontextprotocol/related-task"
"""In messages of 2025-11-25: a `RelatedTaskMetadata`."""
PROGRESS_TOKEN: Final = "progressToken"  # noqa: S105 (the name of a property)
"""In requests of every revision: the token that progress notifications about it carry."""

Role = Literal["user", "assistant"]
"""Who says, or is meant to read, something in a conversation with a model."""


@attrs.define
class Icon:
    """A picture for a user interface (2025-11-25).

    Attributes:
        src: an https or data URI.
        mime_type: its media type, where the URI's own is missing or too general.
        sizes: `48x48` and the like, or `any`.
        theme: the background it is made for.
    """

    src: str
    mime_type: str | None = None
    sizes: list[str] | None = None
    theme: Literal["light", "dark"] | None = None
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class Implementation:
    """What program a client or a server is.

    Attributes:
        name: for machines.
        version: of the program.
        title: for people; `name` stands in for it.
        description: what it does.
        website_url: where to read about it.
        icons: pictures of it.
    """

    name: str
    version: str
    title: str | None = spec_field(since="2025-06-18")
    description: str | None = spec_field(since="2025-11-25")
    website_url: str | None = spec_field(since="2025-11-25")
    icons: list[Icon] | None = spec_field(since="2025-11-25")
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class Annotations:
    """Hints on what a piece of content or a resource is good for.

    Attributes:
        audience: whom it is meant for.
        priority: from 0 (may be left out) to 1 (as good as required).
        last_modified: ISO 8601.
    """

    audience: list[Role] | None = None
    priority: float | None = None
    last_modified: str | None = spec_field(since="2025-06-18")
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)
