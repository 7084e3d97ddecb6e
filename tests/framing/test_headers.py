"""Values of header fields, and the standard fields of a request against its body."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimcp.errors import UsageError
from trimcp.framing.headers import (
    SAFE_INTEGER,
    InvalidHeader,
    check_request_headers,
    decode_value,
    encode_value,
    named_param,
    read_integer,
)


def marked(text: str) -> str:
    return f"=?base64?{base64.b64encode(text.encode()).decode()}?="


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("us-west1", "us-west1"),
        ("us west 1", "us west 1"),
        ("", ""),
        ("~!\"#$%&'()*+,;<=>?@[]^`{|}", "~!\"#$%&'()*+,;<=>?@[]^`{|}"),
        ("file:///path/to/file%20name.txt", "file:///path/to/file%20name.txt"),
        (42, "42"),
        (-7, "-7"),
        (0, "0"),
        (SAFE_INTEGER, "9007199254740991"),
        (-SAFE_INTEGER, "-9007199254740991"),
        (True, "true"),
        (False, "false"),
        (" us-west1", "=?base64?IHVzLXdlc3Qx?="),
        ("us-west1 ", "=?base64?dXMtd2VzdDEg?="),
        (" ", marked(" ")),
        ("日本語", "=?base64?5pel5pys6Kqe?="),
        ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
        ("line1\r\nline2", "=?base64?bGluZTENCmxpbmUy?="),
        ("\tindented", "=?base64?CWluZGVudGVk?="),
        ("in\tthe middle", marked("in\tthe middle")),
        ("\x7f", marked("\x7f")),
        ("\0", marked("\0")),
        ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        ("=?base64??=", marked("=?base64??=")),
        ("=?base64?=", marked("=?base64?=")),
        ("=?base64?half", "=?base64?half"),
        ("=?BASE64?SGVsbG8=?=", "=?BASE64?SGVsbG8=?="),
        ("half?=", "half?="),
    ],
)
def test_a_value_is_written_plainly_where_that_is_safe_and_else_between_marks(value: Any, written: str) -> None:
    assert encode_value(value) == written
    text = value if isinstance(value, str) else str(value).lower()
    assert decode_value(written) == text
    assert decode_value(written.encode()) == text


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_text_comes_back_and_is_safe_on_its_way(value: str) -> None:
    written = encode_value(value)
    assert written.isascii()
    assert written == written.strip()
    assert not written or written.isprintable()
    assert decode_value(written.encode("ascii")) == value


@given(st.text(st.sampled_from("=?base64AQ!/+ \t"), max_size=24).map(str.strip))
def test_what_can_be_decoded_is_itself_or_the_one_form_of_what_it_says(raw: str) -> None:
    try:
        value = decode_value(raw)
    except InvalidHeader:
        assert raw.startswith("=?base64?") and raw.endswith("?=")
        return
    assert raw in (value, marked(value))


@pytest.mark.parametrize("value", [SAFE_INTEGER + 1, -SAFE_INTEGER - 1, 10**4000])
def test_an_integer_that_readers_may_round_is_not_written(value: int) -> None:
    with pytest.raises(UsageError, match="integers from"):
        encode_value(value)


def test_a_lone_surrogate_is_not_written() -> None:
    with pytest.raises(UsageError, match="surrogates"):
        encode_value("\ud800")


@pytest.mark.parametrize(
    "raw",
    ["SGVsbG8=", "=?base64?SGVsbG8=", "=?BASE64?SGVsbG8=?=", "SGVsbG8=?=", "=?base64?=", "=?base64", "?=", "a\tb"],
)
def test_what_only_looks_like_it_is_meant_as_it_stands(raw: str) -> None:
    assert decode_value(raw) == raw


@pytest.mark.parametrize(
    "inner",
    [
        "SGVsbG8",  # padding missing
        "SGVs!!!bG8=",
        "SGVs bG8=",
        "SGVsbG8==",
        "=SGVsbG8=",
        "SGVsbG9=",  # bits that no encoder sets
        "SGVsbG8=SGVsbG8=",
        "-_-_",  # the other alphabet
        "/w==",  # not UTF-8
        "7aCA",  # a surrogate
        "?",
        "=",
    ],
)
def test_what_stands_between_the_marks_must_be_strict_base64_of_utf_8(inner: str) -> None:
    with pytest.raises(InvalidHeader, match="UTF-8 in base64") as caught:
        decode_value(f"=?base64?{inner}?=".encode())
    assert len(inner) < 2 or inner not in str(caught.value)


def test_nothing_between_the_marks_is_the_empty_text() -> None:
    assert decode_value(b"=?base64??=") == ""


@pytest.mark.parametrize("raw", [b"\xff", b"a\0b", b"a\nb", "日".encode(), b"=?base64?\x00?="])
def test_characters_that_a_field_cannot_have_are_refused(raw: bytes) -> None:
    with pytest.raises(InvalidHeader):
        decode_value(raw)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("42", 42),
        ("-7", -7),
        ("42.0", 42),
        ("42.000", 42),
        ("-0", 0),
        ("007", 7),
        (str(SAFE_INTEGER), SAFE_INTEGER),
        (str(SAFE_INTEGER + 1), None),
        (str(-SAFE_INTEGER - 1), None),
        ("9" * 5000, None),
        *(
            (text, None)
            for text in ("", "42.5", "42.", ".0", "1e2", "+1", " 1", "1_0", "٣", "0x2a", "true", "--1", "1.0.0")
        ),
    ],
)
def test_an_integer_is_read_in_decimal(text: str, number: int | None) -> None:
    assert read_integer(text) == number


@pytest.mark.parametrize(
    ("method", "params", "name"),
    [
        ("tools/call", {"name": "add", "arguments": {}}, "add"),
        ("prompts/get", {"name": "greet"}, "greet"),
        ("resources/read", {"uri": "file:///a", "name": "no"}, "file:///a"),
        ("tools/list", {"name": "add"}, None),
        ("tools/call", {"name": 7}, None),
        ("tools/call", {}, None),
        ("tools/call", None, None),
    ],
)
def test_which_member_of_params_is_the_name(method: str, params: Any, name: str | None) -> None:
    assert named_param(method, params) == name


def test_an_extension_has_names_of_its_own() -> None:
    named = {"tasks/get": "taskId"}
    assert named_param("tasks/get", {"taskId": "t"}, named) == "t"
    fields = {b"mcp-protocol-version": b"2026-07-28", b"mcp-method": b"tasks/get", b"mcp-name": b"u"}
    assert check_request_headers(fields, "tasks/get", {"taskId": "t"}, "2026-07-28") is None
    problem = check_request_headers(fields, "tasks/get", {"taskId": "t"}, "2026-07-28", named)
    assert problem == "Header mismatch: Mcp-Name differs from the body"


VERSION = b"2026-07-28"
CALL = {b"mcp-protocol-version": VERSION, b"mcp-method": b"tools/call", b"mcp-name": b"add"}


def problem_of(changed: dict[bytes, bytes | None], method: str = "tools/call", name: Any = "add") -> str | None:
    fields = {key: value for key, value in {**CALL, **changed}.items() if value is not None}
    return check_request_headers(fields, method, {"name": name}, "2026-07-28")


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({}, None),
        ({b"mcp-name": b"=?base64?YWRk?="}, None),
        ({b"mcp-protocol-version": None}, "MCP-Protocol-Version is missing"),
        ({b"mcp-protocol-version": b"2025-11-25"}, "MCP-Protocol-Version differs from the body"),
        ({b"mcp-protocol-version": b"2026-07-28, 2026-07-28"}, "MCP-Protocol-Version differs from the body"),
        ({b"mcp-method": None}, "Mcp-Method is missing"),
        ({b"mcp-method": b"prompts/list"}, "Mcp-Method differs from the body"),
        ({b"mcp-method": b"TOOLS/CALL"}, "Mcp-Method differs from the body"),
        ({b"mcp-method": b"=?base64?dG9vbHMvY2FsbA==?="}, "Mcp-Method differs from the body"),
        ({b"mcp-name": None}, "Mcp-Name is missing"),
        ({b"mcp-name": b""}, "Mcp-Name differs from the body"),
        ({b"mcp-name": b"wrong_tool_name"}, "Mcp-Name differs from the body"),
        ({b"mcp-name": b"Add"}, "Mcp-Name differs from the body"),
        ({b"mcp-name": b"=?base64?YWRk?"}, "Mcp-Name differs from the body"),
        ({b"mcp-name": b"=?base64?YWR?="}, "Mcp-Name is not UTF-8 in base64 between its marks"),
        ({b"mcp-name": b"add\xff"}, "Mcp-Name has characters that a header field cannot have"),
    ],
)
def test_the_standard_fields_must_say_what_the_body_says(
    changed: dict[bytes, bytes | None], problem: str | None
) -> None:
    assert problem_of(changed) == (None if problem is None else f"Header mismatch: {problem}")


@pytest.mark.parametrize("name", ["naïve", " padded ", "=?base64?YWRk?=", "tab\tbed", "a\nb"])
def test_a_name_that_no_field_can_carry_comes_encoded(name: str) -> None:
    assert problem_of({b"mcp-name": encode_value(name).encode()}, name=name) is None
    # What came as it is, where UTF-8 or what looks encoded cannot.
    if name != "tab\tbed":
        assert problem_of({b"mcp-name": name.strip().encode()}, name=name) is not None


def test_what_is_the_fault_of_the_body_is_not_told_of_the_fields() -> None:
    assert problem_of({b"mcp-name": None}, name=7) is None
    assert check_request_headers(CALL, "tools/call", None, None) is None
    assert check_request_headers({}, "tools/call", None, None) == "Header mismatch: MCP-Protocol-Version is missing"


def test_a_name_where_none_is_wanted_is_passed_over() -> None:
    assert problem_of({b"mcp-method": b"tools/list"}, method="tools/list") is None
