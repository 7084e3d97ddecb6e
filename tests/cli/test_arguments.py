"""`NAME=VALUE`, read by the schema of a tool."""

from pathlib import Path
from typing import Any

import pytest

from trimcp.cli.arguments import arguments_of, did_you_mean, texts_of
from trimcp.errors import UsageError

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "maybe": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "count": {"type": "integer"},
        "count_or_none": {"type": ["integer", "null"]},
        "ratio": {"type": "number"},
        "flag": {"type": "boolean"},
        "either": {"type": ["string", "integer"]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "numbers": {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "null"}]},
        "where": {"$ref": "#/$defs/Place"},
        "kind": {"enum": ["rye", "spelt", 3, None]},
        "fixed": {"const": "x"},
        "anything": {},
        "dangling": {"$ref": "#/$defs/Nowhere"},
        "foreign": {"$ref": "https://elsewhere.example/schema"},
        "loop": {"$ref": "#/properties/loop"},
    },
    "additionalProperties": False,
    "$defs": {"Place": {"type": "object"}},
}


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("text=5", "5"),
        ("text=", ""),
        ("text=a=b", "a=b"),
        ("text=@@home", "@home"),
        ("maybe=null", "null"),
        ("maybe:=null", None),
        ("count=-5", -5),
        ("count_or_none=null", None),
        ("count_or_none=7", 7),
        ("ratio=5", 5.0),
        ("ratio=1e3", 1000.0),
        ("flag=true", True),
        ("flag=No", False),
        ("either=5", 5),
        ("either=five", "five"),
        ("tags=a", ["a"]),
        ('tags=["a", "b"]', ["a", "b"]),
        ("numbers=5", [5]),
        ("numbers=null", None),
        ('where={"x": 1}', {"x": 1}),
        ("kind=rye", "rye"),
        ("kind=3", 3),
        ("kind=null", None),
        ("fixed=x", "x"),
        ("anything=5", "5"),
        ("anything:=5", 5),
        ("dangling=5", "5"),
        ("foreign=5", "5"),
        ("loop=5", "5"),
    ],
)
def test_a_value_becomes_what_the_schema_asks_for(word: str, value: Any) -> None:
    (found,) = arguments_of([word], SCHEMA).values()
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["count=five"], "count must be integer, not 'five'"),
        (["count=5.0"], "count must be integer, not '5.0'"),
        (["count_or_none=x"], "count_or_none must be integer or null, not 'x'"),
        (["flag=1"], "flag must be boolean"),
        (["numbers=1", "numbers=x"], "numbers must be integer, not 'x'"),
        (["where=[1]"], "where must be an object as JSON"),
        (["kind=wheat"], "kind must be rye or spelt or 3 or None, not 'wheat'"),
        (["cuont=5"], "there is no argument cuont; did you mean count?"),
        (["text=a", "text=b"], "text is given more than once, but is not an array"),
        (["text=a", 'text:="b"'], "text is given more than once"),
        (["text"], "'text' is not an argument: write NAME=VALUE, or NAME:=JSON"),
        (["=5"], "'=5' is not an argument"),
        (["count:=x"], "the value of count:= is not JSON"),
        (["text=@no/such/file"], "cannot read no/such/file"),
        (["text=" + "x" * 99, "text=y"], "more than once"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_sent(words: list[str], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        arguments_of(words, SCHEMA)
    assert said in str(refused.value)


def test_a_word_given_more_than_once_makes_an_array() -> None:
    assert arguments_of(["tags=a", "numbers=1", "tags=b", "numbers=2"], SCHEMA) == {
        "tags": ["a", "b"],
        "numbers": [1, 2],
    }


def test_values_come_from_files_and_from_json(tmp_path: Path) -> None:
    text, data = tmp_path / "text", tmp_path / "data"
    text.write_text("two\nlines")
    data.write_text('{"count": 5}')
    found = arguments_of([f"text=@{text}", f"where:=@{data}"], SCHEMA, f"@{data}")
    assert found == {"count": 5, "text": "two\nlines", "where": {"count": 5}}
    with pytest.raises(UsageError, match="must be a JSON object"):
        arguments_of([], SCHEMA, "[]")
    with pytest.raises(UsageError, match="is not JSON"):
        arguments_of([], SCHEMA, "{")
    with pytest.raises(UsageError, match="count is given more than once"):
        arguments_of(["count=6"], SCHEMA, '{"count": 5}')


def test_an_open_schema_takes_names_that_it_does_not_know() -> None:
    assert arguments_of(["more=5"], {"type": "object", "properties": {"a": {}}}) == {"more": "5"}
    assert arguments_of(["more=5"], {}) == {"more": "5"}
    parts = {"allOf": [{"properties": {"a": {"type": "integer"}}}, {"properties": {"b": {"type": "boolean"}}}]}
    assert arguments_of(["a=1", "b=yes"], parts) == {"a": 1, "b": True}


def test_texts_stay_texts() -> None:
    assert texts_of(["a=1", "b=true"]) == {"a": "1", "b": "true"}
    with pytest.raises(UsageError, match="more than once"):
        texts_of(["a=1", "a=2"])


def test_what_might_have_been_meant_is_said() -> None:
    assert did_you_mean("lst", ["list", "call"]) == "; did you mean list?"
    assert did_you_mean("xyz", ["list", "call"]) == "; there are list, call"
    assert did_you_mean("xyz", []) == "; there are none"
