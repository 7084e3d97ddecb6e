"""Reading and writing JSON text: what is refused, and that no refusal shows the text."""

import contextlib
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimcp.codec.jsontext import MAX_DEPTH, InvalidJson, dumps, loads
from trimcp.errors import InvalidPayload
from trimcp.schema.exact_json import has_no_float
from trimcp.types.fields import ABSENT

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**60), 10**60)
    | st.floats(allow_nan=False, allow_infinity=False)
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


def exactly(value: object) -> str:
    """Tell 1 from 1.0 and from True, at any depth."""
    return json.dumps(value)


@given(JSON)
def test_numbers_keep_their_kind_and_every_digit(value: object) -> None:
    assert exactly(loads(dumps(value))) == exactly(value)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("digits", [18, 19, 20, 21, 40, 309, 310, 4300])
@pytest.mark.parametrize("before", range(0, 14, 3), ids=str)
def test_integers_of_any_size_are_exact_at_any_place(sign: int, digits: int, before: int) -> None:
    for number in (sign * (10**digits - 1), sign * 10 ** (digits - 1), sign * (2**64), sign * (2**63 + 1)):
        value = {" " * before: [number, 1.5, "12345678901234567890"], "more": [True, None, 7]}
        assert exactly(loads(json.dumps(value).encode())) == exactly(value)
        assert dumps(value) == json.dumps(value, separators=(",", ":")).encode()


def test_an_integer_that_python_does_not_read_is_refused() -> None:
    with pytest.raises(InvalidJson, match=r"^an integer of more than 4,300 digits$"):
        loads(b'{"a":1' + b"0" * 4300 + b"}")


@pytest.mark.parametrize(
    "data", [b"[%s", b"[0%s]", b"[%s,]", b"[NaN,%s]", b"[1e999,%s]", b'["\\ud800%s"]', b"[\xff,%s]", b"[1e%s]"]
)
def test_text_with_long_digits_is_checked_like_any_other(data: bytes) -> None:
    with pytest.raises(InvalidJson):
        loads(data % b"12345678901234567890123")


@pytest.mark.parametrize("piece", [b"[]", b"{}", b'{"a":[1]}', b'"[{"', b'"\\\\",[]', b'"\\"[["'])
def test_a_text_has_a_limited_number_of_arrays_and_objects(piece: bytes) -> None:
    text = b"[" + b",".join([piece] * 1000) + b"]"
    held = len([part for part in _parts(json.loads(text)) if isinstance(part, list | dict)])
    assert loads(text, max_containers=held) == json.loads(text)
    with pytest.raises(InvalidJson, match=f"more than {held - 1} arrays and objects"):
        loads(text, max_containers=held - 1)


def _parts(value: object) -> list[object]:
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return [value, *(part for each in inner for part in _parts(each))]


@pytest.mark.parametrize("end", [b"", b"\\", b"\\\\"])
def test_strings_that_do_not_end_are_searched_once(end: bytes) -> None:
    """A search that began anew at each quote would take hours."""
    with pytest.raises(InvalidJson):
        loads(b"[" * 1000 + b'"' + b'\\"' * 400_000 + end, max_containers=500)


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
        ({"a": (1, 10**4300)}, "an integer of more than 4,300 digits: use a string @ $.a[1]"),
        ({"a": [None, math.nan]}, "NaN and infinity are no numbers of JSON: use null or a string @ $.a[1]"),
        ({"a": {"b": -math.inf}, "c": 2**64}, "NaN and infinity are no numbers of JSON: use null or a string @ $.a.b"),
        ({"a": "x" * 9_000, "b": [math.nan]}, "NaN and infinity are no numbers of JSON: use null or a string @ $.b[0]"),
        ({"a": [*range(9_000), math.nan]}, "NaN and infinity are no numbers of JSON: use null or a string @ $.a[9000]"),
        ({"a": {"b c": "\ud800"}}, 'text is not valid Unicode @ $.a["b c"]'),
        ({"a": {"\ud800": 1}}, "property name is not valid Unicode @ $.a"),
        ({"a": {1: 2}}, "expected a string as property name, found int @ $.a"),
        ([ABSENT], "Absent cannot be written as JSON @ $[0]"),
        ({"x" * 100: b""}, f'bytes cannot be written as JSON @ $["{"x" * 64}…"]'),
    ],
)
def test_a_value_that_json_cannot_hold_is_refused_with_its_place(value: object, problem: str) -> None:
    with pytest.raises(InvalidPayload) as caught:
        dumps(value)
    assert caught.value.problems == [problem]


@pytest.mark.parametrize("few", [True, False])
def test_a_long_text_may_hold_null(few: bool) -> None:
    value = ["null" * 9_000, None, *((1.5,) * (0 if few else 100))]
    assert loads(dumps(value)) == value


@pytest.mark.parametrize("value", [math.nan, [math.nan], {"a": [[math.inf]]}, (1,), [None] * 64, {1: [{2}]}])
def test_no_float_is_told_only_of_values_in_which_there_can_be_none(value: object) -> None:
    assert not has_no_float(value)
    assert has_no_float(["null", None, {"a": [1, True]}, []])


def test_a_value_within_itself_is_refused() -> None:
    value: list[object] = []
    value.append(value)
    with pytest.raises(InvalidPayload) as caught:
        dumps(value)
    assert caught.value.problems == ["nested too deep, or contains itself @ $"]
