"""Tools: their description, their list, and calls (server/tools)."""

from typing import Any, Literal

import attrs

from trimcp.types.content import ContentBlock
from trimcp.types.fields import ABSENT, Extensible, spec, spec_field
from trimcp.types.metadata import Icon
from trimcp.types.payload import CacheablePage, RequestParams, Result, TaskMetadata


@attrs.define(eq=False, repr=False)
class ToolAnnotations(Extensible):
    """Hints on the behaviour of a tool (2025-03-26). Do not trust them from an untrusted server.

    Attributes:
        title: its name for people; `Tool.title` takes precedence.
        read_only_hint: it changes nothing. The default is False.
        destructive_hint: its changes may destroy data. The default is True.
        idempotent_hint: a repeated call with the same arguments changes nothing more. The default is False.
        open_world_hint: it works with more than a closed set of things. The default is True.
    """

    title: str | None = None
    read_only_hint: bool | None = None
    destructive_hint: bool | None = None
    idempotent_hint: bool | None = None
    open_world_hint: bool | None = None


@attrs.define(eq=False, repr=False)
class ToolExecution(Extensible):
    """The ways to call a tool (2025-11-25).

    Attributes:
        task_support: whether as a task; the default is `forbidden`.
    """

    task_support: Literal["forbidden", "optional", "required"] | None = None


@attrs.define(eq=False, repr=False)
class Tool(Extensible):
    """The description of a tool.

    Attributes:
        name: its name in calls.
        input_schema: JSON Schema of its arguments, of type object.
        title: its name for people (2025-06-18).
        description: its purpose, for a model.
        output_schema: JSON Schema of its structured content (2025-06-18). Up to 2025-11-25 it must
            be of type object; other schemas are left out there.
        annotations: hints on its behaviour (2025-03-26).
        execution: the ways to call it (only 2025-11-25).
        icons: its icons (2025-11-25).
    """

    name: str
    input_schema: dict[str, Any] = attrs.field(metadata=spec(check="input_schema"))
    title: str | None = spec_field(since="2025-06-18")
    description: str | None = None
    output_schema: dict[str, Any] | None = spec_field(since="2025-06-18", check="output_schema")
    annotations: ToolAnnotations | None = spec_field(since="2025-03-26")
    execution: ToolExecution | None = spec_field(since="2025-11-25", until="2025-11-25")
    icons: list[Icon] | None = spec_field(since="2025-11-25")
    meta: dict[str, Any] | None = spec_field(since="2025-06-18")


@attrs.define(eq=False, repr=False)
class ListToolsResult(CacheablePage):
    """One page of the server's tools."""

    tools: list[Tool]


@attrs.define(eq=False, repr=False)
class CallToolRequestParams(RequestParams):
    """A call of a tool.

    Attributes:
        name: the name of the tool.
        arguments: the arguments by name.
        task: makes the call a task (2025-11-25).
        input_responses: answers to the `input_requests` of the previous result, by their keys, as raw
            objects: the class of each depends on the input request (2026-07-28).
        request_state: the `request_state` of the previous result (2026-07-28).
    """

    name: str
    arguments: dict[str, Any] | None = None
    task: TaskMetadata | None = spec_field(since="2025-11-25", until="2025-11-25")
    input_responses: dict[str, dict[str, Any]] | None = spec_field(since="2026-07-28")
    request_state: str | None = spec_field(since="2026-07-28")


@attrs.define(eq=False, repr=False)
class CallToolResult(Result):
    """The result of a tool.

    Attributes:
        content: the result for a model.
        structured_content: the result for programs (2025-06-18): an object; from 2026-07-28 on any JSON
            value, null included, so `ABSENT` stands for a missing one. A value that an older revision
            does not allow is left out there.
        is_error: whether the tool failed; None is False.
    """

    content: list[ContentBlock]
    structured_content: Any = spec_field(default=ABSENT, since="2025-06-18", check="structured")
    is_error: bool | None = None
