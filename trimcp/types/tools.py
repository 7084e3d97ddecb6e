"""Tools: what they are, their list, and calls of them (server/tools)."""

from __future__ import annotations

from typing import Any, Literal

import attrs

from trimcp.types.content import ContentBlock
from trimcp.types.fields import ABSENT, spec, spec_field
from trimcp.types.metadata import Icon
from trimcp.types.pagination import CacheablePage
from trimcp.types.payload import RequestParams, Result, TaskMetadata


@attrs.define
class ToolAnnotations:
    """Hints on what a tool does (2025-03-26); not to be trusted from a server that is not.

    Attributes:
        title: for people; `Tool.title` goes before it.
        read_only_hint: it changes nothing. Taken for False where it is not said.
        destructive_hint: what it changes may be lost. Taken for True.
        idempotent_hint: calling it again with the same arguments changes nothing more. Taken for False.
        open_world_hint: it deals with more than a closed set of things. Taken for True.
    """

    title: str | None = None
    read_only_hint: bool | None = None
    destructive_hint: bool | None = None
    idempotent_hint: bool | None = None
    open_world_hint: bool | None = None
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class ToolExecution:
    """How a tool may be called (2025-11-25).

    Attributes:
        task_support: whether as a task; taken for `forbidden` where it is not said.
    """

    task_support: Literal["forbidden", "optional", "required"] | None = None
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class Tool:
    """What a server says of one of its tools.

    Attributes:
        name: what it is called by.
        input_schema: JSON Schema of its arguments, of type object.
        title: for people (2025-06-18).
        description: what it does, for a model to read.
        output_schema: JSON Schema of its structured content (2025-06-18). Up to 2025-11-25 it must
            be of type object; one that is not is left out there.
        annotations: hints on what it does (2025-03-26).
        execution: how it may be called (2025-11-25 alone).
        icons: pictures of it (2025-11-25).
    """

    name: str
    input_schema: dict[str, Any] = attrs.field(metadata=spec(shape="input_schema"))
    title: str | None = spec_field(since="2025-06-18")
    description: str | None = None
    output_schema: dict[str, Any] | None = spec_field(since="2025-06-18", shape="output_schema")
    annotations: ToolAnnotations | None = spec_field(since="2025-03-26")
    execution: ToolExecution | None = spec_field(since="2025-11-25", until="2025-11-25")
    icons: list[Icon] | None = spec_field(since="2025-11-25")
    meta: dict[str, Any] | None = spec_field(since="2025-06-18")
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class ListToolsResult(CacheablePage):
    """One page of the server's tools."""

    tools: list[Tool]


@attrs.define
class CallToolRequestParams(RequestParams):
    """A call of a tool.

    Attributes:
        name: of the tool.
        arguments: by name; None means none.
        task: makes the call a task (2025-11-25).
        input_responses: answers to the `input_requests` of the result before, by their keys, as raw
            objects: which class one is depends on the question (2026-07-28).
        request_state: what the result before said to send back (2026-07-28).
    """

    name: str
    arguments: dict[str, Any] | None = None
    task: TaskMetadata | None = spec_field(since="2025-11-25", until="2025-11-25")
    input_responses: dict[str, dict[str, Any]] | None = spec_field(since="2026-07-28")
    request_state: str | None = spec_field(since="2026-07-28")


@attrs.define
class CallToolResult(Result):
    """What a tool returned.

    Attributes:
        content: for a model to read.
        structured_content: the same for programs (2025-06-18): an object; from 2026-07-28 on any JSON
            value, null included, so that `ABSENT` stands for none. A value that an older revision
            does not allow is left out there.
        is_error: whether the tool failed; None is False.
    """

    content: list[ContentBlock]
    structured_content: Any = spec_field(default=ABSENT, since="2025-06-18", shape="structured")
    is_error: bool | None = None
