"""JSON value → JSON-RPC message, and message → JSON text.

Every message passes here, so the code is attribute tests and one call of orjson. Params and results
stay raw; `codec.payloads` decodes them. Arrays of messages (2025-03-26) are left to the session.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import orjson

from trimcp.codec.jsontext import not_encodable
from trimcp.errors import TrimcpError
from trimcp.schema.exact_json import LONG_TEXT, encode_slowly, find_null, has_no_float, refuse_not_finite
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
ID_BYTES: Final = 1024
"""Bytes that the id of a request may have: it is kept, indexed and repeated in each message about its request."""
_SHORT: Final = ID_BYTES // 4
_LEAST: Final = -(2**62)
_MOST: Final = 2**62
"""The integers that are short."""
_TOO_LONG: Final = f"The id must have at most {ID_BYTES} bytes."


class InvalidMessage(TrimcpError):
    """A JSON value is not a JSON-RPC message.

    Attributes:
        code: the JSON-RPC error code.
        message: one sentence for people, without any part of the value.
        path: the place of the problem; `$` is the message.
        id: the id of the message, if it could be read.
        kind: the kind of message that was meant. A request may be answered with the error; a
            response may not, but fails the request that it answers.
    """

    def __init__(
        self, code: int, message: str, path: str, id: RequestId | None = None, kind: MessageKind = "unknown"
    ) -> None:
        super().__init__(code, message, path, id, kind)
        self.code: int = code
        self.message: str = message
        self.path: str = path
        self.id: RequestId | None = id
        self.kind: MessageKind = kind

    def __str__(self) -> str:
        return f"{self.message} @ {self.path}"


def read_message(value: Any) -> Message:
    """Read one message from a JSON value that `jsontext.loads` returned.

    Members that JSON-RPC does not define are ignored. A message of two kinds at once is refused,
    since the two sides might disagree on its kind.

    Raises:
        InvalidMessage: the value is not a message.
    """
    if type(value) is dict and len(value) == 4:  # most messages: the checks of `_read_any` at once
        try:
            version, id, method, params = value["jsonrpc"], value["id"], value["method"], value["params"]
        except KeyError:
            return _read_any(value)
        is_short = type(id) is int and _LEAST < id < _MOST
        if is_short and type(method) is str and type(params) is dict and version == "2.0":
            return Request(id, method, params)
    return _read_any(value)


def _read_any(value: Any) -> Message:
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
    if params is _MISSING or params is None:  # some peers write null for params that they do not have
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
    if (len(id) > _SHORT if isinstance(id, str) else not _LEAST < id < _MOST) and _is_too_long(id):
        raise _refused(value, _TOO_LONG, "$.id")
    return Request(id, method, params)


def encode_request(id: RequestId, method: str, params: dict[str, Any] | None) -> bytes:
    """Write a request as JSON text.

    Raises:
        InvalidPayload: the params hold a value that has no JSON form.
    """
    if params is None:
        return _dump({"jsonrpc": "2.0", "id": id, "method": method}, params)
    return _dump({"jsonrpc": "2.0", "id": id, "method": method, "params": params}, params)


def encode_notification(method: str, params: dict[str, Any] | None) -> bytes:
    """Write a notification as JSON text.

    Raises:
        InvalidPayload: the params hold a value that has no JSON form.
    """
    if params is None:
        return _dump({"jsonrpc": "2.0", "method": method}, params)
    return _dump({"jsonrpc": "2.0", "method": method, "params": params}, params)


def encode_result(id: RequestId, result: dict[str, Any]) -> bytes:
    """Write the response of a successful request as JSON text.

    Raises:
        InvalidPayload: the result holds a value that has no JSON form.
    """
    message = {"jsonrpc": "2.0", "id": id, "result": result}
    try:
        text = orjson.dumps(message)
        if (len(text) < LONG_TEXT or not has_no_float(message)) and find_null(text):
            refuse_not_finite(message)
    except TypeError:
        return _dump_slowly(message, result)
    return text


def encode_error(id: RequestId | None, code: int, message: str, data: Any = ABSENT, *, null_id: bool) -> bytes:
    """Write the error response of a request as JSON text.

    Args:
        id: the id of the request; None if it could not be read.
        code: the error code.
        message: one sentence for people.
        data: any JSON value, null included; ABSENT for none.
        null_id: whether an unreadable id is written as null (up to 2025-06-18) or left out.

    Raises:
        InvalidPayload: the data hold a value that has no JSON form.
    """
    error = {"code": code, "message": message}
    if data is not ABSENT:
        error["data"] = data
    if id is None and not null_id:
        return _dump({"jsonrpc": "2.0", "error": error}, error)
    return _dump({"jsonrpc": "2.0", "id": id, "error": error}, error)


def _dump(message: dict[str, Any], payload: Any) -> bytes:
    # `encode_result` does the same, in line.
    try:
        text = orjson.dumps(message)
        if (len(text) < LONG_TEXT or not has_no_float(message)) and find_null(text):
            refuse_not_finite(message)
    except TypeError:
        return _dump_slowly(message, payload)
    return text


def _dump_slowly(message: dict[str, Any], payload: Any) -> bytes:
    try:
        return encode_slowly(message)
    except TypeError:
        # The path is within the payload, which is all that the caller passed.
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


def _is_too_long(id: RequestId) -> bool:
    if isinstance(id, int):
        return id.bit_length() > 3.3 * ID_BYTES  # the bits of a decimal digit
    return len(id) > _SHORT and len(id.encode(errors="surrogatepass")) > ID_BYTES


def _refused(value: dict[str, Any], message: str, path: str) -> InvalidMessage:
    id, kind = value.get("id"), _kind(value)
    if type(id) is float and id.is_integer() and kind == "response":
        id = int(id)  # some peers write 1.0 for 1: the call that it answers fails, and need not wait
    readable = id if (type(id) is int or type(id) is str) and not _is_too_long(id) else None
    return InvalidMessage(INVALID_REQUEST, message, path, readable, kind)


def _kind(value: dict[str, Any]) -> MessageKind:
    if "method" in value:
        return "request" if "id" in value else "notification"
    if "result" in value or "error" in value:
        return "response"
    return "unknown"
