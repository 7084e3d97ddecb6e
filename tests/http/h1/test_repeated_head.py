"""A head that repeats the one before it is compared, not parsed, and means the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.http.h1.test_request_parser import parsed, told
from trimcp.http.h1.repeated_head import repeatable
from trimcp.http.h1.request_parser import RequestParser
from trimcp.limits import HttpLimits

HEADS = [
    b"POST /m HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n",
    b"POST /m?q HTTP/1.1\r\nHost: a\r\ncontent-length:  %d \r\nX: Content-Length: 9\r\nAccept: b\r\n\r\n",
    b"POST /m HTTP/1.1\r\nContent-Length: %d\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"POST /m HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"POST /m HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n",
    b"POST /m HTTP/1.0\r\nHost: a\r\nContent-Length: %d\r\nConnection: keep-alive\r\n\r\n",
]
WHOLE = HEADS[0] % 4 + b"body"
FOLLOWING = [
    WHOLE,
    HEADS[0] % 11 + b"longer body",
    HEADS[0] % 0,
    HEADS[0] % 4 + b"bod",
    HEADS[0] % 2 + b"body",
    HEADS[0] % 1001 + 1001 * b"x",
    HEADS[0] % 4 + b"\r\n\r\n",
    WHOLE + WHOLE,
    b"\r\n" + WHOLE,
    WHOLE.replace(b": 4", b": +4"),
    WHOLE.replace(b": 4", b": 4, 4"),
    WHOLE.replace(b": 4", b": 0004"),
    WHOLE.replace(b": 4", b": " + 20 * b"0" + b"4"),
    WHOLE.replace(b": 4", b": 4\r\nContent-Length: 4"),
    WHOLE.replace(b": 4", b": 4\r\nTransfer-Encoding: chunked"),
    WHOLE.replace(b": a", b": b"),
    WHOLE.replace(b"/m", b"/n"),
    b"GET /m HTTP/1.1\r\nHost: a\r\n\r\n",
]


def fed(*pieces: bytes) -> RequestParser:
    parser = RequestParser(HttpLimits(), 1000)
    for piece in pieces:
        parser.feed(piece)
    return parser


@pytest.mark.parametrize("following", FOLLOWING)
def test_what_follows_a_request_means_the_same_as_byte_by_byte(following: bytes) -> None:
    assert told(fed(WHOLE, following, WHOLE)) == told(parsed(WHOLE + following + WHOLE, size=1))


@given(st.lists(st.tuples(st.sampled_from(HEADS), st.integers(0, 12)), min_size=2, max_size=5))
def test_requests_in_a_piece_each_mean_the_same_as_byte_by_byte(requests: list[tuple[bytes, int]]) -> None:
    pieces = [head % size + size * b"\n" for head, size in requests]
    assert told(fed(*pieces)) == told(parsed(b"".join(pieces), size=1))


def test_requests_with_one_head_share_its_fields_but_not_the_length() -> None:
    first, second, third = fed(WHOLE, WHOLE, HEADS[0] % 2 + b"ab").queue
    assert second.fields is first.fields
    assert third.fields == {b"host": b"a", b"content-length": b"2"}
    assert first.fields[b"content-length"] == b"4"
    assert (second.body, third.body) == (b"body", b"ab")


@pytest.mark.parametrize(
    ("data", "length"),
    [(b"GET / HTTP/1.1\r\n\r\n", 0), (WHOLE, 3), (WHOLE, 5), (b"\r\n\r\n" + WHOLE, 4), (b"\r\n" + WHOLE[:-4], 0)],
)
def test_bytes_that_are_no_head_with_a_length_and_its_body_are_not_compared(data: bytes, length: int) -> None:
    head = repeatable(data, length)
    assert head is None or head.match(WHOLE) is None
