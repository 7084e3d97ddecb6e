"""The line splitter against a splitter that sees all the bytes at once."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimcp.framing.lines import Frame, LineSplitter, Oversized, Unfinished


def expected(data: bytes, limit: int) -> list[Frame]:
    frames: list[Frame] = []
    for line in data.split(b"\n"):
        text = line.removesuffix(b"\r")
        if len(text) > limit:
            frames.append(Oversized(limit))
        elif text:
            frames.append(text)
    return frames


def split(portions: list[bytes], limit: int) -> list[Frame]:
    splitter = LineSplitter(limit)
    frames: list[Frame] = []
    for portion in portions:
        frames += splitter.feed(portion)
        assert splitter.held <= limit + 1
    return frames + splitter.end()


CASES = [
    b"",
    b"\n",
    b"\r\n",
    b"\r",
    b"one",
    b"one\n",
    b"one\r\n",
    b"one\ntwo\n",
    b"one\r\ntwo\r\n",
    b"\n\none\n\n\r\ntwo",
    b"one\r\r\n",
    b"on\re\n",
    b"12345678\n",
    b"12345678\r\n",
    b"123456789\n",
    b"123456789\r\n",
    b"12345678\r\r\n",
    b"1234567890123456789\nfine\n",
    b"fine\n1234567890123456789",
    b"123456789012345678901234567890\r\n\nfine\r\n123456789\n",
]


@pytest.mark.parametrize("data", CASES)
def test_lines_are_the_same_whole_and_byte_by_byte(data: bytes) -> None:
    assert split([data], 8) == expected(data, 8)
    assert split([data[i : i + 1] for i in range(len(data))], 8) == expected(data, 8)


@given(
    pieces=st.lists(st.sampled_from([b"\n", b"\r", b"a", b"bcd", b"12345678", b"x" * 20]), max_size=30),
    cuts=st.lists(st.integers(0, 200), max_size=20),
    limit=st.integers(1, 12),
)
def test_lines_do_not_depend_on_how_the_bytes_are_cut(pieces: list[bytes], cuts: list[int], limit: int) -> None:
    data = b"".join(pieces)
    marks = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    portions = [data[a:b] for a, b in itertools.pairwise(marks)]
    assert split(portions, limit) == expected(data, limit)


def test_a_line_over_the_limit_is_told_at_once_and_once() -> None:
    splitter = LineSplitter(4)
    assert splitter.feed(b"abcdef") == [Oversized(4)]
    assert splitter.held == 0
    assert splitter.feed(b"g" * 1000) == []
    assert splitter.held == 0
    assert splitter.feed(b"h\nfine\n") == [b"fine"]
    assert splitter.end() == []


def test_a_line_over_the_limit_at_the_end_of_input_is_told_once() -> None:
    splitter = LineSplitter(4)
    assert splitter.feed(b"abcdef") == [Oversized(4)]
    assert splitter.end() == []
    assert splitter.end() == []


def test_a_long_line_in_small_portions_is_held_once() -> None:
    splitter = LineSplitter(1 << 20)
    for _ in range(1 << 10):
        assert splitter.feed(b"x" * 1024) == []
    assert splitter.held == 1 << 20
    assert splitter.feed(b"\n") == [b"x" * (1 << 20)]
    assert splitter.held == 0


def test_a_limit_below_one_byte_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        LineSplitter(0)


@pytest.mark.parametrize(("data", "kinds"), [(b"a\nb\n", [bytes, bytes]), (b"a\nb", [bytes, Unfinished])])
def test_a_last_line_without_its_newline_is_told_apart(data: bytes, kinds: list[type]) -> None:
    assert [type(frame) for frame in split([data], 8)] == kinds
