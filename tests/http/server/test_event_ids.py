"""Ids of events: what they say, and to which session."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimcp.http.server.event_ids import make_event_id, make_tag, read_event_id

SECRET = b"k" * 32
TAG = make_tag(SECRET, "session-1")


@given(stream=st.integers(0, 10**18 - 1), number=st.integers(0, 10**18 - 1))
def test_an_event_id_says_its_stream_and_number_to_its_own_session(stream: int, number: int) -> None:
    id = make_event_id(TAG, stream, number)
    assert id.isascii() and not set(id) & set(b" \r\n\0")
    assert read_event_id([TAG], id) == read_event_id([TAG], id.decode()) == (stream, number)
    assert read_event_id([make_tag(SECRET, "session-2")], id) is None
    assert read_event_id([make_tag(b"K" * 32, "session-1")], id) is None


@given(st.binary(max_size=40) | st.text(max_size=40))
def test_what_is_no_event_id_names_nothing(text: bytes | str) -> None:
    assert read_event_id([TAG], text) is None


NOT_IDS = [
    "",
    ".",
    ".1",
    ".1.",
    ".1.2.3",
    ".01.2",
    ".1.02",
    ".-1.2",
    ".+1.2",
    ". 1.2",
    ".1_0.2",
    ".1.2\n",
    ".1." + "9" * 19,
]


@pytest.mark.parametrize("rest", NOT_IDS)
def test_there_is_one_way_to_write_an_event_id(rest: str) -> None:
    assert read_event_id([TAG], TAG + rest.encode()) is None


def test_a_tag_tells_nothing_of_its_session() -> None:
    assert len(TAG) == 12
    assert b"session" not in TAG
    assert make_tag(SECRET, "session-1") == TAG
