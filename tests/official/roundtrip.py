"""A definition's value through the codec and back, whatever the definition is here."""

from typing import Any

from tests.official.definitions import Answer, Envelope, ErrorMessage, ErrorObject, Message, Row, Target, Value
from trimcp.codec.envelope import encode_error, encode_notification, encode_request, encode_result, read_message
from trimcp.codec.jsontext import loads
from trimcp.codec.revisions import RevisionCodec, codec_for
from trimcp.types import jsonrpc
from trimcp.types.methods import resolve
from trimcp.types.revisions import Revision

DECODED = (Value, Message, Answer, Envelope, ErrorObject, ErrorMessage)
"""Targets whose values the codec reads."""

ERRORS = (jsonrpc.ErrorResponse,)


class AnotherKind(Exception):
    """A message that could be read is not of the kind that its definition is about."""


def round_trip(row: Row, revision: Revision, value: Any) -> Any:
    """Decode a value of the definition and encode it again; raises what the codec raises."""
    return _round_trip(row.target, codec_for(revision), value)


def _round_trip(target: Target, codec: RevisionCodec, value: Any) -> Any:
    if isinstance(target, Value):
        return codec.unstructure(codec.structure(value, resolve(target.type)))
    if isinstance(target, Message):
        # The definitions of the older schemas leave out what the envelope adds.
        message = read_message({"id": 1, **value, "jsonrpc": "2.0"})
        assert isinstance(message, jsonrpc.Request)
        params = codec.params_decoder(target.method)(message.params)
        encoded = codec.params_encoder(target.method)(params)
        return {**value, "params": encoded} if "params" in value else value
    if isinstance(target, Answer):
        answer = read_message(value)
        if not isinstance(answer, jsonrpc.Response):
            raise AnotherKind
        result = codec.result_decoder(target.method)(answer.result)
        return {**value, "result": codec.result_encoder(target.method)(result)}
    if isinstance(target, ErrorObject):
        message_with_it = {"jsonrpc": "2.0", "id": 1, "error": value}
        return _envelope(message_with_it, codec.revision, ERRORS)["error"]
    if isinstance(target, ErrorMessage):
        again = _envelope(value, codec.revision, ERRORS)
        if target.data is not None:
            data = codec.structure(again["error"].get("data"), resolve(target.data))
            again["error"]["data"] = codec.unstructure(data)
        return again
    assert isinstance(target, Envelope)
    if isinstance(value, list):
        return [_envelope(message, codec.revision, target.kinds) for message in value]
    return _envelope(value, codec.revision, target.kinds)


def _envelope(value: Any, revision: Revision, kinds: tuple[type, ...]) -> Any:
    message = read_message(value)
    if not isinstance(message, kinds):
        raise AnotherKind
    if isinstance(message, jsonrpc.Request):
        text = encode_request(message.id, message.method, message.params)
    elif isinstance(message, jsonrpc.Notification):
        text = encode_notification(message.method, message.params)
    elif isinstance(message, jsonrpc.Response):
        text = encode_result(message.id, message.result)
    else:
        error = message.error
        text = encode_error(message.id, error.code, error.message, error.data, null_id=revision.unreadable_id_is_null)
    return loads(text)
