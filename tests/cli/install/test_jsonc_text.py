"""The editor of JSON with comments: what it does not edit stays as it is, and the result has the expected value."""

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimcp.cli.install import jsonc_text
from trimcp.cli.install.jsonc_tree import InvalidText, parse
from trimcp.client.configuration import without_comments

QUICK = settings(max_examples=60, deadline=None)

# --- texts that people may have written -----------------------------------------------

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
SCALARS = st.none() | st.booleans() | st.integers(-(10**6), 10**6) | NAMES
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=6
)
COMMENTS = st.one_of(
    st.text(st.sampled_from('ab "{}[],:/\\\u00a0'), max_size=8).map(lambda text: f"//{text}\n"),
    st.text(st.sampled_from('ab "{}[],:\n\\'), max_size=8).map(lambda text: f"/*{text}*/"),
)
TRIVIA = st.lists(st.sampled_from(["", " ", "  ", "\t", "\n", "\r\n", "\n  "]) | COMMENTS, max_size=3).map("".join)


@st.composite
def written(draw: st.DrawFn, value: Any) -> str:
    """A value as JSON, with comments and white space in all places, and perhaps with commas at the ends."""
    if not isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=draw(st.booleans()))
    parts = []
    for each in value:
        name = f"{json.dumps(each)}{draw(TRIVIA)}:{draw(TRIVIA)}" if isinstance(value, dict) else ""
        inner = value[each] if isinstance(value, dict) else each
        parts.append(f"{draw(TRIVIA)}{name}{draw(written(inner))}{draw(TRIVIA)}")
    last = draw(st.sampled_from([",", ""])) if parts else ""
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{opening}{','.join(parts)}{last}{draw(TRIVIA)}{closing}"


