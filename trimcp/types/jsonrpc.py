"""JSON-RPC 2.0 as MCP uses it: the four messages, their ids, and all error codes.

Params and results are raw dicts here; other modules of this package and `trimcp.codec` give them
types. `codec.envelope` reads and writes these classes.
"""

from __future__ import annotations

from typing import Any, Final

import attrs

from trimcp.types.fields import ABSENT
from trimcp.values import Value

RequestId = int | str
"""The id of a request. 7 and "7" are two ids; bool and float are not allowed."""

ProgressToken = int | str
"""Links progress notifications to their request."""

JSONRPC_VERSION: Final = "2.0"

# JSON-RPC's own codes (jsonrpc.org/specification, section 5.1).
PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603

# Codes of MCP; the last three are new in 2026-07-28.
RESOURCE_NOT_FOUND: Final = -32002
URL_ELICITATION_REQUIRED: Final = -32042
HEADER_MISMATCH: Final = -32020
MISSING_CLIENT_CAPABILITY: Final = -32021
UNSUPPORTED_PROTOCOL_VERSION: Final = -32022

# trimcp's own, outside the range that JSON-RPC reserves (-32768 to -32000).
BUSY: Final = -31001
"""Too many requests in flight; the same request may succeed later."""
DRAINING: Final = -31002
"""The server is shutting down and accepts no new work."""
TIMED_OUT: Final = -31003
"""The handler did not answer within its deadline."""
TOO_MANY_SESSIONS: Final = -31004
"""The server has reached its limit of sessions."""
CANCELLED_BY_SERVER: Final = -31005
"""The server cancelled the request itself."""
INSUFFICIENT_SCOPE: Final = -31006
"""The access token lacks a scope that the operation needs; over HTTP the answer is 403 instead."""
TASK_CANCELLED: Final = -31008
"""The task was cancelled, so it has no result."""
NODE_LOST: Final = -31010
"""The node that ran the request is gone: the request may or may not have had an effect."""
STORE_UNAVAILABLE: Final = -31011
"""The store that the request needs does not answer; the same request may succeed later."""


@attrs.define(eq=False, repr=False)
class Request(Value):
    """A message that needs a response."""

    id: RequestId
    method: str
    params: dict[str, Any] | None = None


@attrs.define(eq=False, repr=False)
class Notification(Value):
    """A message without a response."""

    method: str
    params: dict[str, Any] | None = None


@attrs.define(eq=False, repr=False)
class ErrorData(Value):
    """The error of a failed request.

    Attributes:
        code: one of the codes above, or a code of the application.
        message: one sentence for people.
        data: any JSON value; `ABSENT` without one, since null is a value.
    """

    code: int
    message: str
    data: Any = ABSENT


@attrs.define(eq=False, repr=False)
class Response(Value):
    """The response to a successful request."""

    id: RequestId
    result: dict[str, Any]


@attrs.define(eq=False, repr=False)
class ErrorResponse(Value):
    """The response to a failed request; `id` is None if the request's id could not be read."""

    id: RequestId | None
    error: ErrorData


Message = Request | Notification | Response | ErrorResponse
"""One JSON-RPC message; arrays of them (2025-03-26) are split before."""
