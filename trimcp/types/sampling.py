"""Sampling: a server's request to the client's model (client/sampling)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import attrs

from trimcp.types.content import AudioContent, ContentBlock, ImageContent, TextContent
from trimcp.types.fields import ABSENT, ALWAYS, spec, spec_field
from trimcp.types.metadata import Role
from trimcp.types.payload import RequestParams, Result, TaskMetadata
from trimcp.types.tools import Tool


@attrs.define
class ToolUseContent:
    """A model's wish to call a tool, in a conversation (2025-11-25).

    Attributes:
        id: what the result refers to.
        name: of the tool.
        input: its arguments.
    """

    id: str
    name: str
    input: dict[str, Any]
    meta: dict[str, Any] | None = None
    type: Literal["tool_use"] = attrs.field(default="tool_use", kw_only=True, metadata=ALWAYS)
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class ToolResultContent:
    """What the tool said to that, in a conversation (2025-11-25).

    Attributes:
        tool_use_id: the id of the `ToolUseContent`.
        content: as in `CallToolResult`.
        structured_content: an object; from 2026-07-28 on any JSON value, null included.
        is_error: whether the tool failed.
    """

    tool_use_id: str
    content: list[ContentBlock]
    structured_content: Any = spec_field(default=ABSENT, shape="structured")
    is_error: bool | None = None
    meta: dict[str, Any] | None = None
    type: Literal["tool_result"] = attrs.field(default="tool_result", kw_only=True, metadata=ALWAYS)
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


SamplingMessageContentBlock = TextContent | ImageContent | AudioContent | ToolUseContent | ToolResultContent
"""What conversations with a client's model are made of."""

SamplingContent = SamplingMessageContentBlock | list[SamplingMessageContentBlock]
"""One block, or (from 2025-11-25 on) several."""


@attrs.define
class SamplingMessage:
    """One message of the conversation.

    Attributes:
        role: who says it.
        content: what is said. A list of one block is sent as that block to revisions without lists.
    """

    role: Role
    content: SamplingContent
    meta: dict[str, Any] | None = spec_field(since="2025-11-25")
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class ModelHint:
    """A wish for a model.

    Attributes:
        name: all of its name or a part of it.
    """

    name: str | None = None
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class ModelPreferences:
    """What the model should be good at; the client decides.

    Attributes:
        hints: in order of preference.
        cost_priority: from 0 (whatever it costs) to 1.
        speed_priority: from 0 to 1.
        intelligence_priority: from 0 to 1.
    """

    hints: list[ModelHint] | None = None
    cost_priority: float | None = None
    speed_priority: float | None = None
    intelligence_priority: float | None = None
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class ToolChoice:
    """How freely the model chooses tools (2025-11-25).

    Attributes:
        mode: None is `auto`.
    """

    mode: Literal["auto", "none", "required"] | None = None
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class CreateMessageRequestParams(RequestParams):
    """A request for one message of the client's model.

    Attributes:
        messages: the conversation so far.
        max_tokens: how long the answer may get.
        system_prompt: what the model is told before.
        model_preferences: which model is wanted.
        include_context: what of other servers to add; anything but `none` is deprecated.
        temperature: how freely the model answers.
        stop_sequences: texts that end the answer.
        metadata: passed on to the model's provider.
        tools: what the model may call (2025-11-25).
        tool_choice: how freely (2025-11-25).
        task: makes the request a task (2025-11-25 alone).
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
        default=None, kw_only=True, metadata=spec(until="2025-11-25", shape="request_meta")
    )


@attrs.define
class CreateMessageResult(Result):
    """The message of the client's model; in 2026-07-28 an answer to an input request.

    Attributes:
        role: `assistant` as a rule.
        content: what it says.
        model: the name of the model.
        stop_reason: `endTurn`, `stopSequence`, `maxTokens`, `toolUse`, or the provider's own word.
    """

    result_type: ClassVar[str | None] = None

    role: Role
    content: SamplingContent
    model: str
    stop_reason: str | None = None
