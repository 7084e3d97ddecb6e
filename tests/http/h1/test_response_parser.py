"""Responses, out of bytes that come in any pieces."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimcp.framing.headers import HeaderFields as Fields
from trimcp.http.h1.response_parser import HEAD_BYTES, HEAD_FIELDS, ResponseParser

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
NOISE = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"


def fed(*pieces: bytes, verb: str = "POST") -> ResponseParser:
    parser = ResponseParser()
    parser.begin(verb)
    for piece in pieces:
        parser.feed(piece)
    return parser


def in_pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({cut % len(data) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in itertools.pairwise(at)]


WHOLE = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: 1\r\nx: 2\r\n\r\nhello", 200, b"hello", True),
    "chunks": (CHUNKED + b"2\r\nhe\r\n3;ext=1\r\nllo\r\n0\r\ntrailer: t\r\n\r\n", 200, b"hello", True),
    "noise": (NOISE + b"HTTP/1.1 404 Not Found\r\nContent-Length: 1\r\n\r\nx", 404, b"x", True),
    "nothing": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", 304, b"", False),
    "to be closed": (b"HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 202, b"", False),
    "old": (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", 200, b"ok", False),
    "no reason": (b"HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n", 200, b"", True),
}


@pytest.mark.parametrize("name", WHOLE)
@given(cuts=st.lists(st.integers(0, 200), max_size=12), again=st.booleans())
def test_a_response_is_the_same_however_it_is_cut(name: str, cuts: list[int], again: bool) -> None:
    data, status, body, keeps_alive = WHOLE[name]
    parser = ResponseParser()
    for _ in range(2 if again and keeps_alive else 1):
        parser.begin("POST")
        for piece in in_pieces(data, cuts):
            assert not parser.is_complete
            parser.feed(piece)
        assert (parser.fault, parser.is_complete, parser.keeps_alive) == (None, True, keeps_alive)
        assert (parser.status, parser.take(), parser.take()) == (status, body, b"")


@given(cuts=st.lists(st.integers(0, 200), max_size=12))
def test_a_body_without_a_length_ends_with_the_connection(cuts: list[int]) -> None:
    parser = fed(*in_pieces(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\nhello", cuts))
    assert not parser.is_complete
    assert parser.end()
    assert parser.take() == b"hello"
    assert not parser.keeps_alive


@given(data=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200), max_size=5), is_late=st.booleans())
def test_any_bytes_are_a_response_or_a_fault(data: bytes, cuts: list[int], is_late: bool) -> None:
    data = (CHUNKED if is_late else b"HTTP/1.1 ") + data
    parser = fed(*in_pieces(data, cuts))
    parser.end()
    parser.take()
    assert not parser.keeps_alive or parser.fault is None


def test_the_response_to_head_has_no_body_whatever_it_says() -> None:
    parser = fed(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", verb="HEAD")
    assert (parser.is_complete, parser.keeps_alive, parser.status) == (True, False, 200)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "Expected HTTP/"),
        (b"\x15\x03\x01\x00\x02\x02\x16", "it speaks TLS"),
        (b"HTTP/2.0 200 OK\r\n\r\n", "neither 1.1 nor 1.0"),
        (b"HTTP/1.1 200 OK\r\nbad name: 1\r\n\r\n", "Invalid header token"),
        (b"HTTP/1.1 200 OK\r\na: 1\r\n folded\r\n\r\n", ""),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n", "Content-Length"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n", "Content-Length"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n", ""),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n", "how long its body is cannot be told"),
        (b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 5\r\n\r\n", "compressed"),
        (b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", "another protocol"),
        (b"HTTP/1.1 101 Switching\r\n\r\n", "another protocol"),
        (CHUNKED + b"zz\r\n", "Invalid character in chunk size"),
    ],
)
def test_what_is_not_http_is_a_fault(data: bytes, why: str) -> None:
    parser = fed(data)
    assert why in (parser.fault or "no fault")
    parser.feed(b"more")
    assert not parser.end()
    assert not parser.keeps_alive
    # Nor does it matter how it is cut.
    assert fed(*(bytes([byte]) for byte in data)).fault is not None


def test_what_came_of_a_body_before_it_went_wrong_is_there() -> None:
    parser = fed(CHUNKED + b"2\r\nab\r\nzz\r\n")
    assert parser.take() == b"ab"
    assert parser.fault is not None


@pytest.mark.parametrize(
    "endless",
    [
        pytest.param((b"HTTP/1.1 200 OK\r\nx: ", b"a" * 1000), id="a value"),
        pytest.param((b"HTTP/1.1 200 OK\r\n", b"a: b\r\n" * 20), id="fields"),
        pytest.param((b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 10), id="interim responses"),
        pytest.param((CHUNKED + b"0\r\nx: ", b"a" * 1000), id="a trailer"),
        pytest.param((CHUNKED + b"1;", b"a" * 1000), id="an extension of a chunk"),
    ],
)
def test_what_has_no_end_ends(endless: tuple[bytes, bytes]) -> None:
    beginning, more = endless
    parser = fed(beginning) if beginning else fed()
    times = 0
    while parser.fault is None:
        parser.feed(more)
        times += 1
        assert times * len(more) <= HEAD_BYTES + 2 * len(more)
    assert "fields" in parser.fault or "longer than" in parser.fault


def test_a_long_body_is_no_long_head() -> None:
    parser = fed(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (4 * HEAD_BYTES))
    for _ in range(4):
        parser.feed(b"a" * HEAD_BYTES)
    assert (parser.is_complete, parser.waiting_bytes) == (True, 4 * HEAD_BYTES)


def test_as_many_fields_as_may_be_are_taken() -> None:
    lines = b"".join(b"f%d: x\r\n" % number for number in range(HEAD_FIELDS - 1))
    assert fed(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n" + lines + b"\r\n").is_complete


@pytest.mark.parametrize("excess", [b"x", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b"HTTP/1.1 2"])
@pytest.mark.parametrize("is_together", [False, True])
def test_a_server_that_says_more_than_it_was_asked_is_not_asked_again_here(excess: bytes, is_together: bool) -> None:
    whole = WHOLE["length"][0]
    parser = fed(whole + excess) if is_together else fed(whole, excess)
    assert (parser.fault, parser.is_complete, parser.take()) == (None, True, b"hello")
    assert not parser.keeps_alive


def test_what_comes_behind_a_last_response_is_nothing_to_anybody() -> None:
    parser = fed(WHOLE["to be closed"][0] + b"HTTP/1.1 200 OK\r\n")
    assert (parser.fault, parser.is_complete, parser.status) == (None, True, 202)


def test_fields_are_found_in_any_case() -> None:
    fields = Fields(fed(WHOLE["length"][0]).fields)
    assert fields["CONTENT-length"] == "5"
    assert fields.get("X") == "1, 2"
    assert fields.get("mcp-session-id") is None
    assert fields.get("ключ") is None
    assert (sorted(fields), len(fields)) == (["content-length", "x"], 2)
