"""Questions of a server that keeps no session: `input_required` results of 2026-07-28 (basic/patterns/mrtr)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import attrs

from trimcp.types.elicitation import ElicitRequestParams, ElicitResult
from trimcp.types.fields import ALWAYS, spec_field
from trimcp.types.payload import RequestParams, Result
from trimcp.types.roots import ListRootsResult
from trimcp.types.sampling import CreateMessageRequestParams, CreateMessageResult


@attrs.define
class CreateMessageRequest:
    """A question to the client's model."""

    params: CreateMessageRequestParams
    method: Literal["sampling/createMessage"] = attrs.field(
        default="sampling/createMessage", kw_only=True, metadata=ALWAYS
    )
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class ElicitRequest:
    """A question to the client's user."""

    params: ElicitRequestParams
    method: Literal["elicitation/create"] = attrs.field(default="elicitation/create", kw_only=True, metadata=ALWAYS)
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class ListRootsRequestParams:
    """What a question for the client's roots carries."""

    meta: dict[str, Any] | None = None
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class ListRootsRequest:
    """A question for the client's roots."""

    params: ListRootsRequestParams | None = None
    method: Literal["roots/list"] = attrs.field(default="roots/list", kw_only=True, metadata=ALWAYS)
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


InputRequest = CreateMessageRequest | ListRootsRequest | ElicitRequest
InputRequests = dict[str, InputRequest]
"""Questions by keys of the server's own."""

InputResponse = CreateMessageResult | ListRootsResult | ElicitResult
InputResponses = dict[str, InputResponse]
"""Answers by the keys of the questions."""


@attrs.define
class InputRequiredResult(Result):
    """The server needs answers first, and the same request again with them.

    Attributes:
        input_requests: the questions.
        request_state: to be sent back as it is; the client knows nothing of what is in it.
    """

    result_type: ClassVar[str | None] = "input_required"

    input_requests: dict[str, InputRequest] | None = None
    request_state: str | None = None


@attrs.define
class InputResponseRequestParams(RequestParams):
    """What a request carries that is sent again; see `CallToolRequestParams`."""

    input_responses: dict[str, dict[str, Any]] | None = spec_field(since="2026-07-28")
    request_state: str | None = spec_field(since="2026-07-28")
