"""Input requests in `input_required` results of 2026-07-28: questions without a session (basic/patterns/mrtr)."""

from typing import Any, ClassVar, Literal

import attrs

from trimcp.types.elicitation import ElicitRequestParams, ElicitResult
from trimcp.types.fields import ALWAYS, Extensible, spec_field
from trimcp.types.payload import RequestParams, Result
from trimcp.types.roots import ListRootsResult
from trimcp.types.sampling import CreateMessageRequestParams, CreateMessageResult


@attrs.define(eq=False, repr=False)
class CreateMessageRequest(Extensible):
    """A sampling request to the client's model."""

    params: CreateMessageRequestParams
    method: Literal["sampling/createMessage"] = attrs.field(
        default="sampling/createMessage", kw_only=True, metadata=ALWAYS
    )


@attrs.define(eq=False, repr=False)
class ElicitRequest(Extensible):
    """An elicitation request to the client's user."""

    params: ElicitRequestParams
    method: Literal["elicitation/create"] = attrs.field(default="elicitation/create", kw_only=True, metadata=ALWAYS)


@attrs.define(eq=False, repr=False)
class ListRootsRequestParams(Extensible):
    """The params of a request for the client's roots."""

    meta: dict[str, Any] | None = None


@attrs.define(eq=False, repr=False)
class ListRootsRequest(Extensible):
    """A request for the client's roots."""

    params: ListRootsRequestParams | None = None
    method: Literal["roots/list"] = attrs.field(default="roots/list", kw_only=True, metadata=ALWAYS)


InputRequest = CreateMessageRequest | ListRootsRequest | ElicitRequest
InputRequests = dict[str, InputRequest]
"""Input requests, by keys that the server chooses."""

InputResponse = CreateMessageResult | ListRootsResult | ElicitResult
InputResponses = dict[str, InputResponse]
"""Answers, by the keys of the input requests."""


@attrs.define(eq=False, repr=False)
class InputRequiredResult(Result):
    """The server needs answers: the client sends the same request again, with them.

    Attributes:
        input_requests: the input requests.
        request_state: opaque to the client, which sends it back unchanged.
    """

    result_type: ClassVar[str | None] = "input_required"

    input_requests: dict[str, InputRequest] | None = None
    request_state: str | None = None


@attrs.define(eq=False, repr=False)
class InputResponseRequestParams(RequestParams):
    """The additional params of a request that is sent again; see `CallToolRequestParams`."""

    input_responses: dict[str, dict[str, Any]] | None = spec_field(since="2026-07-28")
    request_state: str | None = spec_field(since="2026-07-28")
