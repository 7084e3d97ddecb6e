"""Descriptions of things and programs (icons, names, annotations), and the keys that MCP reserves in `_meta`."""

from typing import Final, Literal

import attrs

from trimcp.types.fields import Extensible, spec_field

PROTOCOL_VERSION: Final = "io.modelcontextprotocol/protocolVersion"
"""In each request of 2026-07-28: its revision."""
CLIENT_INFO: Final = "io.modelcontextprotocol/clientInfo"
"""In requests of 2026-07-28: an `Implementation`."""
CLIENT_CAPABILITIES: Final = "io.modelcontextprotocol/clientCapabilities"
"""In each request of 2026-07-28: `ClientCapabilities`."""
SERVER_INFO: Final = "io.modelcontextprotocol/serverInfo"
"""In results of 2026-07-28: an `Implementation`."""
LOG_LEVEL: Final = "io.modelcontextprotocol/logLevel"
"""In requests of 2026-07-28: the least severe `LoggingLevel` of log messages for the request."""
SUBSCRIPTION_ID: Final = "io.modelcontextprotocol/subscriptionId"
"""In notifications of 2026-07-28: the id of their `subscriptions/listen` request."""
RELATED_TASK: Final = "io.modelcontextprotocol/related-task"
"""In messages of 2025-11-25: a `RelatedTaskMetadata`."""
PROGRESS_TOKEN: Final = "progressToken"  # noqa: S105 (the name of a property)
"""In requests of every revision: the token of their progress notifications."""

Role = Literal["user", "assistant"]
"""The author, or the intended reader, of a message in a conversation with a model."""


@attrs.define(eq=False, repr=False)
class Icon(Extensible):
    """An icon for a user interface (2025-11-25).

    Attributes:
        src: an https or data URI.
        mime_type: its media type, where that of the URI is missing or too general.
        sizes: for example `48x48`, or `any`.
        theme: the background that it is made for.
    """

    src: str
    mime_type: str | None = None
    sizes: list[str] | None = None
    theme: Literal["light", "dark"] | None = None


@attrs.define(eq=False, repr=False)
class Implementation(Extensible):
    """The program of a client or a server.

    Attributes:
        name: its name for programs.
        version: its version.
        title: its name for people; the default is `name`.
        description: its purpose.
        website_url: a page about it.
        icons: its icons.
    """

    name: str
    version: str
    title: str | None = spec_field(since="2025-06-18")
    description: str | None = spec_field(since="2025-11-25")
    website_url: str | None = spec_field(since="2025-11-25")
    icons: list[Icon] | None = spec_field(since="2025-11-25")


@attrs.define(eq=False, repr=False)
class Annotations(Extensible):
    """Hints on the use of content or of a resource.

    Attributes:
        audience: the intended readers.
        priority: from 0 (optional) to 1 (practically required).
        last_modified: the time of the last change, in ISO 8601.
    """

    audience: list[Role] | None = None
    priority: float | None = None
    last_modified: str | None = spec_field(since="2025-06-18")
