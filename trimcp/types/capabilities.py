"""The capabilities that a client and a server declare.

A capability that is not None is declared; an empty object is enough. The dotted paths in
`trimcp.types.methods` name attributes of these classes.
"""

from typing import Any

import attrs

from trimcp.types.fields import Extensible, spec_field

Flag = dict[str, Any]
"""A capability without settings: `{}`, or the settings of an extension."""


@attrs.define(eq=False, repr=False)
class RootsCapability(Extensible):
    """The client lists its roots.

    Attributes:
        list_changed: whether it notifies of their changes.
    """

    list_changed: bool | None = spec_field(until="2025-11-25")


@attrs.define(eq=False, repr=False)
class SamplingCapability(Extensible):
    """The client answers sampling requests, by its model.

    Attributes:
        tools: whether it accepts `tools` and `toolChoice`.
        context: whether it accepts an `includeContext` other than `none`.
    """

    tools: Flag | None = spec_field(since="2025-11-25")
    context: Flag | None = spec_field(since="2025-11-25")


@attrs.define(eq=False, repr=False)
class ElicitationCapability(Extensible):
    """The client answers elicitation requests, by its user. Without a declared mode, it supports forms.

    Attributes:
        form: whether it supports forms.
        url: whether it supports opening web pages.
    """

    form: Flag | None = spec_field(since="2025-11-25")
    url: Flag | None = spec_field(since="2025-11-25")


@attrs.define(eq=False, repr=False)
class SamplingTasksCapability(Extensible):
    """The sampling requests that the client runs as tasks."""

    create_message: Flag | None = None


@attrs.define(eq=False, repr=False)
class ElicitationTasksCapability(Extensible):
    """The elicitation requests that the client runs as tasks."""

    create: Flag | None = None


@attrs.define(eq=False, repr=False)
class ClientTaskRequestsCapability(Extensible):
    """The requests that the client runs as tasks."""

    sampling: SamplingTasksCapability | None = None
    elicitation: ElicitationTasksCapability | None = None


@attrs.define(eq=False, repr=False)
class ClientTasksCapability(Extensible):
    """The client runs requests as tasks (2025-11-25).

    Attributes:
        list: whether it lists its tasks.
        cancel: whether its tasks can be cancelled.
        requests: the requests that may be tasks.
    """

    list: Flag | None = None
    cancel: Flag | None = None
    requests: ClientTaskRequestsCapability | None = None


@attrs.define(eq=False, repr=False)
class ClientCapabilities(Extensible):
    """The capabilities of a client.

    Attributes:
        roots: it lists its roots.
        sampling: it answers sampling requests.
        elicitation: it answers elicitation requests.
        tasks: it runs requests as tasks (only 2025-11-25; an extension after that).
        extensions: settings by identifier of the extension (2026-07-28).
        experimental: capabilities outside the revisions, by name.
    """

    roots: RootsCapability | None = None
    sampling: SamplingCapability | None = None
    elicitation: ElicitationCapability | None = spec_field(since="2025-06-18")
    tasks: ClientTasksCapability | None = spec_field(since="2025-11-25", until="2025-11-25")
    extensions: dict[str, dict[str, Any]] | None = spec_field(since="2026-07-28")
    experimental: dict[str, dict[str, Any]] | None = None


@attrs.define(eq=False, repr=False)
class ToolsCapability(Extensible):
    """The server has tools.

    Attributes:
        list_changed: whether it notifies of changes of their list.
    """

    list_changed: bool | None = None


@attrs.define(eq=False, repr=False)
class PromptsCapability(Extensible):
    """The server has prompts.

    Attributes:
        list_changed: whether it notifies of changes of their list.
    """

    list_changed: bool | None = None


@attrs.define(eq=False, repr=False)
class ResourcesCapability(Extensible):
    """The server has resources.

    Attributes:
        list_changed: whether it notifies of changes of their list.
        subscribe: whether it notifies of changes of a resource.
    """

    list_changed: bool | None = None
    subscribe: bool | None = None


@attrs.define(eq=False, repr=False)
class ToolTasksCapability(Extensible):
    """The tool requests that the server runs as tasks."""

    call: Flag | None = None


@attrs.define(eq=False, repr=False)
class ServerTaskRequestsCapability(Extensible):
    """The requests that the server runs as tasks."""

    tools: ToolTasksCapability | None = None


@attrs.define(eq=False, repr=False)
class ServerTasksCapability(Extensible):
    """The server runs requests as tasks (2025-11-25); see `ClientTasksCapability`."""

    list: Flag | None = None
    cancel: Flag | None = None
    requests: ServerTaskRequestsCapability | None = None


@attrs.define(eq=False, repr=False)
class ServerCapabilities(Extensible):
    """The capabilities of a server.

    Attributes:
        tools: it has tools.
        resources: it has resources.
        prompts: it has prompts.
        completions: it completes arguments; 2024-11-05 has completion without this capability.
        logging: it sends log messages.
        tasks: it runs requests as tasks (only 2025-11-25; an extension after that).
        extensions: settings by identifier of the extension (2026-07-28).
        experimental: capabilities outside the revisions, by name.
    """

    tools: ToolsCapability | None = None
    resources: ResourcesCapability | None = None
    prompts: PromptsCapability | None = None
    completions: Flag | None = spec_field(since="2025-03-26")
    logging: Flag | None = None
    tasks: ServerTasksCapability | None = spec_field(since="2025-11-25", until="2025-11-25")
    extensions: dict[str, dict[str, Any]] | None = spec_field(since="2026-07-28")
    experimental: dict[str, dict[str, Any]] | None = None


def announced_lists(capabilities: ServerCapabilities) -> dict[str, bool]:
    """Return whether a server announces changes of its lists: of `tools`, `prompts` and `resources`."""
    features = {"tools": capabilities.tools, "prompts": capabilities.prompts, "resources": capabilities.resources}
    return {name: bool(feature and feature.list_changed) for name, feature in features.items()}
