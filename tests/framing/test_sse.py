"""Event streams: the parser against a reader that sees all the bytes at once and does as the standard says."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trimcp.framing.lines import Oversized
from trimcp.framing.sse import COMMENT, LONGEST_RETRY, Event, EventParser, encode_event

Found = list[Event | Oversized]


class Reference:
    """The standard's algorithm, word for word, on the whole stream."""

    def __init__(self, data: bytes, limit: int) -> None:
        self.found: Found = []
        self.last_event_id = b""
        self.retry: int | None = None
        self.id = b""
        self.limit = limit
        self.clear()
        *lines, _ = re.split(rb"\r\n|\r|\n", data.removeprefix(b"\xef\xbb\xbf"))
        for line in lines:
            self.line(line)

    def clear(self) -> None:
        self.lines: list[bytes] = []
        self.event = b""
        self.dropped = False

    def line(self, line: bytes) -> None:
        name, colon, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not line:
            self.last_event_id = self.id
            if self.lines and not self.dropped:
                self.found.append(Event(b"\n".join(self.lines), self.event or b"message", self.id))
            self.clear()
        elif colon and not name:
            pass
        elif len(line) > self.limit + 6:
            self.drop()
        elif name == b"data":
            self.lines.append(value)
            if len(b"\n".join(self.lines)) > self.limit:
                self.drop()
        elif name == b"event":
            self.event = value
        elif name == b"id" and b"\0" not in value:
            self.id = value
        elif name == b"retry" and re.fullmatch(rb"[0-9]+", value):
            self.retry = min(int(value), LONGEST_RETRY)

    def drop(self) -> None:
        if not self.dropped:
            self.found.append(Oversized(self.limit))
        self.dropped = True


def parse(portions: list[bytes], limit: int) -> tuple[Found, EventParser]:
    parser = EventParser(limit)
    found: Found = []
    for portion in portions:
        found += parser.feed(portion)
        assert parser.held <= 4 * (limit + 6)
    return found, parser


def settled(found: Found) -> Found:
    """Without the report of a line that never ended, which a reader of the whole does not make."""
    return found[:-1] if found and isinstance(found[-1], Oversized) else found


def agrees(portions: list[bytes], limit: int) -> None:
    expected = Reference(b"".join(portions), limit)
    found, parser = parse(portions, limit)
    if found != expected.found:
        assert settled(found) == expected.found
    assert parser.last_event_id == expected.last_event_id
    assert parser.retry == expected.retry


CASES = [
    b"",
    b"\n",
    b"data: one\n\n",
    b"data: one\r\n\r\n",
    b"data: one\r\rdata: two\r\r",
    b"\xef\xbb\xbfdata: one\n\n",
    b"\xef\xbb\xbf\xef\xbb\xbfdata: one\n\n",
    b"\xef\xbbdata: one\n\n",
    b"data: a\ndata: b\n\n",
    b"data\n\n",
    b"data:\n\n",
    b"data\ndata\n\n",
    b"data:  two spaces\n\n",
    b":a comment\ndata: x\n\n",
    b"event: ping\ndata: x\n\n",
    b"event: ping\n\ndata: x\n\n",
    b"id: 1\ndata: x\n\ndata: y\n\nid\ndata: z\n\n",
    b"id: 1\n\n",
    b"id: 1\ndata: x\n\nid: 2\ndata: cut off",
    b"id: a\0b\ndata: x\n\n",
    b"retry: 10\n\n",
    b"retry: 1x\nretry: -1\nretry: \nretry\nretry: \xd9\xa3\n\n",
    b"retry: 00000000000000000000000000000000000007\n\n",
    b"retry: 99999999999999999999\n\n",
    b"other: x\nDATA: x\n data: x\n\n",
    b"data: 12345678901\n\ndata: fine\n\n",
    b"data: 123456789012345678901234567890\ndata: more\nid: 7\n\ndata: fine\n\n",
    b"data: 12345\ndata: 67890\n\ndata: fine\n\n",
    b"data:12345678901\ndata: more\n\ndata:1234567890\n\n",
    b"data: 1234\ndata: 56789\n\n",
    b": a comment that is much longer than anything else may be\ndata: x\n\n",
    b"foo: a field that nobody knows, too long to hold\ndata: x\n\ndata: y\n\n",
]


@pytest.mark.parametrize("data", CASES)
def test_events_are_those_of_the_standard_whole_and_byte_by_byte(data: bytes) -> None:
    agrees([data], 10)
    agrees([data[i : i + 1] for i in range(len(data))], 10)


PIECES = [
    *(b"data", b"event", b"id", b"retry", b":", b" ", b"\n", b"\r", b"\r\n", b"\n\n", b"\0", b"7", b"abc"),
    *(b"data: x\n", b"id: 1\n", b"x" * 20, b"\xef\xbb\xbf", b"\xef", b"\xff"),
]


