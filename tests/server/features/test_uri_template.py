"""URI templates: what they match, and what they refuse to hand out."""

from __future__ import annotations

import pathlib
import re
import string
import urllib.parse
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.server.features.uri_expansion import expand
from trimcp.errors import UsageError
from trimcp.framing.uri_syntax import OPERATORS, URI_LENGTH, normal_uri
from trimcp.server.features.uri_template import UriTemplate

VALUES: dict[str, Any] = {
    "var": "value",
    "hello": "Hello World!",
    "path": "foo/bar",
    "half": "50%",
    "empty": "",
    "list": ["red", "green", "blue"],
    "x": "1024",
    "y": "768",
}


@pytest.mark.parametrize(
    ("template", "uri"),
    [
        ("a:{var}", "a:value"),
        ("a:{hello}", "a:Hello%20World%21"),
        ("a:{half}{?x,nothing}", "a:50%25?x=1024"),
        ("a:{+hello}", "a:Hello%20World!"),
        ("a:{+path}/here", "a:foo/bar/here"),
        ("a:X{#path}", "a:X#foo/bar"),
        ("a:{x,y}", "a:1024,768"),
        ("a:{+x,path}", "a:1024,foo/bar"),
        ("a:X{.var}", "a:X.value"),
        ("a:X{.x,y}", "a:X.1024.768"),
        ("a:{/var,x}/here", "a:/value/1024/here"),
        ("a:{;x,y,empty}", "a:;x=1024;y=768;empty"),
        ("a:{?x,y,empty}", "a:?x=1024&y=768&empty="),
        ("a:?fixed=yes{&x}", "a:?fixed=yes&x=1024"),
        ("a:{var:3}", "a:val"),
        ("a:{+path:6}", "a:foo/ba"),
        ("a:{list}", "a:red,green,blue"),
        ("a:{list*}", "a:red,green,blue"),
        ("a:{/list*}", "a:/red/green/blue"),
        ("a:X{.list*}", "a:X.red.green.blue"),
        ("a:{;list}", "a:;list=red,green,blue"),
        ("a:{;list*}", "a:;list=red;list=green;list=blue"),
        ("a:{?list*}", "a:?list=red&list=green&list=blue"),
        ("a:{nothing}{/nothing}{?nothing}", "a:"),
        ("größe://{var}", None),
        ("a://größe/{var}", "a://gr%C3%B6%C3%9Fe/value"),
    ],
)
def test_templates_expand_as_the_rfc_says(template: str, uri: str | None) -> None:
    if uri is None:
        with pytest.raises(UsageError, match="No scheme"):
            UriTemplate(template)
    else:
        assert expand(template, VALUES) == uri


