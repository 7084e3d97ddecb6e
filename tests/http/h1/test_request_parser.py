"""From bytes to requests: the same however they are cut, and nothing that two readers could read differently."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimcp.http.binding import Refusal
from trimcp.http.h1.request_checks import judge_framing
from trimcp.http.h1.request_parser import RequestParser
from trimcp.limits import HttpLimits

POST = b"POST /m HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


def parsed(data: bytes, *, size: int | None = None, body_limit: int = 1000) -> RequestParser:
    parser = RequestParser(HttpLimits(), body_limit)
    size = size or len(data)
    for start in range(0, len(data), size):
        parser.feed(data[start : start + size])
    return parser


def told(parser: RequestParser) -> list[object]:
    """All that was understood."""
    found: list[object] = [
        (each.method, each.path, each.query, each.fields, each.body, each.is_complete, each.keeps_alive, each.is_old)
        for each in parser.queue
    ]
    if parser.fault is not None:
        found.append(parser.fault.status)
    return [*found, parser.in_head, parser.is_over]


def test_a_request_is_taken_apart() -> None:
    (incoming,) = parsed(
        b"POST /a%20b/%C3%A9?q=%20&r HTTP/1.1\r\nHost: a:80\r\nX-Two: 1 \r\nx-two: \t2\t\r\nEmpty:\r\n"
        b"Content-Length: 4\r\n\r\nbody"
    ).queue
    assert (incoming.method, incoming.path, incoming.query) == ("POST", "/a b/é", b"q=%20&r")
    assert incoming.fields == {b"host": b"a:80", b"x-two": b"1, 2", b"empty": b"", b"content-length": b"4"}
    assert incoming.body == b"body"
    assert incoming.is_complete
    assert incoming.keeps_alive
    assert not incoming.is_old


def test_chunks_are_joined_and_their_extensions_and_trailers_dropped() -> None:
    (incoming,) = parsed(CHUNKED + b'2;x=y;z="q"\r\nab\r\n3\r\ncde\r\n0;last\r\nX: y\r\nHost: b\r\n\r\n').queue
    assert incoming.body == b"abcde"
    assert incoming.fields == {b"host": b"a", b"transfer-encoding": b"chunked"}
    assert incoming.is_complete


ACCEPTED = [
    b"GET http://a:80/p?q HTTP/1.1\r\nHost: A:80\r\n\r\n",
    b"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET https://a?q HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET //a/../b HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /?a?b=%zz HTTP/1.1\r\nHost: a\r\n\r\n",
    b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    POST + b"Content-Length: 002 \r\n\r\nab",
    POST + b"Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n",
    POST + b"X: \xe9\r\n\r\n",
    POST + b"Expect: 100-Continue\r\n\r\n",
    CHUNKED + b"0002\r\nab\r\n000\r\n\r\n",
]


@pytest.mark.parametrize("data", ACCEPTED)
def test_what_is_unusual_and_allowed_is_served(data: bytes) -> None:
    parser = parsed(data)
    assert parser.fault is None
    assert [incoming.is_complete for incoming in parser.queue] == [True]


REFUSED: dict[bytes, int] = {
    # where does the body end?
    POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": 400,
    POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n": 400,
    POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nab": 400,
    POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nab": 400,
    POST + b"Content-Length: 2, 2\r\n\r\nab": 400,
    POST + b"Content-Length: +2\r\n\r\nab": 400,
    POST + b"Content-Length: -2\r\n\r\nab": 400,
    POST + b"Content-Length: 0x2\r\n\r\nab": 400,
    POST + b"Content-Length: 2 2\r\n\r\nab": 400,
    POST + b"Content-Length: \r\n\r\nab": 400,
    POST + b"Content-Length: 2_0\r\n\r\nab": 400,
    POST + b"Content-Length: \xb2\r\n\r\nab": 400,
    POST + b"Content-Length: 99999999999999999999999\r\n\r\nab": 400,
    POST + b"Content-Length: 9999999999999999999\r\n\r\nab": 400,
    POST + b"Content-Length: 1001\r\n\r\nab": 413,
    POST + b"Transfer-Encoding: gzip\r\n\r\n": 501,
    POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n": 501,
    POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n": 400,
    POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n": 400,
    POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": 400,
    POST + b"Transfer-Encoding: identity\r\n\r\n": 501,
    POST + b"Transfer-Encoding: xchunked\r\n\r\n": 501,
    POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n": 400,
    POST + b"Transfer-Encoding: \r\n\r\n": 400,
    POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n": 400,
    POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n": 400,
    b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": 400,
    CHUNKED + b"2 \r\nab\r\n0\r\n\r\n": 400,
    CHUNKED + b"0x2\r\nab\r\n0\r\n\r\n": 400,
    CHUNKED + b"+2\r\nab\r\n0\r\n\r\n": 400,
    CHUNKED + b"-2\r\nab\r\n0\r\n\r\n": 400,
    CHUNKED + b"\r\nab\r\n0\r\n\r\n": 400,
    CHUNKED + b"2\nab\n0\n\n": 400,
    CHUNKED + b"2\r\nab\n0\r\n\r\n": 400,
    CHUNKED + b"2\r\nabc\r\n0\r\n\r\n": 400,
    CHUNKED + b"2\r\nab0\r\n\r\n": 400,
    CHUNKED + b"2;a\nb\r\nab\r\n0\r\n\r\n": 400,
    CHUNKED + b"fffffffffffffffffffff\r\n": 400,
    CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n": 400,
    CHUNKED + b"0\r\nX: y\r\n z\r\n\r\n": 400,
    # lines
    b"GET / HTTP/1.1\nHost: a\n\n": 400,
    b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: a\r\n\n": 400,
    b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\n Host: a\r\n\r\n": 400,
    POST + b"X: a\r\n b\r\n\r\n": 400,
    POST + b"X: a\r\n\tb\r\n\r\n": 400,
    POST + b"X : a\r\n\r\n": 400,
    POST + b"X\t: a\r\n\r\n": 400,
    POST + b": a\r\n\r\n": 400,
    POST + b"abc\r\n\r\n": 400,
    POST + b"X(: a\r\n\r\n": 400,
    POST + b"X\x01: a\r\n\r\n": 400,
    POST + b"X\xe9: a\r\n\r\n": 400,
    POST + b"X: a\0b\r\n\r\n": 400,
    POST + b"X: a\x01b\r\n\r\n": 400,
    POST + b"X: a\x7fb\r\n\r\n": 400,
    # methods and targets
    b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n": 400,
    b"get / HTTP/1.1\r\nHost: a\r\n\r\n": 400,
    b"G\0T / HTTP/1.1\r\nHost: a\r\n\r\n": 400,
    b" GET / HTTP/1.1\r\nHost: a\r\n\r\n": 400,
    b"GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n": 400,
    b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n": 501,
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n": 400,
    b"GET a HTTP/1.1\r\nHost: a\r\n\r\n": 400,
    b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n": 400,
    b"GET http://a@b/ HTTP/1.1\r\nHost: b\r\n\r\n": 400,
    b"GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n": 400,
    b"GET http://a,b/ HTTP/1.1\r\nHost: a,b\r\n\r\n": 400,
    b"GET http://a,b/ HTTP/1.0\r\n\r\n": 400,
    b"GET /#a HTTP/1.1\r\nHost: a\r\n\r\n": 400,
    b"GET /?a#b HTTP/1.1\r\nHost: a\r\n\r\n": 400,
    b"GET /a\x01 HTTP/1.1\r\nHost: a\r\n\r\n": 400,
    b"GET /a\xff HTTP/1.1\r\nHost: a\r\n\r\n": 400,
    b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n": 400,
    b"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n": 400,
    b"GET /% HTTP/1.1\r\nHost: a\r\n\r\n": 400,
    b"GET /%00 HTTP/1.1\r\nHost: a\r\n\r\n": 400,
    b"GET /%ff HTTP/1.1\r\nHost: a\r\n\r\n": 400,
    # versions
    b"GET / HTTP/0.9\r\nHost: a\r\n\r\n": 505,
    b"GET / HTTP/1.2\r\nHost: a\r\n\r\n": 505,
    b"GET / HTTP/2.0\r\nHost: a\r\n\r\n": 505,
    b"GET / HTTP/1.10\r\nHost: a\r\n\r\n": 400,
    b"GET / http/1.1\r\nHost: a\r\n\r\n": 400,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n": 400,
    bytes.fromhex("16030100a5010000a1"): 400,
    # hosts
    b"GET / HTTP/1.1\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n": 400,
    b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n": 400,
    b"GET / HTTP/1.0\r\nHost: a b\r\n\r\n": 400,
    # expectations
    POST + b"Expect: a miracle\r\n\r\n": 417,
    # bounds
    POST + b"X: %s\r\n\r\n" % (b"x" * 17000): 431,
    POST + b"X: %s" % (b"x" * 17000): 431,
    POST + b"X%s" % (b"x" * 17000): 431,
    POST + b"X: y\r\n" * 100 + b"\r\n": 431,
    POST + (b"X: %s\r\n" % (b"x" * 1000)) * 17 + b"\r\n": 431,
    b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % (b"x" * 17000): 431,
    b"GET /%s" % (b"x" * 17000): 431,
    CHUNKED + b"3e9\r\n" + b"x" * 1001: 413,
    CHUNKED + (b"1f4\r\n%s\r\n" % (b"x" * 500)) * 3 + b"0\r\n\r\n": 413,
}


@pytest.mark.parametrize("size", [None, 1000, 1])
@pytest.mark.parametrize(("data", "status"), REFUSED.items())
def test_what_could_be_read_in_two_ways_is_refused(data: bytes, status: int, size: int | None) -> None:
    parser = parsed(data, size=size)
    assert parser.fault is not None
    assert parser.fault.status == status
    assert not any(incoming.is_complete for incoming in parser.queue)
    # Nothing that follows is looked at.
    parser.feed(b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
    assert not any(incoming.is_complete for incoming in parser.queue)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (bytes.fromhex("16030100a5010000a1"), b"TLS"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"HTTP/2"),
        (POST + b"X: secret\0\r\n\r\n", b"Invalid header value char"),
    ],
)
def test_a_refusal_says_why_and_repeats_nothing_that_was_sent(data: bytes, sentence: bytes) -> None:
    fault = parsed(data).fault
    assert fault is not None
    assert sentence in fault.body
    assert b"secret" not in fault.body


@pytest.mark.parametrize("filler", [b"1;%s\r\na\r\n" % (b"x" * 3000), b"1;%s" % (b"x" * 40000)])
def test_chunk_extensions_have_a_bound(filler: bytes) -> None:
    parser = parsed(CHUNKED + filler * 20, size=4000)
    assert parser.fault is not None
    assert parser.fault.status == 400


@pytest.mark.parametrize("filler", [b"X: %s\r\n" % (b"x" * 3000), b"x" * 40000])
def test_trailers_have_a_bound(filler: bytes) -> None:
    parser = parsed(CHUNKED + b"1\r\na\r\n0\r\n" + filler * 20, size=4000)
    assert parser.fault is not None
    assert parser.fault.status == 400


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({b"content-length": b"1", b"transfer-encoding": b"chunked"}, 400),
        ({b"content-length": b"+1"}, 400),
        ({b"content-length": b"1, 1"}, 400),
        ({b"content-length": b"1" * 19}, 400),
        ({b"transfer-encoding": b"chunked, chunked"}, 501),
    ],
)
def test_framing_is_judged_here_as_well_whatever_the_parser_lets_pass(fields: dict[bytes, bytes], status: int) -> None:
    judged = judge_framing("1.1", fields, 10**30)
    assert isinstance(judged, Refusal)
    assert judged.status == status


def test_many_small_chunks_are_no_attack() -> None:
    (incoming,) = parsed(CHUNKED + b"001\r\nx\r\n" * 1000 + b"0\r\n\r\n", size=100).queue
    assert incoming.body == b"x" * 1000


def test_many_requests_in_one_piece_are_all_understood_though_together_longer_than_a_head() -> None:
    one = POST + b"Content-Length: 2\r\nX: %s\r\n\r\nab" % (b"x" * 3000)
    parser = parsed(one * 50, size=50_000)
    assert parser.fault is None
    assert [incoming.body for incoming in parser.queue] == [b"ab"] * 50


def test_line_ends_between_requests_are_no_part_of_a_head() -> None:
    parser = parsed(b"\r\n" * 20000, size=1000)
    found = [parser.in_head]
    parser.feed(POST)
    assert [*found, parser.in_head] == [False, True]
    assert parser.fault is None


def test_what_follows_the_last_request_is_ignored() -> None:
    parser = parsed(POST + b"Connection: close\r\n\r\n" + b"rubbish\0" * 3)
    assert parser.fault is None
    assert parser.is_over
    assert len(parser.queue) == 1


@pytest.mark.parametrize(
    "framing", [b"Content-Length: 4\r\n\r\nbody", b"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"]
)
@pytest.mark.parametrize("size", [None, 7, 1])
def test_the_wish_for_another_protocol_is_passed_over(framing: bytes, size: int | None) -> None:
    wish = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\n"
    parser = parsed(
        POST + wish + framing + b"GET /x HTTP/1.1\r\nHost: a\r\n" + wish + b"\r\n" + POST + b"\r\n", size=size
    )
    assert [(each.path, each.body, each.is_complete) for each in parser.queue] == [
        ("/m", b"body", True),
        ("/x", b"", True),
        ("/m", b"", True),
    ]
    assert parser.fault is None


def test_nothing_follows_a_last_request_that_wished_for_another_protocol() -> None:
    wish = b"Connection: Upgrade, close\r\nUpgrade: h2c\r\n"
    parser = parsed(POST + wish + b"Content-Length: 2\r\n\r\nab" + POST + b"\r\n")
    assert [each.body for each in parser.queue] == [b"ab"]
    assert parser.is_over


# What is complete before a fault is served, so bounds must not depend on how the bytes were cut.
_MESSAGES = [
    *ACCEPTED,
    *(data for data in REFUSED if len(data) < 1000),
    POST + b"Content-Length: 3\r\n\r\nabc",
    POST + b"Connection: close\r\n\r\n",
    CHUNKED + b"2;x\r\nab\r\n1\r\nc\r\n0\r\nX: y\r\n\r\n",
    POST + b"Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nab",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"\r\n",
]


@given(messages=st.lists(st.sampled_from(_MESSAGES), max_size=5), data=st.data())
def test_however_the_bytes_are_cut_they_make_the_same_requests(messages: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(messages)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=30)) | {0, len(whole)})
    parser = RequestParser(HttpLimits(), 1000)
    for start, end in itertools.pairwise(cuts):
        parser.feed(whole[start:end])
    at_once = RequestParser(HttpLimits(), 1000)
    if whole:
        at_once.feed(whole)
    assert told(parser) == told(at_once)


@given(st.binary(max_size=300), st.sampled_from([b"", POST, CHUNKED, CHUNKED + b"5\r\nab"]))
def test_no_bytes_break_the_parser(data: bytes, start: bytes) -> None:
    parsed(start + data, size=7)
