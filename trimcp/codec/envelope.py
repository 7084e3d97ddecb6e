"""JSON value to JSON-RPC message, and message to JSON text.

On the path of every message, so it is attribute tests and one call of orjson, nothing
generated. Params and results stay raw; `codec.payloads` structures them. Arrays of messages
(2025-03-26) are the session's business. Called by the session's reader and by whoever answers.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import orjson

from trimcp.codec.jsontext import not_encodable
from trimcp.errors import TrimcpError
from trimcp.types.fields import ABSENT
from trimcp.types.jsonrpc import (
    INVALID_REQUEST,
    JSONRPC_VERSION,
    ErrorData,
    ErrorResponse,
    Message,
    Notification,
    Request,
    RequestId,
    Response,
)

MessageKind = Literal["request", "notification", "response", "unknown"]

_MISSING: Final = object()


class InvalidMessage(TrimcpError):
    """A JSON value is not a JSON-RPC message.

    Attributes:
        code: the JSON-RPC error code that says so.
        message: one sentence for people, without any of the value itself.
        path: where it is wrong, `$` being the message.
        id: the id of the message, where one could be read.
        kind: what the message set out to be. A request may be answered with the error; a
            response never is, but fails the request it answers.
    """

    def __init__(
        self, code: int, message: str, path: str, id: RequestId | None = None, kind: MessageKind = "unknown"
    ) -> None:
        super().__init__(code, message, path, id, kind)
        self.code = code
        self.message = message
        self.path = path
        self.id = id
        self.kind: MessageKind = kind

    def __str__(self) -> str:
        return f"{self.message} @ {self.path}"


def read_message(value: Any) -> Message:
    """Read one message out of a JSON value as `jsontext.loads` gives it.

    Members that JSON-RPC does not know are ignored; a message that is two kinds at once is
    refused, since the two sides might disagree on which it is.

    Raises:
        InvalidMessage: it is not a message.
    """
    if type(value) is not dict:
        raise InvalidMessage(INVALID_REQUEST, "A message must be a JSON object.", "$")
    if value.get("jsonrpc") != JSONRPC_VERSION:
        raise _refused(value, 'The member jsonrpc must be "2.0".', "$.jsonrpc")
    method = value.get("method", _MISSING)
    if method is _MISSING:
        return _read_answer(value)
    if type(method) is not str:
        raise _refused(value, "The method must be a string.", "$.method")
    params = value.get("params", _MISSING)
    if params is _MISSING:
        params = None
    elif type(params) is not dict:
        raise _refused(value, "The params must be an object.", "$.params")
    if "result" in value or "error" in value:
        raise _refused(value, "A message must not hold both a method and an answer.", "$")
    id = value.get("id", _MISSING)
    if id is _MISSING:
        return Notification(method, params)
    # `type` rather than isinstance: True is an int to isinstance.
    if type(id) is not int and type(id) is not str:
        raise _refused(value, "The id must be an integer or a string.", "$.id")
    return Request(id, method, params)


def encode_request(id: RequestId, method: str, params: dict[str, Any] | None) -> bytes:
    """The JSON text of a request.

    Raises:
        InvalidPayload: the params hold something that JSON has no form for.
    """
    if params is None:
        return _dump({"jsonrpc": "2.0", "id": id, "method": method}, params)
    return _dump({"jsonrpc": "2.0", "id": id, "method": method, "params": params}, params)


def encode_notification(method: str, params: dict[str, Any] | None) -> bytes:
    """The JSON text of a notification.

    Raises:
        InvalidPayload: the params hold something that JSON has no form for.
    """
    if params is None:
        return _dump({"jsonrpc": "2.0", "method": method}, params)
    return _dump({"jsonrpc": "2.0", "method": method, "params": params}, params)


def encode_result(id: RequestId, result: dict[str, Any]) -> bytes:
    """The JSON text of the answer to a request that succeeded.

    Raises:
        InvalidPayload: the result holds something that JSON has no form for.
    """
    return _dump({"jsonrpc": "2.0", "id": id, "result": result}, result)


def encode_error(id: RequestId | None, code: int, message: str, data: Any = ABSENT, *, null_id: bool) -> bytes:
    """The JSON text of the answer to a request that failed.

    Args:
        id: the request's id, None where it could not be read.
        code: the error's code.
        message: one sentence for people.
        data: a JSON value beside them, null included; ABSENT for none.
        null_id: whether an id that could not be read is written as null (up to 2025-06-18) or left out.

    Raises:
        InvalidPayload: the data hold something that JSON has no form for.
    """
    error = {"code": code, "message": message}
    if data is not ABSENT:
        error["data"] = data
    if id is None and not null_id:
        return _dump({"jsonrpc": "2.0", "error": error}, error)
    return _dump({"jsonrpc": "2.0", "id": id, "error": error}, error)


def _dump(message: dict[str, Any], payload: Any) -> bytes:
    try:
        return orjson.dumps(message)
    except TypeError:
        # The path is that within the payload, which is what the caller passed.
        raise not_encodable(payload) from None


def _read_answer(value: dict[str, Any]) -> Response | ErrorResponse:
    id = value.get("id")
    if id is not None and type(id) is not int and type(id) is not str:
        raise _refused(value, "The id must be an integer or a string.", "$.id")
    result = value.get("result", _MISSING)
    error = value.get("error", _MISSING)
    if error is _MISSING:
        if result is _MISSING:
            raise _refused(value, "A message must hold a method, a result or an error.", "$")
        if id is None:
            raise _refused(value, "A result must carry the id of its request.", "$.id")
        if type(result) is not dict:
            raise _refused(value, "The result must be an object.", "$.result")
        return Response(id, result)
    if result is not _MISSING:
        raise _refused(value, "A message must not hold both a result and an error.", "$")
    return ErrorResponse(id, _read_error(value, error))


def _read_error(value: dict[str, Any], error: Any) -> ErrorData:
    if type(error) is not dict:
        raise _refused(value, "The error must be an object.", "$.error")
    code = error.get("code")
    if type(code) is not int:
        raise _refused(value, "The error's code must be an integer.", "$.error.code")
    message = error.get("message")
    if type(message) is not str:
        raise _refused(value, "The error's message must be a string.", "$.error.message")
    return ErrorData(code, message, error.get("data", ABSENT))


def _refused(value: dict[str, Any], message: str, path: str) -> InvalidMessage:
    id = value.get("id")
    readable = id if type(id) is int or type(id) is str else None
    return InvalidMessage(INVALID_REQUEST, message, path, readable, _kind(value))


def _kind(value: dict[str, Any]) -> MessageKind:
    if "method" in value:
        return "request" if "id" in value else "notification"
    if "result" in value or "error" in value:
        return "response"
    return "unknown"