@pytest.mark.parametrize(
    ("template", "uri", "values"),
    [
        ("weather://{city}/{day}", "weather://Bern/today", {"city": "Bern", "day": "today"}),
        ("weather://{city}/{day}", "weather://Z%c3%BCrich/3", {"city": "Zürich", "day": "3"}),
        ("weather://{city}/{day}", "weather://Zürich/3", {"city": "Zürich", "day": "3"}),
        ("weather://{city}/{day}", "weather://Bern", None),
        ("weather://{city}/{day}", "weather://Bern/", None),
        ("weather://{city}/{day}", "weather://Bern/today/now", None),
        ("time://{at}", "time://12:30", {"at": "12:30"}),
        ("file:///{+path}", "file:///src/main.rs", {"path": "src/main.rs"}),
        ("file:///{+dir}/{name}.{suffix}", "file:///a/b/c.tar.gz", {"dir": "a/b", "name": "c.tar", "suffix": "gz"}),
        ("x:{+a}.{b}", "x:y.z/w.v", {"a": "y.z/w", "b": "v"}),
        ("doc:{name}{.suffix}", "doc:a.tar.gz", {"name": "a.tar", "suffix": "gz"}),
        ("x:{/a,b}", "x:/1/2", {"a": "1", "b": "2"}),
        ("x:{/a}{/b}/end", "x:/1/2/end", {"a": "1", "b": "2"}),
        ("x:{/all*}", "x:/1/2/3", {"all": ["1", "2", "3"]}),
        ("x:{/all*}/end", "x:/1/end/end", {"all": ["1", "end"]}),
        ("x:y{.all*}", "x:y.1.2", {"all": ["1", "2"]}),
        ("x:{all*}", "x:1,2%2C", {"all": ["1", "2,"]}),
        ("x:{a,b}", "x:1,2,3", {"a": "1", "b": "2,3"}),
        ("x:{a,rest*}", "x:1,2,3", {"a": "1", "rest": ["2", "3"]}),
        ("x:{;a,b}", "x:;b=2;a", {"b": "2", "a": ""}),
        ("x:{?q,limit}", "x:?limit=3&q=a%2Fb", {"q": "a/b", "limit": "3"}),
        ("x:{?q}", "x:?q=1&q=2", None),
        ("x:{?q}", "x:?other=1", None),
        ("x:{?q*}", "x:?q=1&q=2", {"q": ["1", "2"]}),
        ("x:?fixed=yes{&q}", "x:?fixed=yes&q=1", {"q": "1"}),
        ("x:{#part}", "x:#a/b?c", {"part": "a/b?c"}),
        ("dict:{word:1}/{word}", "dict:h/hello", {"word": "hello"}),
        ("dict:{word:1}/{word}", "dict:x/hello", None),
        ("x:{word:2}", "x:abc", None),
        ("x:{a}-{a}", "x:1-1", {"a": "1"}),
        ("x:{a}-{a}", "x:1-2", None),
        ("x:{a}2", "x:%32", None),
        ("x:{a}", "y:1", None),
        ("x:{a}", "x:a b", None),
        ("x:{a}", "x:%zz", None),
        ("x:{a}", "x:%ff", None),
        ("x:{a}", "x:" + "a" * URI_LENGTH, None),
        ("x:%c3%bc/{a}", "x:ü/1", {"a": "1"}),
    ],
)
def test_a_uri_gives_the_variables_of_its_template(template: str, uri: str, values: dict[str, Any] | None) -> None:
    assert UriTemplate(template).match(uri) == values


@pytest.mark.parametrize(
    ("uri", "values"),
    [
        ("doc:a?q=1&limit=2", {"name": "a", "q": "1", "limit": "2"}),
        ("doc:a.md?q=1", {"name": "a", "suffix": "md", "q": "1"}),
        ("doc:a", {"name": "a"}),
        ("doc:a?", {"name": "a"}),
        ("doc:", None),
    ],
)
def test_what_is_optional_may_be_left_out(uri: str, values: dict[str, Any] | None) -> None:
    template = UriTemplate("doc:{name}{.suffix}{?q,limit}", optional=frozenset({"suffix", "q", "limit"}))
    assert template.match(uri) == values


def test_a_list_that_is_not_exploded_stands_between_commas() -> None:
    template = UriTemplate("x:{?ids}", lists=frozenset({"ids"}))
    assert template.match("x:?ids=1,2%2C,3") == {"ids": ["1", "2,", "3"]}
    assert template.match(expand(template.text, {"ids": ["a,b", "c"]})) == {"ids": ["a,b", "c"]}


CLIMBS = [
    "file:///..",
    "file:///../etc/passwd",
    "file:///a/../../etc/passwd",
    "file:///a/%2e%2e/b",
    "file:///a/.%2E/b",
    "file:///a%2f..%2fb",
    "file:///..%5c..%5cb",
    "file:///a/..%20/b",
    "file:////etc/passwd",
    "file:///%2Fetc/passwd",
    "file:///%5C%5Chost/share",
    "file:///C:/Windows",
    "file:///c%3A%5CWindows",
    "file:///a%00.txt",
]


@pytest.mark.parametrize("uri", CLIMBS)
def test_a_path_that_leaves_its_place_is_refused(uri: str) -> None:
    assert UriTemplate("file:///{+path}").match(uri) is None
    assert UriTemplate("file://{/path*}").match(uri) is None
    assert UriTemplate("file:///{name}").match(uri) is None


