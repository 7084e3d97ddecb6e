"""Prompts: their description, their list, and their messages (server/prompts)."""

from typing import Any, Literal

import attrs

from trimcp.types.content import ContentBlock
from trimcp.types.fields import ALWAYS, Extensible, spec_field
from trimcp.types.metadata import Icon, Role
from trimcp.types.payload import CacheablePage, RequestParams, Result


@attrs.define(eq=False, repr=False)
class PromptArgument(Extensible):
    """An argument of a prompt.

    Attributes:
        name: its name for programs.
        title: its name for people (2025-06-18).
        description: its meaning.
        required: whether it is required; None is False.
    """

    name: str
    title: str | None = spec_field(since="2025-06-18")
    description: str | None = None
    required: bool | None = None


@attrs.define(eq=False, repr=False)
class Prompt(Extensible):
    """The description of a prompt.

    Attributes:
        name: its name in requests.
        title: its name for people (2025-06-18).
        description: its purpose.
        arguments: its arguments.
        icons: its icons (2025-11-25).
    """

    name: str
    title: str | None = spec_field(since="2025-06-18")
    description: str | None = None
    arguments: list[PromptArgument] | None = None
    icons: list[Icon] | None = spec_field(since="2025-11-25")
    meta: dict[str, Any] | None = spec_field(since="2025-06-18")


@attrs.define(eq=False, repr=False)
class ListPromptsResult(CacheablePage):
    """One page of the server's prompts."""

    prompts: list[Prompt]


@attrs.define(eq=False, repr=False)
class GetPromptRequestParams(RequestParams):
    """A request for the messages of a prompt; `input_responses` and `request_state` as for `CallToolRequestParams`.

    Attributes:
        name: the name of the prompt.
        arguments: strings by name.
    """

    name: str
    arguments: dict[str, str] | None = None
    input_responses: dict[str, dict[str, Any]] | None = spec_field(since="2026-07-28")
    request_state: str | None = spec_field(since="2026-07-28")


@attrs.define(eq=False, repr=False)
class PromptMessage(Extensible):
    """One message of a prompt."""

    role: Role
    content: ContentBlock


@attrs.define(eq=False, repr=False)
class GetPromptResult(Result):
    """The messages of a prompt."""

    messages: list[PromptMessage]
    description: str | None = None


@attrs.define(eq=False, repr=False)
class PromptReference(Extensible):
    """A reference to a prompt, for completion."""

    name: str
    title: str | None = spec_field(since="2025-06-18")
    type: Literal["ref/prompt"] = attrs.field(default="ref/prompt", kw_only=True, metadata=ALWAYS)
