"""What a handler may ask the client for: the questions, and what the answers become.

Each knows its method, what the client must have declared, its params, and how to read an answer.
How it gets to the client is `asking`'s business. client/{elicitation,sampling,roots} of every revision.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any, Generic, Literal, TypeVar

import attrs

from trimcp.codec.revisions import RevisionCodec
from trimcp.errors import UsageError
from trimcp.server.forms import Form, form_of
from trimcp.server.requirements import Requirement
from trimcp.server.uri_syntax import normal_uri
from trimcp.types.content import TextContent
from trimcp.types.elicitation import ElicitRequestFormParams, ElicitRequestURLParams, ElicitResult
from trimcp.types.input_required import CreateMessageRequest, ElicitRequest, InputRequest, ListRootsRequest
from trimcp.types.revisions import Revision
from trimcp.types.roots import ListRootsResult, Root
from trimcp.types.sampling import (
    CreateMessageRequestParams,
    CreateMessageResult,
    ModelPreferences,
    SamplingMessage,
    SamplingMessageContentBlock,
    ToolChoice,
    ToolResultContent,
    ToolUseContent,
)
from trimcp.types.tools import Tool

A = TypeVar("A")
T = TypeVar("T")


class Question(abc.ABC, Generic[A]):
    """One question to the client; `A` is what its answer becomes."""

    method: str
    requires: Requirement

    @abc.abstractmethod
    def params(self, revision: Revision) -> Any:
        """The params object.

        Raises:
            UsageError: the revision cannot ask this.
        """

    @abc.abstractmethod
    def request(self, revision: Revision) -> InputRequest:
        """The question as an input request of 2026-07-28."""

    @abc.abstractmethod
    def answer(self, raw: Any, codec: RevisionCodec) -> A:
        """Read an answer.

        Raises:
            InvalidPayload: it is not one to this question.
        """


@attrs.frozen
class Elicited(Generic[T]):
    """What the user made of a question.

    Attributes:
        action: `accept`, `decline` (a no) or `cancel` (no answer).
        data: what was filled in, where it was accepted.
    """

    action: Literal["accept", "decline", "cancel"]
    data: T | None = None

    @property
    def accepted(self) -> bool:
        """Whether there are data."""
        return self.action == "accept"


class Elicit(Question[Elicited[T]]):
    """A form for the user to fill in (2025-06-18 and later)."""

    method = "elicitation/create"
    requires = "elicitation"

    def __init__(self, message: str, form: type[T] | dict[str, Any]) -> None:
        """
        Args:
            message: what is asked and why, for people. Never ask for secrets in a form.
            form: a class (attrs, dataclass, TypedDict, pydantic) whose fields are strings, numbers,
                booleans, enums or lists of enums; or the restricted JSON Schema itself.

        Raises:
            UsageError: the form has a field of another kind.
        """
        self.message = message
        self.form: Form[T] = form_of(form)

    def params(self, revision: Revision) -> ElicitRequestFormParams:
        return ElicitRequestFormParams(self.message, self.form.schema_in(revision), mode="form")

    def request(self, revision: Revision) -> ElicitRequest:
        return ElicitRequest(self.params(revision))

    def answer(self, raw: Any, codec: RevisionCodec) -> Elicited[T]:
        result = codec.structure(raw, ElicitResult)
        if result.action != "accept":
            return Elicited(result.action)
        return Elicited("accept", self.form.read(result.content or {}))


class ElicitUrl(Question[Elicited[None]]):
    """A web page for the user to visit (2025-11-25 and later): for secrets, payments, consent."""

    method = "elicitation/create"
    requires = "elicitation.url"

    def __init__(self, message: str, url: str, *, id: str) -> None:
        """`id` names the visit in `notifications/elicitation/complete` of 2025-11-25.

        Raises:
            UsageError: the URL is none.
        """
        if normal_uri(url) is None:
            raise UsageError("what a user is to visit must be a URL")
        self.message = message
        self.url = url
        self.id = id

    def params(self, revision: Revision) -> ElicitRequestURLParams:
        return ElicitRequestURLParams(self.message, self.url, self.id)

    def request(self, revision: Revision) -> ElicitRequest:
        return ElicitRequest(self.params(revision))

    def answer(self, raw: Any, codec: RevisionCodec) -> Elicited[None]:
        return Elicited(codec.structure(raw, ElicitResult).action)


@attrs.frozen
class Sampled:
    """What the client's model said.

    Attributes:
        content: block by block.
        model: its name.
        stop_reason: `endTurn`, `maxTokens`, `toolUse`, …
        result: the whole answer.
    """

    content: list[SamplingMessageContentBlock]
    model: str
    stop_reason: str | None
    result: CreateMessageResult

    @property
    def text(self) -> str:
        """The text blocks, a line break between two of them."""
        return "\n".join(block.text for block in self.content if isinstance(block, TextContent))


class Sample(Question[Sampled]):
    """A message from the client's model."""

    method = "sampling/createMessage"

    def __init__(
        self,
        messages: str | Sequence[str | SamplingMessage],
        *,
        max_tokens: int = 1024,
        system_prompt: str | None = None,
        model_preferences: ModelPreferences | None = None,
        temperature: float | None = None,
        stop_sequences: Sequence[str] | None = None,
        include_context: Literal["none", "thisServer", "allServers"] | None = None,
        tools: Sequence[Tool] | None = None,
        tool_choice: ToolChoice | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """
        Args:
            messages: the conversation; a string is a message of the user's.
            max_tokens: how long the answer may get.
            system_prompt: what the model is told before.
            model_preferences: which model is wanted; the client decides.
            temperature: how freely it answers.
            stop_sequences: texts that end the answer.
            include_context: deprecated.
            tools: what the model may call (2025-11-25; the client must declare `sampling.tools`).
            tool_choice: how freely.
            metadata: for the model's provider.

        Raises:
            UsageError: uses of tools and their results do not match (see `check_tool_messages`).
        """
        self.requires = "sampling" if tools is None and tool_choice is None else "sampling.tools"
        said = [messages] if isinstance(messages, str) else messages
        conversation = [SamplingMessage("user", TextContent(m)) if isinstance(m, str) else m for m in said]
        check_tool_messages(conversation)
        self._params = CreateMessageRequestParams(
            conversation,
            max_tokens,
            system_prompt=system_prompt,
            model_preferences=model_preferences,
            include_context=include_context,
            temperature=temperature,
            stop_sequences=None if stop_sequences is None else list(stop_sequences),
            metadata=metadata,
            tools=None if tools is None else list(tools),
            tool_choice=tool_choice,
        )

    def params(self, revision: Revision) -> CreateMessageRequestParams:
        return self._params

    def request(self, revision: Revision) -> CreateMessageRequest:
        return CreateMessageRequest(self._params)

    def answer(self, raw: Any, codec: RevisionCodec) -> Sampled:
        result = codec.structure(raw, CreateMessageResult)
        content = result.content if isinstance(result.content, list) else [result.content]
        return Sampled(content, result.model, result.stop_reason, result)


def check_tool_messages(conversation: Sequence[SamplingMessage]) -> None:
    """Check that each use of a tool has its result in the next message, and that message nothing else.

    client/sampling of 2025-11-25 and later, "Message Content Constraints".

    Raises:
        UsageError: it is not so.
    """
    owed: set[str] = set()
    for message in conversation:
        blocks = message.content if isinstance(message.content, list) else [message.content]
        results = [block.tool_use_id for block in blocks if isinstance(block, ToolResultContent)]
        if results and (message.role != "user" or len(results) != len(blocks)):
            raise UsageError("results of tools are a message of the user's with nothing else in it")
        if owed != set(results) or len(owed) != len(results):
            raise UsageError("each use of a tool has one result, in the message right after it")
        owed = {block.id for block in blocks if isinstance(block, ToolUseContent)}
    if owed:
        raise UsageError("after the use of a tool its result must follow")


class Roots(Question[list[Root]]):
    """The places that the client lets the server work in."""

    method = "roots/list"
    requires = "roots"

    def params(self, revision: Revision) -> None:
        return None

    def request(self, revision: Revision) -> ListRootsRequest:
        return ListRootsRequest()

    def answer(self, raw: Any, codec: RevisionCodec) -> list[Root]:
        return codec.structure(raw, ListRootsResult).roots
