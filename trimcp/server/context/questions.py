"""The questions that handlers ask the client: their params, the capabilities that they need, and their answers.

`client_requests` sends them. client/{elicitation,sampling,roots} of every revision.
"""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any, Generic, Literal, TypedDict, TypeVar

import attrs

from trimcp.codec.revisions import RevisionCodec
from trimcp.errors import UsageError
from trimcp.framing.uri_syntax import normal_uri
from trimcp.server.context.forms import Form, form_of
from trimcp.server.context.requirements import Requirement
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
    """Asks the client for one answer, of type `A`."""

    method: str
    requires: Requirement

    @abc.abstractmethod
    def params(self, revision: Revision) -> Any:
        """Make the params object.

        Raises:
            UsageError: the revision has no such question.
        """

    @abc.abstractmethod
    def request(self, revision: Revision) -> InputRequest:
        """Make the input request of 2026-07-28."""

    @abc.abstractmethod
    def answer(self, raw: Any, codec: RevisionCodec) -> A:
        """Read an answer.

        Raises:
            InvalidPayload: it does not answer this question.
        """


@attrs.frozen
class Elicited(Generic[T]):
    """Holds the answer of a user.

    Attributes:
        action: `accept`, `decline` (the user refused) or `cancel` (the user did not answer).
        data: the content of the form, if the action is `accept`.
    """

    action: Literal["accept", "decline", "cancel"]
    data: T | None = None

    @property
    def accepted(self) -> bool:
        """Whether the user accepted, so that there are data."""
        return self.action == "accept"


class Elicit(Question[Elicited[T]]):
    """Asks the user to fill in a form (2025-06-18 and later)."""

    method = "elicitation/create"
    requires: Requirement = "elicitation"

    def __init__(self, message: str, form: type[T] | dict[str, Any]) -> None:
        """
        Args:
            message: the question and its reason, for people. Never ask for secrets in a form.
            form: a class (attrs, dataclass, TypedDict, pydantic) whose fields are strings, numbers, booleans, enums or
                lists of enums; or a JSON Schema of the same kind.

        Raises:
            UsageError: the form has a field of another kind.
        """
        self.message: str = message
        self.form: Form[T] = form_of(form)

    def params(self, revision: Revision) -> ElicitRequestFormParams:
        """See `Question`."""
        return ElicitRequestFormParams(self.message, self.form.schema_in(revision), mode="form")

    def request(self, revision: Revision) -> ElicitRequest:
        """See `Question`."""
        return ElicitRequest(self.params(revision))

    def answer(self, raw: Any, codec: RevisionCodec) -> Elicited[T]:
        """See `Question`."""
        result = codec.structure(raw, ElicitResult)
        if result.action != "accept":
            return Elicited(result.action)
        return Elicited("accept", self.form.read(result.content or {}))


class ElicitUrl(Question[Elicited[None]]):
    """Asks the user to visit a web page (2025-11-25 and later): for secrets, payments, consent."""

    method = "elicitation/create"
    requires: Requirement = "elicitation.url"

    def __init__(self, message: str, url: str, *, id: str) -> None:
        """
        Args:
            message: what the user should do there and why, for people.
            url: the URL of the page.
            id: the id in `notifications/elicitation/complete` of 2025-11-25.

        Raises:
            UsageError: the URL is invalid.
        """
        if normal_uri(url) is None:
            raise UsageError(f"Invalid URL {url!r}: give the absolute URL of a web page")
        self.message: str = message
        self.url: str = url
        self.id: str = id

    def params(self, revision: Revision) -> ElicitRequestURLParams:
        """See `Question`."""
        return ElicitRequestURLParams(self.message, self.url, self.id)

    def request(self, revision: Revision) -> ElicitRequest:
        """See `Question`."""
        return ElicitRequest(self.params(revision))

    def answer(self, raw: Any, codec: RevisionCodec) -> Elicited[None]:
        """See `Question`."""
        return Elicited(codec.structure(raw, ElicitResult).action)