@st.composite
def documents(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A text with an object of servers, and its value."""
    value = draw(st.dictionaries(NAMES, VALUES, max_size=3))
    if draw(st.booleans()):
        value["servers"] = draw(st.dictionaries(NAMES, VALUES, max_size=3))
    return f"{draw(TRIVIA)}{draw(written(value))}{draw(TRIVIA)}", value


def read(text: str) -> Any:
    """The value of a text, by another reader than the one of the editor."""
    return json.loads(without_comments(text.encode()))


PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\r\n]*|/\*.*?\*/|[^\s,]', re.DOTALL)


def pieces(text: str) -> list[str]:
    """The strings, comments and other characters of a text, without white space and commas."""
    return PIECE.findall(text)


def without(path: tuple[str, str], value: dict[str, Any]) -> dict[str, Any]:
    inner = {name: each for name, each in value[path[0]].items() if name != path[1]}
    return {**value, path[0]: inner}


@QUICK
@given(documents(), NAMES, VALUES)
def test_an_inserted_member_leaves_all_that_was_there(
    document: tuple[str, dict[str, Any]], name: str, new: Any
) -> None:
    text, value = document
    if name in value.get("servers", ()):
        name += "…"
    if name in value.get("servers", ()):
        return
    edited = jsonc_text.put(text, ["servers", name], new)
    assert read(edited) == {**value, "servers": {**value.get("servers", {}), name: new}}
    # The text is the old one with a span put in, and perhaps a comma.
    rest = iter(edited)
    assert all(character in rest for character in text)
    assert jsonc_text.put(edited, ["servers", name], new) == edited
    removed = jsonc_text.remove(edited, ["servers", name])
    if "servers" in value:
        assert pieces(removed) == pieces(text)
        assert removed.count(",") == text.count(",")


@QUICK
@given(documents().filter(lambda document: document[1].get("servers")), VALUES, st.data())
def test_an_updated_member_changes_only_its_own_span(
    document: tuple[str, dict[str, Any]], new: Any, data: st.DataObject
) -> None:
    text, value = document
    name = data.draw(st.sampled_from(sorted(value["servers"])))
    edited = jsonc_text.put(text, ["servers", name], new)
    assert read(edited) == {**value, "servers": {**value["servers"], name: new}}
    root = parse(text)
    assert root is not None
    node = root.get("servers").value.get(name).value  # type: ignore[union-attr]
    assert edited.startswith(text[: node.start])
    assert edited.endswith(text[node.end :])


@QUICK
@given(documents().filter(lambda document: document[1].get("servers")), st.data())
def test_a_removed_member_takes_only_itself_and_one_comma(
    document: tuple[str, dict[str, Any]], data: st.DataObject
) -> None:
    text, value = document
    name = data.draw(st.sampled_from(sorted(value["servers"])))
    edited = jsonc_text.remove(text, ["servers", name])
    assert read(edited) == without(("servers", name), value)
    root = parse(text)
    assert root is not None
    item = root.get("servers").value.get(name)  # type: ignore[union-attr]
    assert item is not None
    assert pieces(edited) == pieces(text[: item.start]) + pieces(text[item.value.end :])


@QUICK
@given(documents())
def test_the_editor_reads_as_another_reader_does(document: tuple[str, dict[str, Any]]) -> None:
    text, value = document
    root = parse(text)
    assert root is not None
    assert root.data == value == read(text)


# --- how it looks ---------------------------------------------------------------------

ZED = """\
// My settings.
{
    "theme": "One Dark", // not the light one
    /* Servers: */
    "context_servers": {
        "notes": {
            "command": "notes",
            "args": ["--all"], // all of them
        },
    },
    "vim_mode": true,
}
"""


def test_an_entry_is_written_as_its_neighbours_are() -> None:
    edited = jsonc_text.put(ZED, ["context_servers", "adder"], {"command": "python", "args": ["-m", "trimcp"]})
    added = """\
        "adder": {
            "command": "python",
            "args": ["-m", "trimcp"]
        },
"""
    assert edited == ZED.replace("of them\n        },\n", f"of them\n        }},\n{added}")
    assert jsonc_text.remove(edited, ["context_servers", "adder"]) == ZED


@pytest.mark.parametrize(
    ("text", "edited"),
    [
        ("", '{\n  "s": {\n    "a": 1\n  }\n}\n'),
        ("// nothing\n", '// nothing\n{\n  "s": {\n    "a": 1\n  }\n}\n'),
        ("{}", '{\n  "s": {\n    "a": 1\n  }\n}'),
        ('{"b": 2}', '{"b": 2, "s": {"a": 1}}'),
        ('{"s": {"b": 2}}', '{"s": {"b": 2, "a": 1}}'),
        ('{\r\n\t"s": {}\r\n}', '{\r\n\t"s": {\r\n\t\t"a": 1\r\n\t}\r\n}'),
        ('{\n "s": {\n  "b": 2 // two\n }\n}', '{\n "s": {\n  "b": 2, // two\n  "a": 1\n }\n}'),
        ('{\n  "s": {\n  }\n}', '{\n  "s": {\n    "a": 1\n  }\n}'),
    ],
)
def test_a_member_finds_its_place(text: str, edited: str) -> None:
    assert jsonc_text.put(text, ["s", "a"], 1) == edited


def test_elements_of_arrays_are_appended_and_removed() -> None:
    text = '{\n  "inputs": [\n    {"id": "a"}\n  ]\n}\n'
    edited = jsonc_text.append(text, ["inputs"], {"id": "b"})
    assert read(edited) == {"inputs": [{"id": "a"}, {"id": "b"}]}
    assert jsonc_text.remove(edited, ["inputs", 1]) == text
    assert read(jsonc_text.append("{}", ["inputs"], 1)) == {"inputs": [1]}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"a": }', "line 1, column 7: expected a value"),
        ('{"a": 1 "b": 2}', "expected a comma or }"),
        ("{\n  a: 1}", "line 2, column 3: expected a string in double quotes"),
        ('{"a" 1}', "expected a colon"),
        ('{"a": 1}}', "text behind the end"),
        ('{"a": "\\x"}', "an escape that JSON does not have"),
        ('{"a": 01}', "expected a comma"),
        ("[" * 200, "more than 100 levels"),
        ('{"s": {"a": 1, "a": 2}}', "'a' is there twice"),
        ('{"s": [{}]}', "s is not an object"),
        ('{"s": 1}', "s is not an object"),
    ],
)
def test_a_text_that_cannot_be_edited_is_refused(text: str, problem: str) -> None:
    with pytest.raises(InvalidText, match=re.escape(problem)):
        jsonc_text.put(text, ["s", "a"], 1)


@pytest.mark.parametrize("text", ["[1\u0663]", "\u0663", '{"a": ' + "9" * 5000 + "}"])
def test_a_number_that_is_not_one_of_json_is_invalid(text: str) -> None:
    with pytest.raises(InvalidText):
        jsonc_text.load(text)


@pytest.mark.parametrize("text", ["// nothing yet", "/* a */ // b ", "\n// c\r\n", "// d\n  ", "/* e */"])
def test_a_text_of_comments_alone_gets_an_object_behind_them(text: str) -> None:
    put = jsonc_text.put(text, ("servers", "a"), {"command": "b"})
    assert put.startswith(text)
    assert jsonc_text.load(put) == {"servers": {"a": {"command": "b"}}}
