"""Sampling: a server's request to the client's model (client/sampling)."""

from typing import Any, ClassVar, Literal

import attrs

from trimcp.types.content import AudioContent, ContentBlock, ImageContent, TextContent
from trimcp.types.fields import ABSENT, ALWAYS, Extensible, spec, spec_field
from trimcp.types.metadata import Role
from trimcp.types.payload import RequestParams, Result, TaskMetadata
from trimcp.types.tools import Tool


@attrs.define(eq=False, repr=False)
class ToolUseContent(Extensible):
    """A tool call of the model, in a conversation (2025-11-25).

    Attributes:
        id: its id, which the result refers to.
        name: the name of the tool.
        input: the arguments.
    """

    id: str
    name: str
    input: dict[str, Any]
    meta: dict[str, Any] | None = None
    type: Literal["tool_use"] = attrs.field(default="tool_use", kw_only=True, metadata=ALWAYS)


@attrs.define(eq=False, repr=False)
class ToolResultContent(Extensible):
    """The result of a tool call, in a conversation (2025-11-25).

    Attributes:
        tool_use_id: the id of the `ToolUseContent`.
        content: the content, as in `CallToolResult`.
        structured_content: an object; from 2026-07-28 on any JSON value, null included.
        is_error: whether the tool failed.
    """

    tool_use_id: str
    content: list[ContentBlock]
    structured_content: Any = spec_field(default=ABSENT, check="structured")
    is_error: bool | None = None
    meta: dict[str, Any] | None = None
    type: Literal["tool_result"] = attrs.field(default="tool_result", kw_only=True, metadata=ALWAYS)


SamplingMessageContentBlock = TextContent | ImageContent | AudioContent | ToolUseContent | ToolResultContent
"""A part of a message in a conversation with a client's model."""

SamplingContent = SamplingMessageContentBlock | list[SamplingMessageContentBlock]
"""One block, or (from 2025-11-25 on) several."""


@attrs.define(eq=False, repr=False)
class SamplingMessage(Extensible):
    """One message of the conversation.

    Attributes:
        role: its author.
        content: its content. A list of one block is sent as that block to revisions without lists.
    """

    role: Role
    content: SamplingContent
    meta: dict[str, Any] | None = spec_field(since="2025-11-25")


@attrs.define(eq=False, repr=False)
class ModelHint(Extensible):
    """A hint at a model.

    Attributes:
        name: the name of the model, or a part of it.
    """

    name: str | None = None


@attrs.define(eq=False, repr=False)
class ModelPreferences(Extensible):
    """The preferred qualities of the model; the client decides.

    Attributes:
        hints: hints at models, in order of preference.
        cost_priority: from 0 (the cost does not matter) to 1.
        speed_priority: from 0 to 1.
        intelligence_priority: from 0 to 1.
    """

    hints: list[ModelHint] | None = None
    cost_priority: float | None = None
    speed_priority: float | None = None
    intelligence_priority: float | None = None


@attrs.define(eq=False, repr=False)
class ToolChoice(Extensible):
    """The rule for the model's use of tools (2025-11-25).

    Attributes:
        mode: None is `auto`.
    """

    mode: Literal["auto", "none", "required"] | None = None


@attrs.define(eq=False, repr=False)
class CreateMessageRequestParams(RequestParams):
    """A request for a message of the client's model.

    Attributes:
        messages: the conversation so far.
        max_tokens: the maximum length of the answer.
        system_prompt: the system prompt of the model.
        model_preferences: the preferred qualities of the model.
        include_context: the context of servers to add; all values but `none` are deprecated.
        temperature: the sampling temperature.
        stop_sequences: strings that end the answer.
        metadata: data for the model's provider.
        tools: the tools that the model may call (2025-11-25).
        tool_choice: the rule for using them (2025-11-25).
        task: makes the request a task (only 2025-11-25).
    """

    messages: list[SamplingMessage]
    max_tokens: int
    system_prompt: str | None = None
    model_preferences: ModelPreferences | None = None
    include_context: Literal["none", "thisServer", "allServers"] | None = None
    temperature: float | None = None
    stop_sequences: list[str] | None = None
    metadata: dict[str, Any] | None = None
    tools: list[Tool] | None = spec_field(since="2025-11-25")
    tool_choice: ToolChoice | None = spec_field(since="2025-11-25")
    task: TaskMetadata | None = spec_field(since="2025-11-25", until="2025-11-25")
    meta: dict[str, Any] | None = attrs.field(
        default=None, kw_only=True, metadata=spec(until="2025-11-25", check="request_meta")
    )


@attrs.define(eq=False, repr=False)
class CreateMessageResult(Result):
    """The message of the client's model; in 2026-07-28 the answer to an input request.

    Attributes:
        role: usually `assistant`.
        content: its content.
        model: the name of the model.
        stop_reason: `endTurn`, `stopSequence`, `maxTokens`, `toolUse`, or a reason of the provider.
    """

    result_type: ClassVar[str | None] = None

    role: Role
    content: SamplingContent
    model: str
    stop_reason: str | None = None
