"""`Accept` and `Content-Type`, as far as they matter to the endpoint."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimcp.http.server.content_negotiation import EVERYTHING, AcceptedTypes, accepted, is_json

BOTH = AcceptedTypes(json=True, sse=True)
JSON = AcceptedTypes(json=True, sse=False)
SSE = AcceptedTypes(json=False, sse=True)
NEITHER = AcceptedTypes(json=False, sse=False)


@pytest.mark.parametrize(
    ("value", "takes"),
    [
        (None, BOTH),
        (b"", BOTH),
        (b"application/json, text/event-stream", BOTH),
        (b"text/event-stream,application/json", BOTH),
        (b"Application/JSON ; charset=utf-8 , TEXT/Event-Stream;q=0.5", BOTH),
        (b"application/json", JSON),
        (b"text/event-stream", SSE),
        (b"*/*", BOTH),
        (b"application/*", JSON),
        (b"text/*", SSE),
        (b"text/html, */*;q=0.1", BOTH),
        (b"text/html", NEITHER),
        (b"application/json;q=0, */*", SSE),
        (b"*/*, text/event-stream;q=0.000", JSON),
        (b"text/*;q=0, text/event-stream, application/json", BOTH),
        (b"*/*;q=0", NEITHER),
        (b"application/json;q=0, application/json", JSON),
        (b"application/json;q=1.000", JSON),
        (b"application/json; v=2; q=0.3", JSON),
        (b"application/json;q=", NEITHER),
        (b"application/json;q=2", NEITHER),
        (b"application/json;q=-1", NEITHER),
        (b"application/json;q=inf, text/event-stream", SSE),
        (b"application/json;q=1e0", NEITHER),
        (b"application/json;q=.", NEITHER),
        (b"application/jsonp", NEITHER),
        (b"application", NEITHER),
        (b"/json, application/, /, ;q=1, ,", NEITHER),
        (b"*/json", NEITHER),
        (b"\xff, application/json", JSON),
        (b"x/y, " * 1000 + b"application/json", JSON),
    ],
)
def test_what_a_client_takes(value: bytes | None, takes: AcceptedTypes) -> None:
    assert accepted(value) == takes
    assert accepted(value) == takes  # from memory


@given(st.binary(max_size=60) | st.text("aplictonjsxe-/*;,q=0.12 ", max_size=60).map(str.encode))
def test_whatever_is_sent_is_read(value: bytes) -> None:
    assert isinstance(accepted(value), AcceptedTypes)
    assert is_json(value) in (True, False)


def test_everything_is_both() -> None:
    assert EVERYTHING == BOTH


@pytest.mark.parametrize(
    ("value", "json"),
    [
        (b"application/json", True),
        (b"Application/JSON", True),
        (b"application/json; charset=utf-8", True),
        (b'application/json;charset="UTF-8"', True),
        (b"application/json; charset=utf8; x=y", True),
        (b"application/json; profile=x", True),
        (b"application/json;", True),
        (b"application/json; charset=latin-1", False),
        (b"application/json-rpc", False),
        (b"application/json, application/json", False),
        (b"text/plain", False),
        (b"text/plain; application/json", False),
        (b"application/x-www-form-urlencoded", False),
        (b"", False),
        (None, False),
        (b"application/json;" + b" x=y;" * 100, True),
    ],
)
def test_what_is_sent_as_json(value: bytes | None, json: bool) -> None:
    assert is_json(value) is json
