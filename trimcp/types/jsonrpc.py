"""JSON-RPC 2.0 as MCP uses it: the four messages, their ids, and every error code in use.

Params and results are raw dicts here; what is in them is the business of the other modules
of this package and of `trimcp.codec`. The classes are plain records; `codec.envelope` reads
and writes them.
"""

from __future__ import annotations

from typing import Any, Final

import attrs

from trimcp.types.fields import ABSENT

RequestId = int | str
"""The id of a request. 7 and "7" are two ids; a bool or a float is none."""

ProgressToken = int | str
"""What links progress notifications to their request."""

JSONRPC_VERSION: Final = "2.0"

# JSON-RPC's own codes (jsonrpc.org/specification, section 5.1).
PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603

# Codes of MCP; the last three came with 2026-07-28.
RESOURCE_NOT_FOUND: Final = -32002
URL_ELICITATION_REQUIRED: Final = -32042
HEADER_MISMATCH: Final = -32020
MISSING_CLIENT_CAPABILITY: Final = -32021
UNSUPPORTED_PROTOCOL_VERSION: Final = -32022

# trimcp's own, outside the range that JSON-RPC reserves (-32768 to -32000).
BUSY: Final = -31001
"""Too many requests in flight; the same request may succeed later."""
DRAINING: Final = -31002
"""The server is shutting down and takes no new work."""
TIMED_OUT: Final = -31003
"""The handler did not answer within its deadline."""
TOO_MANY_SESSIONS: Final = -31004
"""The server holds as many sessions as it may."""
CANCELLED_BY_SERVER: Final = -31005
"""The server gave the request up on its own account."""


@attrs.define
class Request:
    """A message that wants an answer."""

    id: RequestId
    method: str
    params: dict[str, Any] | None = None


@attrs.define
class Notification:
    """A message that wants none."""

    method: str
    params: dict[str, Any] | None = None


@attrs.define
class ErrorData:
    """Why a request failed.

    Attributes:
        code: one of the codes above, or an application's own.
        message: one sentence for people.
        data: any JSON value beside them; `ABSENT` if there is none, since null may be sent.
    """

    code: int
    message: str
    data: Any = ABSENT


@attrs.define
class Response:
    """The answer to a request that succeeded."""

    id: RequestId
    result: dict[str, Any]


@attrs.define
class ErrorResponse:
    """The answer to a request that failed; `id` is None where the request's id could not be read."""

    id: RequestId | None
    error: ErrorData


Message = Request | Notification | Response | ErrorResponse
"""Any one JSON-RPC message; arrays of them (2025-03-26) are taken apart before."""