UNSAFE = ["/etc/passwd", "//host/share", "C:/Windows", "c:x", "a\\b", "\\\\host\\share", "a\0.txt", "..", "a/../../b"]
EXPRESSIONS_OF_A = ["{a}", "{+a}", "{#a}", "{.a}", "{/a}", "{;a}", "{?a}", "?b=c{&a}", "{a,b}", "{+a,b}", "{?b,a}"]
LISTS_OF_A = ["{a*}", "{+a*}", "{#a*}", "{.a*}", "{/a*}", "{;a*}", "{?a*}", "?b=c{&a*}"]


@pytest.mark.parametrize("expression", EXPRESSIONS_OF_A)
@pytest.mark.parametrize("start", ["x:", "x://", "x:///", "x:y", "file://"])
def test_no_operator_gives_a_value_that_leads_out_of_a_directory(start: str, expression: str) -> None:
    template = UriTemplate(start + expression)
    assert template.match(expand(template.text, {"a": "v", "b": "w"})) is not None
    for value in UNSAFE:
        for name in template.names:
            assert template.match(expand(template.text, {"a": "v", "b": "w", name: value})) is None


@pytest.mark.parametrize("expression", LISTS_OF_A)
@pytest.mark.parametrize("value", UNSAFE)
def test_no_item_of_a_list_leads_out_of_a_directory(expression: str, value: str) -> None:
    text = "x:" + expression
    # Encoded as a query, so that no character of a value separates items.
    items = [urllib.parse.quote(each, safe="") for each in ("v", value)]
    for order in (items, items[::-1]):
        uri = expand(text, {"a": ["0", "1"]}).replace("0", order[0]).replace("1", order[1])
        found = UriTemplate(text).match(uri)
        assert found is None or value not in found["a"]


@pytest.mark.parametrize("value", UNSAFE)
@pytest.mark.parametrize("expression", EXPRESSIONS_OF_A)
def test_a_template_can_ask_for_every_value(expression: str, value: str) -> None:
    text = "x:y" + expression
    template = UriTemplate(text, path_safe=False)
    if expression == "{.a}":
        value = value.replace(".", "-")
    assert template.match(expand(text, {"a": value, "b": "w"})) == {"a": value} | (
        {"b": "w"} if "b" in template.names else {}
    )


def test_absolute_paths_are_for_templates_that_ask_for_them() -> None:
    assert UriTemplate("file://{+path}").match("file:///etc/motd") is None
    assert UriTemplate("doc://here{+path}").match("doc://here/a/b") is None
    assert UriTemplate("file://{+path}", path_safe=False).match("file:///etc/motd") == {"path": "/etc/motd"}


@pytest.mark.parametrize("template", ["x:{a}", "x:y{.a}", "x:{/a}", "x:{a,b}", "x:{/a*}"])
@pytest.mark.parametrize("slash", ["%2F", "%2f", "%5C"])
def test_an_encoded_slash_makes_no_segments(template: str, slash: str) -> None:
    first = expand(template, {"a": ["1"] if "*" in template else "1", "b": "2"})
    assert UriTemplate(template).match(first) is not None
    assert UriTemplate(template).match(first.replace("1", f"1{slash}1")) is None


