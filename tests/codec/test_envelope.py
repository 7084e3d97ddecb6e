"""Reading a JSON value as a JSON-RPC message, and writing messages."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.codec.test_jsontext import JSON, TEXT
from trimcp.codec.envelope import (
    InvalidMessage,
    encode_error,
    encode_notification,
    encode_request,
    encode_result,
    read_message,
)
from trimcp.codec.jsontext import loads
from trimcp.errors import InvalidPayload
from trimcp.types.fields import ABSENT
from trimcp.types.jsonrpc import INVALID_REQUEST, ErrorData, ErrorResponse, Notification, Request, Response

IDS = st.integers(-(2**63), 2**63 - 1) | TEXT
OBJECTS = st.dictionaries(TEXT, JSON, max_size=4)
MEMBERS = st.sampled_from(["jsonrpc", "id", "method", "params", "result", "error", "other"])


@given(JSON | st.dictionaries(MEMBERS, JSON | st.just("2.0")))
def test_any_json_value_is_a_message_or_an_invalid_message(value: object) -> None:
    refusal = None
    try:
        message = read_message(value)
    except InvalidMessage as error:
        refusal = error
    else:
        assert isinstance(message, Request | Notification | Response | ErrorResponse)
    if refusal is not None:
        assert refusal.code == INVALID_REQUEST
        assert refusal.path.startswith("$")
        assert refusal.id is None or (isinstance(value, dict) and refusal.id == value["id"])


@given(IDS, TEXT, st.none() | OBJECTS)
def test_requests_round_trip(id: int | str, method: str, params: dict[str, Any] | None) -> None:
    assert read_message(loads(encode_request(id, method, params))) == Request(id, method, params)


@given(TEXT, st.none() | OBJECTS)
def test_notifications_round_trip(method: str, params: dict[str, Any] | None) -> None:
    assert read_message(loads(encode_notification(method, params))) == Notification(method, params)


@given(IDS, OBJECTS)
def test_results_round_trip(id: int | str, result: dict[str, Any]) -> None:
    assert read_message(loads(encode_result(id, result))) == Response(id, result)


@given(st.none() | IDS, st.integers(-(2**63), 2**63 - 1), TEXT, JSON | st.just(ABSENT), st.booleans())
def test_errors_round_trip(id: int | str | None, code: int, message: str, data: object, null_id: bool) -> None:
    text = encode_error(id, code, message, data, null_id=null_id)
    assert read_message(loads(text)) == ErrorResponse(id, ErrorData(code, message, data))
    assert ("id" in loads(text)) is (id is not None or null_id)


def test_the_number_7_and_the_text_7_stay_two_ids() -> None:
    number = read_message({"jsonrpc": "2.0", "id": 7, "method": "ping"})
    text = read_message({"jsonrpc": "2.0", "id": "7", "method": "ping"})
    assert isinstance(number, Request)
    assert isinstance(text, Request)
    assert number != text
    assert json.loads(encode_result(number.id, {}))["id"] == 7
    assert json.loads(encode_result(text.id, {}))["id"] == "7"


def test_members_that_json_rpc_does_not_know_are_ignored() -> None:
    assert read_message({"jsonrpc": "2.0", "method": "m", "trace": [1]}) == Notification("m")
    assert read_message({"jsonrpc": "2.0", "id": 1, "result": {}, "trace": 1}) == Response(1, {})


def test_null_data_of_an_error_is_not_absent_data() -> None:
    error = {"code": 1, "message": "no"}
    without = read_message({"jsonrpc": "2.0", "id": 1, "error": error})
    with_null = read_message({"jsonrpc": "2.0", "id": 1, "error": {**error, "data": None}})
    assert isinstance(without, ErrorResponse)
    assert isinstance(with_null, ErrorResponse)
    assert without.error.data is ABSENT
    assert with_null.error.data is None


ERROR = {"code": 1, "message": "no"}


@pytest.mark.parametrize(
    ("value", "path", "id", "kind"),
    [
        (None, "$", None, "unknown"),
        ([], "$", None, "unknown"),
        ("text", "$", None, "unknown"),
        ({}, "$.jsonrpc", None, "unknown"),
        ({"jsonrpc": 2.0, "id": 1, "method": "m"}, "$.jsonrpc", 1, "request"),
        ({"jsonrpc": "2.1", "method": "m"}, "$.jsonrpc", None, "notification"),
        ({"jsonrpc": "2.0"}, "$", None, "unknown"),
        ({"jsonrpc": "2.0", "id": 1}, "$", 1, "unknown"),
        ({"jsonrpc": "2.0", "id": 1, "method": None}, "$.method", 1, "request"),
        ({"jsonrpc": "2.0", "id": 1, "method": 5}, "$.method", 1, "request"),
        ({"jsonrpc": "2.0", "id": None, "method": "m"}, "$.id", None, "request"),
        ({"jsonrpc": "2.0", "id": True, "method": "m"}, "$.id", None, "request"),
        ({"jsonrpc": "2.0", "id": 1.0, "method": "m"}, "$.id", None, "request"),
        ({"jsonrpc": "2.0", "id": [1], "method": "m"}, "$.id", None, "request"),
        ({"jsonrpc": "2.0", "id": "a", "method": "m", "params": []}, "$.params", "a", "request"),
        ({"jsonrpc": "2.0", "method": "m", "params": 1}, "$.params", None, "notification"),
        ({"jsonrpc": "2.0", "id": 1, "method": "m", "result": {}}, "$", 1, "request"),
        ({"jsonrpc": "2.0", "id": 1, "method": "m", "error": ERROR}, "$", 1, "request"),
        ({"jsonrpc": "2.0", "result": {}}, "$.id", None, "response"),
        ({"jsonrpc": "2.0", "id": None, "result": {}}, "$.id", None, "response"),
        ({"jsonrpc": "2.0", "id": False, "result": {}}, "$.id", None, "response"),
        ({"jsonrpc": "2.0", "id": 1.5, "error": ERROR}, "$.id", None, "response"),
        ({"jsonrpc": "2.0", "id": 1, "result": None}, "$.result", 1, "response"),
        ({"jsonrpc": "2.0", "id": 1, "result": []}, "$.result", 1, "response"),
        ({"jsonrpc": "2.0", "id": 1, "result": {}, "error": ERROR}, "$", 1, "response"),
        ({"jsonrpc": "2.0", "id": 1, "error": "no"}, "$.error", 1, "response"),
        ({"jsonrpc": "2.0", "id": 1, "error": {"message": "no"}}, "$.error.code", 1, "response"),
        ({"jsonrpc": "2.0", "id": 1, "error": {"code": True, "message": "no"}}, "$.error.code", 1, "response"),
        ({"jsonrpc": "2.0", "id": 1, "error": {"code": 1.0, "message": "no"}}, "$.error.code", 1, "response"),
        ({"jsonrpc": "2.0", "id": 1, "error": {"code": 1}}, "$.error.message", 1, "response"),
    ],
)
def test_what_is_no_message_is_refused_with_its_place(value: object, path: str, id: object, kind: str) -> None:
    with pytest.raises(InvalidMessage) as caught:
        read_message(value)
    error = caught.value
    assert (error.code, error.path, error.id, error.kind) == (INVALID_REQUEST, path, id, kind)
    assert str(error) == f"{error.message} @ {path}"


def test_an_error_response_may_come_without_an_id() -> None:
    assert read_message({"jsonrpc": "2.0", "error": ERROR}) == ErrorResponse(None, ErrorData(1, "no"))
    assert read_message({"jsonrpc": "2.0", "id": None, "error": ERROR}) == ErrorResponse(None, ErrorData(1, "no"))


@pytest.mark.parametrize(
    ("encode", "problem"),
    [
        (lambda bad: encode_request(1, "m", {"a": bad}), "set cannot be written as JSON @ $.a"),
        (lambda bad: encode_notification("m", {"a": [bad]}), "set cannot be written as JSON @ $.a[0]"),
        (lambda bad: encode_result(1, {"a": bad}), "set cannot be written as JSON @ $.a"),
        (lambda bad: encode_error(1, 1, "no", bad, null_id=False), "set cannot be written as JSON @ $.data"),
    ],
)
def test_a_payload_that_json_cannot_hold_is_refused(encode: Any, problem: str) -> None:
    with pytest.raises(InvalidPayload) as caught:
        encode({1})
    assert caught.value.problems == [problem]


@pytest.mark.parametrize("id", ["x" * 1025, "é" * 513, 10**1100, -(10**1100)])
def test_an_id_over_a_kibibyte_is_an_invalid_request_without_an_id(id: int | str) -> None:
    for value in ({"jsonrpc": "2.0", "id": id, "method": "ping"}, {"jsonrpc": "2.0", "id": id, "method": 5}):
        with pytest.raises(InvalidMessage) as caught:
            read_message(value)
        assert (caught.value.code, caught.value.id) == (INVALID_REQUEST, None)


@pytest.mark.parametrize("id", ["x" * 1024, "é" * 512, 2**63, 10**1000, ""])
def test_an_id_of_a_kibibyte_is_an_id(id: int | str) -> None:
    assert read_message({"jsonrpc": "2.0", "id": id, "method": "ping"}) == Request(id, "ping", None)
