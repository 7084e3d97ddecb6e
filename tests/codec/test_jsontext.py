"""Reading and writing JSON text: what is refused, and that no refusal shows the text."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimcp.codec.jsontext import MAX_DEPTH, InvalidJson, dumps, loads
from trimcp.errors import InvalidPayload
from trimcp.types.fields import ABSENT

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
)
JSON = st.recursive(
    SCALARS | TEXT, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
)


@given(JSON)
def test_what_is_written_reads_back_as_it_was(value: object) -> None:
    assert loads(dumps(value)) == value


@given(JSON)
def test_what_another_writer_wrote_reads_the_same(value: object) -> None:
    for ascii_only in (True, False):
        assert loads(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary(max_size=40))
def test_any_bytes_are_a_value_or_invalid_json(data: bytes) -> None:
    with contextlib.suppress(InvalidJson):
        loads(data)


def depth_of(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


@given(JSON, st.integers(0, 5))
def test_the_depth_limit_is_exact_whatever_the_strings_hold(value: object, limit: int) -> None:
    text = dumps(value)
    if depth_of(value) > limit:
        with pytest.raises(InvalidJson, match=f"deeper than {limit} levels"):
            loads(text, max_depth=limit)
    else:
        assert loads(text, max_depth=limit) == value


@pytest.mark.parametrize("string", ['"[[[[[["', '"\\"[[[["', '"\\\\"', '"[\\\\\\"[[["', '"]]]]"'])
def test_brackets_within_strings_are_no_nesting(string: str) -> None:
    text = f"[{string},{{{string}:{string}}}]".encode()
    assert loads(text, max_depth=2) == json.loads(text)
    with pytest.raises(InvalidJson):
        loads(text, max_depth=1)


def test_many_small_objects_are_not_deep() -> None:
    value: list[object] = [{"a": []}] * 10_000
    assert loads(dumps(value), max_depth=3) == value


@pytest.mark.parametrize("limit", [5, 200, 253, 254, 255, 900])
@pytest.mark.parametrize("beside", ["", "x" * 9000, [{"a": []}] * 3000], ids=["short", "a long text", "many values"])
def test_the_depth_limit_is_exact_whatever_lies_beside(beside: object, limit: int) -> None:
    """Short texts, values with few parts and large values are measured in ways of their own."""
    for kind in (list, dict):
        deep: object = 1
        for level in range(limit - 1):
            deep = {"a": deep} if kind is dict or level % 2 else [deep]
        text = json.dumps([beside, deep]).encode()
        assert loads(text, max_depth=limit) == [beside, deep]
        with pytest.raises(InvalidJson, match=f"deeper than {limit - 1} levels"):
            loads(text, max_depth=limit - 1)


@pytest.mark.parametrize(("left", "right"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_nesting_beyond_the_limit_is_refused_at_any_length(left: bytes, right: bytes) -> None:
    def nested(levels: int) -> bytes:
        return left * levels + b"1" + right * levels

    loads(nested(MAX_DEPTH))
    for levels in (MAX_DEPTH + 1, 5_000):
        with pytest.raises(InvalidJson):
            loads(nested(levels))
        with pytest.raises(InvalidJson):
            loads(left * levels)
    loads(nested(1000), max_depth=1000)
    with pytest.raises(InvalidJson, match="depth limit exceeded"):
        loads(nested(1500), max_depth=2000)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"NaN",
        b"Infinity",
        b"1e999",
        b'"\\ud800"',
        b'"\xff"',
        b"\xef\xbb\xbf{}",
        b"{'a':1}",
        b"[1,]",
        b"1 2",
        b'"a\x01"',
    ],
)
def test_text_that_is_no_json_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidJson):
        loads(data)


def test_the_reason_says_where_and_shows_nothing_of_the_text() -> None:
    with pytest.raises(InvalidJson) as caught:
        loads(b'{"password": "hunter2",\n "next": hunter2}')
    assert caught.value.reason == "unexpected character at line 2, column 10"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({"good": [{"x": 1}], "a": [1, {2, 3}]}, "set cannot be written as JSON @ $.a[1]"),
        ({"a": (1, 2**64)}, "integer beyond 64 bits @ $.a[1]"),
        ({"a": {"b c": "\ud800"}}, 'text is not valid Unicode @ $.a["b c"]'),
        ({"a": {"\ud800": 1}}, "name of a property is not valid Unicode @ $.a"),
        ({"a": {1: 2}}, "expected a string as name of a property, found int @ $.a"),
        ([ABSENT], "Absent cannot be written as JSON @ $[0]"),
        ({"x" * 100: b""}, f'bytes cannot be written as JSON @ $["{"x" * 64}…"]'),
    ],
)
def test_a_value_that_json_cannot_hold_is_refused_with_its_place(value: object, problem: str) -> None:
    with pytest.raises(InvalidPayload) as caught:
        dumps(value)
    assert caught.value.problems == [problem]


def test_a_value_within_itself_is_refused() -> None:
    value: list[object] = []
    value.append(value)
    with pytest.raises(InvalidPayload) as caught:
        dumps(value)
    assert caught.value.problems == ["nested too deep, or within itself @ $"]