def test_an_escape_is_decoded_once() -> None:
    assert UriTemplate("file:///{+path}").match("file:///%252e%252e/a") == {"path": "%2e%2e/a"}


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("", "No scheme"),
        ("{scheme}://x", "No scheme"),
        ("no-scheme/{a}", "No scheme"),
        ("x:{a", "close it"),
        ("x:a}", "'}'"),
        ("x:{}", "Invalid expression"),
        ("x:{a b}", "Invalid expression"),
        ("x:{a,}", "Invalid expression"),
        ("x:{=a}", "Invalid expression"),
        ("x:{a:0}", "Invalid expression"),
        ("x:{a:12345}", "Invalid expression"),
        ("x:{a:3*}", "Invalid expression"),
        ("x:a b{c}", "percent-encode"),
        ("x:%g{c}", "percent-encode"),
        ("x:" + "a" * 3000, "too long"),
    ],
)
def test_what_is_no_template_is_refused_with_the_reason(template: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        UriTemplate(template)


@pytest.mark.parametrize("uri", ["", "x", "//x", "1x:y", "x:\n", "x: y", "x:\ud800", 'x:"', "x:é" * 3000])
def test_what_is_no_uri_is_none(uri: str) -> None:
    assert normal_uri(uri) is None


def test_a_hostile_uri_does_not_cost_more_than_its_length() -> None:
    # A pattern that tried all ways to cut this up would not come back.
    template = UriTemplate("x:" + "".join(f"{{+v{n}}}a" for n in range(40)) + "b")
    assert template.match("x:" + "a" * 8000) is None
    found = template.match("x:" + "a" * 8000 + "b")
    assert found is not None
    assert "".join(f"{value}a" for value in found.values()) + "b" == "a" * 8000 + "b"


# --- whatever is expanded is matched --------------------------------------------------

PLAIN = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/\\"), min_size=1, max_size=8).filter(
    lambda text: text.strip(" ") != ".." and not re.match("[A-Za-z]:", text)
)
PLAINS = st.lists(PLAIN, min_size=1, max_size=4)
NO_DOTS = st.lists(PLAIN.filter(lambda text: "." not in text), min_size=1, max_size=4)
QUERIES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\\"), max_size=8).filter(
    lambda text: not re.match("/|[A-Za-z]:", text) and not any(part.strip(" ") == ".." for part in text.split("/"))
)
# What is reserved goes unencoded, and an escape is taken for one.
SEGMENT = st.text(string.ascii_letters + string.digits + "-_~!$'()*;=@ é", min_size=2, max_size=6)
PATHS = st.lists(SEGMENT, min_size=1, max_size=4).map("/".join)
KINDS: list[tuple[str, Any]] = [
    ("/-/{%s}", PLAIN),
    ("/-/{%s:20}", PLAIN),
    ("/-/{%s*}", PLAINS),
    ("{/%s}", PLAIN),
    ("/-{.%s}", PLAIN),
    ("/-{.%s*}", NO_DOTS),
    ("/-{;%s}", QUERIES),
    ("/-{;%s*}", PLAINS),
]
ENDS: list[tuple[str, Any]] = [
    ("", None),
    ("{?%s}", QUERIES),
    ("{?%s*}", PLAINS),
    ("?a=b{&%s}", QUERIES),
    ("/-/{+%s}", PATHS),
    ("{/%s*}", PLAINS),
    ("{#%s}", PATHS),
]


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_what_was_expanded_gives_its_variables_back(data: st.DataObject) -> None:
    kinds = data.draw(st.lists(st.sampled_from(KINDS), max_size=5))
    kinds.append(data.draw(st.sampled_from(ENDS)))
    text, values = "x:/", {}
    for index, (kind, strategy) in enumerate(kinds):
        if strategy is None:
            continue
        text += kind % f"v{index}"
        values[f"v{index}"] = data.draw(strategy)
    template = UriTemplate(text + ("end" if not values else ""))
    assert template.match(expand(template.text, values)) == values


NAMES = st.lists(st.sampled_from(["a", "b", "c*", "d:2", "e"]), min_size=1, max_size=3, unique=True).map(",".join)
EXPRESSIONS = st.tuples(st.sampled_from(sorted(OPERATORS)), NAMES).map(lambda pair: "{%s%s}" % pair)  # noqa: UP031
SOUP = st.lists(st.one_of(EXPRESSIONS, st.sampled_from(["/", "x", "?", "%2F", ".", "//"])), max_size=6).map("".join)
URIS = st.text(st.sampled_from("aéc/.%2F5C0e?&=;,#:x\\ "), max_size=40)


@given(SOUP, URIS, st.frozensets(st.sampled_from("abcde")))
@settings(max_examples=300, deadline=None)
def test_no_template_and_no_uri_give_anything_that_climbs(soup: str, uri: str, optional: frozenset[str]) -> None:
    template = UriTemplate("x:" + soup, optional=optional)
    found = template.match("x:" + uri)
    for value in (found or {}).values():
        for text in [value] if isinstance(value, str) else value:
            assert not {"\0", "\\"} & set(text)
            assert not pathlib.PurePosixPath(text).is_absolute()
            assert not pathlib.PureWindowsPath(text).drive
            assert ".." not in text.split("/")
    if found is not None:
        assert set(template.names) - optional <= found.keys()