@example(pieces=[b"data: x\n", b"\n", b"x" * 20], cuts=[], limit=4)
@given(
    pieces=st.lists(st.sampled_from(PIECES), max_size=40),
    cuts=st.lists(st.integers(0, 200), max_size=20),
    limit=st.integers(1, 12),
)
def test_events_do_not_depend_on_how_the_bytes_are_cut(pieces: list[bytes], cuts: list[int], limit: int) -> None:
    data = b"".join(pieces)
    marks = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    portions = [data[a:b] for a, b in itertools.pairwise(marks)]
    agrees(portions, limit)
    assert parse(portions, limit)[0] == parse([data], limit)[0]


one_line = st.binary(max_size=20).filter(lambda value: not {0, 10, 13} & set(value))


@given(
    events=st.lists(
        st.tuples(
            st.binary(max_size=40), st.none() | one_line, st.none() | one_line, st.none() | st.integers(0, 10**9)
        ),
        max_size=6,
    )
)
def test_what_is_encoded_is_what_is_read(
    events: list[tuple[bytes, bytes | None, bytes | None, int | None]],
) -> None:
    stream = b"".join(
        encode_event(data, id=id, event=event, retry=retry) + COMMENT for data, id, event, retry in events
    )
    found, parser = parse([stream], 100)
    last_id, last_retry, expected = b"", None, []
    for data, id, event, retry in events:
        last_id = last_id if id is None else id
        last_retry = last_retry if retry is None else retry
        expected.append(Event(re.sub(rb"\r\n|\r", b"\n", data), event or b"message", last_id))
    assert found == expected
    assert (parser.last_event_id, parser.retry) == (last_id, last_retry)


@pytest.mark.parametrize("bad", [b"a\nb", b"a\r", b"\0"])
def test_an_id_or_a_type_that_a_reader_would_misread_is_refused(bad: bytes) -> None:
    with pytest.raises(ValueError, match="line ending or a NUL"):
        encode_event(b"x", id=bad)
    with pytest.raises(ValueError, match="line ending or a NUL"):
        encode_event(b"x", event=bad)
    with pytest.raises(ValueError, match="line ending or a NUL"):
        encode_event(b"x", id=bad, retry=1)
    with pytest.raises(ValueError, match="at least 0"):
        encode_event(b"x", retry=-1)


def test_an_event_with_no_data_but_its_field_is_an_event() -> None:
    assert encode_event(b"", id=b"7") == b"id: 7\ndata: \n\n"
    assert EventParser().feed(b"id: 7\ndata: \n\n") == [Event(b"", b"message", b"7")]


def test_an_event_ends_with_its_carriage_return_without_waiting_for_more() -> None:
    parser = EventParser()
    assert parser.feed(b"data: x\r\r") == [Event(b"x")]
    assert parser.feed(b"\ndata: y\r") == []
    assert parser.feed(b"\n\r") == [Event(b"y")]
    assert parser.feed(b"") == []
    assert parser.feed(b"\n") == []


def test_an_event_over_the_limit_is_told_at_once_and_once_and_its_id_counts() -> None:
    parser = EventParser(8)
    assert parser.feed(b"id: 1\ndata: " + b"x" * 20) == [Oversized(8)]
    assert parser.feed(b"y" * 1000) == []
    assert parser.held == 1
    assert parser.feed(b"\ndata: z\nid: 2\n\ndata: fine\n\n") == [Event(b"fine", b"message", b"2")]


def test_many_short_lines_hold_no_more_than_the_limit() -> None:
    parser = EventParser(1000)
    found = [parser.feed(b"data\n" * 100) for _ in range(20)]
    assert [len(portion) for portion in found] == [0] * 10 + [1] + [0] * 9
    assert parser.held == 0


def test_a_long_comment_holds_one_byte() -> None:
    parser = EventParser(8)
    for _ in range(10):
        assert parser.feed(b": " + b"x" * 1000) == []
        assert parser.held == 1
    assert parser.feed(b"\ndata: x\n\n") == [Event(b"x")]


def test_a_long_event_in_small_portions_is_held_once() -> None:
    parser = EventParser(1 << 20)
    parser.feed(b"data: ")
    for _ in range(1 << 10):
        assert parser.feed(b"x" * 1024) == []
    assert parser.held == (1 << 20) + 6
    assert parser.feed(b"\n\n") == [Event(b"x" * (1 << 20))]
    assert parser.held == 0


def test_what_the_end_cuts_off_is_no_event_and_leaves_no_id() -> None:
    parser = EventParser()
    assert parser.feed(b"id: 1\nretry: 5\ndata: x\n\n") == [Event(b"x", b"message", b"1")]
    assert not parser.end()
    parser.feed(b"id: 2\nevent: e\ndata: y\n")
    assert parser.end()
    assert parser.feed(b"\xef\xbb\xbf\n") == []
    assert (parser.last_event_id, parser.retry) == (b"1", 5)
    assert parser.feed(b"data: z\n\n") == [Event(b"z", b"message", b"1")]


def test_a_limit_below_one_byte_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        EventParser(0)