@attrs.frozen
class Sampled:
    """Holds the message of the client's model.

    Attributes:
        content: the content blocks.
        model: the name of the model.
        stop_reason: `endTurn`, `maxTokens`, `toolUse`, …
        result: the whole result.
    """

    content: list[SamplingMessageContentBlock]
    model: str
    stop_reason: str | None
    result: CreateMessageResult

    @property
    def text(self) -> str:
        """The text blocks, joined by line breaks."""
        return "\n".join(block.text for block in self.content if isinstance(block, TextContent))


class SampleOptions(TypedDict, total=False):
    """The options of `Sample`, as `ctx.sample` takes them."""

    max_tokens: int
    system_prompt: str | None
    model_preferences: ModelPreferences | None
    temperature: float | None
    stop_sequences: Sequence[str] | None
    include_context: Literal["none", "thisServer", "allServers"] | None
    tools: Sequence[Tool] | None
    tool_choice: ToolChoice | None
    metadata: dict[str, Any] | None


class Sample(Question[Sampled]):
    """Asks the client's model for a message."""

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
            messages: the conversation; a string is a message of the user.
            max_tokens: the longest answer, in tokens.
            system_prompt: the system prompt.
            model_preferences: the preferred model; the client decides.
            temperature: the sampling temperature.
            stop_sequences: strings that end the answer.
            include_context: deprecated.
            tools: the tools that the model may call (2025-11-25; the client must declare `sampling.tools`).
            tool_choice: whether the model may, must or must not call tools.
            metadata: for the provider of the model.

        Raises:
            UsageError: uses of tools and their results do not match (see `check_tool_messages`).
        """
        self.requires: Requirement = "sampling" if tools is None and tool_choice is None else "sampling.tools"
        given = [messages] if isinstance(messages, str) else messages
        conversation = [SamplingMessage("user", TextContent(m)) if isinstance(m, str) else m for m in given]
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
        """See `Question`."""
        return self._params

    def request(self, revision: Revision) -> CreateMessageRequest:
        """See `Question`."""
        return CreateMessageRequest(self._params)

    def answer(self, raw: Any, codec: RevisionCodec) -> Sampled:
        """See `Question`."""
        result = codec.structure(raw, CreateMessageResult)
        content = result.content if isinstance(result.content, list) else [result.content]
        return Sampled(content, result.model, result.stop_reason, result)


def check_tool_messages(conversation: Sequence[SamplingMessage]) -> None:
    """Check that the message after uses of tools has the result of each, and nothing else.

    client/sampling of 2025-11-25 and later, "Message Content Constraints".

    Raises:
        UsageError: a result is missing, or a message has other content beside results.
    """
    owed: set[str] = set()
    for message in conversation:
        blocks = message.content if isinstance(message.content, list) else [message.content]
        results = [block.tool_use_id for block in blocks if isinstance(block, ToolResultContent)]
        if results and (message.role != "user" or len(results) != len(blocks)):
            raise UsageError("Invalid tool results: put them into a message of the user, with nothing else in it")
        if owed != set(results) or len(owed) != len(results):
            raise UsageError("Invalid tool results: give each use of a tool one result, in the message right after it")
        owed = {block.id for block in blocks if isinstance(block, ToolUseContent)}
    if owed:
        raise UsageError("Missing tool results: add a message with the result of each use of a tool")


class Roots(Question[list[Root]]):
    """Asks for the directories and files that the client lets the server work in."""

    method = "roots/list"
    requires: Requirement = "roots"

    def params(self, revision: Revision) -> None:
        """See `Question`."""
        return

    def request(self, revision: Revision) -> ListRootsRequest:
        """See `Question`."""
        return ListRootsRequest()

    def answer(self, raw: Any, codec: RevisionCodec) -> list[Root]:
        """See `Question`."""
        return codec.structure(raw, ListRootsResult).roots
