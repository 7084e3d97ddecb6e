"""Prompts: what they are, their list, and what they expand to (server/prompts)."""

from __future__ import annotations

from typing import Any, Literal

import attrs

from trimcp.types.content import ContentBlock
from trimcp.types.fields import ALWAYS, spec_field
from trimcp.types.metadata import Icon, Role
from trimcp.types.pagination import CacheablePage
from trimcp.types.payload import RequestParams, Result


@attrs.define
class PromptArgument:
    """What a prompt may be given.

    Attributes:
        name: for machines.
        title: for people (2025-06-18).
        description: what it stands for.
        required: whether it must be given; None is False.
    """

    name: str
    title: str | None = spec_field(since="2025-06-18")
    description: str | None = None
    required: bool | None = None
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class Prompt:
    """What a server says of one of its prompts.

    Attributes:
        name: what it is asked for by.
        title: for people (2025-06-18).
        description: what it is for.
        arguments: what it may be given.
        icons: pictures of it (2025-11-25).
    """

    name: str
    title: str | None = spec_field(since="2025-06-18")
    description: str | None = None
    arguments: list[PromptArgument] | None = None
    icons: list[Icon] | None = spec_field(since="2025-11-25")
    meta: dict[str, Any] | None = spec_field(since="2025-06-18")
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class ListPromptsResult(CacheablePage):
    """One page of the server's prompts."""

    prompts: list[Prompt]


@attrs.define
class GetPromptRequestParams(RequestParams):
    """A request for the messages of a prompt; `input_responses` and `request_state` as for `CallToolRequestParams`.

    Attributes:
        name: of the prompt.
        arguments: texts by name.
    """

    name: str
    arguments: dict[str, str] | None = None
    input_responses: dict[str, dict[str, Any]] | None = spec_field(since="2026-07-28")
    request_state: str | None = spec_field(since="2026-07-28")


@attrs.define
class PromptMessage:
    """One message of a prompt."""

    role: Role
    content: ContentBlock
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class GetPromptResult(Result):
    """The messages of a prompt."""

    messages: list[PromptMessage]
    description: str | None = None


@attrs.define
class PromptReference:
    """Names a prompt, for completion."""

    name: str
    title: str | None = spec_field(since="2025-06-18")
    type: Literal["ref/prompt"] = attrs.field(default="ref/prompt", kw_only=True, metadata=ALWAYS)
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)
