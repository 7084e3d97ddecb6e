"""What a client and a server are able to do, as they declare it.

A capability that is not None is declared; an empty object says as much as a full one. The
dotted paths in `trimcp.types.methods` name attributes of these classes.
"""

from __future__ import annotations

from typing import Any

import attrs

from trimcp.types.fields import spec_field

Flag = dict[str, Any]
"""A capability that has no settings yet: `{}`, or whatever an extension puts there."""


@attrs.define
class RootsCapability:
    """The client tells its roots.

    Attributes:
        list_changed: whether it sends a notification when they change.
    """

    list_changed: bool | None = spec_field(until="2025-11-25")
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class SamplingCapability:
    """The client has a model.

    Attributes:
        tools: whether it takes `tools` and `toolChoice`.
        context: whether it takes an `includeContext` other than `none`.
    """

    tools: Flag | None = spec_field(since="2025-11-25")
    context: Flag | None = spec_field(since="2025-11-25")
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class ElicitationCapability:
    """The client asks its user. With neither mode declared, forms are meant.

    Attributes:
        form: whether it shows forms.
        url: whether it opens web pages.
    """

    form: Flag | None = spec_field(since="2025-11-25")
    url: Flag | None = spec_field(since="2025-11-25")
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class SamplingTasksCapability:
    """Which requests about sampling the client runs as tasks."""

    create_message: Flag | None = None
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class ElicitationTasksCapability:
    """Which requests about elicitation the client runs as tasks."""

    create: Flag | None = None
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class ClientTaskRequestsCapability:
    """Which requests the client runs as tasks."""

    sampling: SamplingTasksCapability | None = None
    elicitation: ElicitationTasksCapability | None = None
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class ClientTasksCapability:
    """The client runs requests as tasks (2025-11-25).

    Attributes:
        list: whether it lists its tasks.
        cancel: whether its tasks can be cancelled.
        requests: which requests may be tasks.
    """

    list: Flag | None = None
    cancel: Flag | None = None
    requests: ClientTaskRequestsCapability | None = None
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class ClientCapabilities:
    """What a client is able to do for a server.

    Attributes:
        roots: it tells its roots.
        sampling: it has a model.
        elicitation: it asks its user.
        tasks: it runs requests as tasks (2025-11-25 alone; an extension after that).
        extensions: settings by identifier of the extension (2026-07-28).
        experimental: what is in no revision, by name.
    """

    roots: RootsCapability | None = None
    sampling: SamplingCapability | None = None
    elicitation: ElicitationCapability | None = spec_field(since="2025-06-18")
    tasks: ClientTasksCapability | None = spec_field(since="2025-11-25", until="2025-11-25")
    extensions: dict[str, dict[str, Any]] | None = spec_field(since="2026-07-28")
    experimental: dict[str, dict[str, Any]] | None = None
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class ToolsCapability:
    """The server has tools.

    Attributes:
        list_changed: whether it tells when their list changes.
    """

    list_changed: bool | None = None
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class PromptsCapability:
    """The server has prompts.

    Attributes:
        list_changed: whether it tells when their list changes.
    """

    list_changed: bool | None = None
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class ResourcesCapability:
    """The server has resources.

    Attributes:
        list_changed: whether it tells when their list changes.
        subscribe: whether it tells when one of them changes.
    """

    list_changed: bool | None = None
    subscribe: bool | None = None
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class ToolTasksCapability:
    """Which requests about tools the server runs as tasks."""

    call: Flag | None = None
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class ServerTaskRequestsCapability:
    """Which requests the server runs as tasks."""

    tools: ToolTasksCapability | None = None
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class ServerTasksCapability:
    """The server runs requests as tasks (2025-11-25); see `ClientTasksCapability`."""

    list: Flag | None = None
    cancel: Flag | None = None
    requests: ServerTaskRequestsCapability | None = None
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class ServerCapabilities:
    """What a server is able to do for a client.

    Attributes:
        tools: it has tools.
        resources: it has resources.
        prompts: it has prompts.
        completions: it completes arguments; 2024-11-05 has no word for that.
        logging: it sends log messages.
        tasks: it runs requests as tasks (2025-11-25 alone; an extension after that).
        extensions: settings by identifier of the extension (2026-07-28).
        experimental: what is in no revision, by name.
    """

    tools: ToolsCapability | None = None
    resources: ResourcesCapability | None = None
    prompts: PromptsCapability | None = None
    completions: Flag | None = spec_field(since="2025-03-26")
    logging: Flag | None = None
    tasks: ServerTasksCapability | None = spec_field(since="2025-11-25", until="2025-11-25")
    extensions: dict[str, dict[str, Any]] | None = spec_field(since="2026-07-28")
    experimental: dict[str, dict[str, Any]] | None = None
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)
