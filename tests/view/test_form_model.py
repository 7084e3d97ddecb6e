"""The model of the forms on the page: what a JSON Schema becomes, and what is wrong with a value. It runs in Node."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from tests.node import Unavailable, node_and_npm
from tests.programs import PATIENCE, ROOT

PAGE = ROOT / "trimcp" / "view" / "page"
PROGRAM = """
import * as schemas from "%(page)s/schema.js";
import * as checks from "%(page)s/check.js";
import * as commands from "%(page)s/command.js";
import * as json from "%(page)s/json.js";
import * as templates from "%(page)s/templates.js";
import { readFileSync } from "node:fs";
const all = { ...schemas, ...checks, ...commands, ...json, ...templates };
const asked = json.parsed(readFileSync(0, "utf8"));
console.log(json.written(asked.map(([name, ...words]) => all[name](...words) ?? null)));
"""


def ask(*calls: list[Any]) -> list[Any]:
    """Call functions of the page's modules, by name, and return what they return."""
    try:
        node, _ = node_and_npm()
    except Unavailable as why:
        pytest.skip(str(why))
    program = PROGRAM % {"page": PAGE.as_uri()}
    ran = subprocess.run(
        [node, "--no-warnings", "--input-type=module", "-e", program],
        input=json.dumps(calls),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    found: list[Any] = json.loads(ran.stdout)
    return found


TREE = {
    "type": "object",
    "properties": {
        "value": {"$ref": "#/$defs/value~1of"},
        "left": {"$ref": "#"},
        "marks": {"type": "array", "items": {"type": "integer", "minimum": 1}, "maxItems": 2, "uniqueItems": True},
    },
    "required": ["value"],
    "additionalProperties": False,
    "$defs": {"value/of": {"allOf": [{"type": "number"}, {"maximum": 9}, {"maximum": 7}], "default": 3}},
}
SHAPE = {
    "oneOf": [
        {"type": "object", "properties": {"kind": {"const": "dot"}}, "required": ["kind"]},
        {
            "type": "object",
            "properties": {"kind": {"const": "line"}, "length": {"type": "number", "exclusiveMinimum": 0}},
            "required": ["kind", "length"],
        },
    ]
}


def test_references_and_combinations_are_followed_also_in_a_circle() -> None:
    endless = {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}
    kinds = ask(
        ["resolved", TREE["properties"]["value"], TREE],
        ["resolved", endless, endless],
        ["firstValue", TREE, TREE],
        ["resolved", {"$ref": "https://example.org/x"}, {}],
        ["resolved", {"$ref": "#spot"}, {"$defs": {"x": {"$anchor": "spot", "type": "null"}}}],
    )
    assert kinds[0] == {"type": "number", "maximum": 7, "default": 3}
    assert kinds[1] == {} or "$defs" in kinds[1]
    assert kinds[2] == {"value": 3}
    assert kinds[3] == {}
    assert kinds[4]["type"] == "null"


KINDS: list[tuple[Any, str, Any]] = [
    ({"const": 4}, "const", 4),
    ({"enum": ["a", None]}, "options", "a"),
    ({"oneOf": [{"const": 1, "title": "one"}, {"const": 2}]}, "options", 1),
    ({"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}, "choice", None),
    ({"type": ["integer", "null"]}, "choice", None),
    (SHAPE, "choice", {"kind": "dot"}),
    ({"type": "boolean"}, "boolean", False),
    ({"type": "string"}, "string", None),
    ({"type": "string", "default": "x"}, "string", "x"),
    ({"type": "array", "items": {"type": "boolean"}, "minItems": 2}, "array", [False, False]),
    ({"properties": {"a": {"default": 1}, "b": {}}}, "object", {"a": 1}),
    ({"format": "date"}, "string", None),
    (True, "any", None),
    ({}, "any", None),
]


def test_each_schema_has_a_kind_of_field_and_a_first_value() -> None:
    wholes = ask(*(["resolved", schema, schema] for schema, _, _ in KINDS))
    kinds = ask(*(["kindOf", whole, schema] for whole, (schema, _, _) in zip(wholes, KINDS, strict=True)))
    firsts = ask(*(["firstValue", schema, schema] for schema, _, _ in KINDS))
    assert [*zip((each[0] for each in KINDS), kinds, firsts, strict=True)] == KINDS


PROBLEMS: list[tuple[Any, Any, list[str] | int]] = [
    (TREE, {"value": 7, "left": {"value": 1}}, []),
    (TREE, {"value": 8}, ["value: It must be at most 7"]),
    (TREE, {"left": {}}, ["value: This is required", "left.value: This is required"]),
    (TREE, {"value": "x"}, ["value: It must be a number"]),
    (TREE, {"value": 1, "other": 1}, ["other: There is no other: remove it"]),
    (TREE, {"value": 1, "marks": [1, 1, 0]}, 3),
    (SHAPE, {"kind": "line", "length": 0}, ["length: It must be more than 0"]),
    (SHAPE, {"kind": "line"}, ["length: This is required"]),
    (
        {"oneOf": [{"type": "integer"}, {"minimum": 0}]},
        3,
        [": It fits 2 of the alternatives, and must fit only one"],
    ),
    ({"type": "string", "format": "email"}, "ada", [": It must be an email address, such as ada@example.org"]),
    ({"type": "string", "format": "date"}, "2026-01-31", []),
    ({"type": "string", "format": "uri"}, "nothing", [": It must be a URL, such as https://example.org/"]),
    ({"type": "string", "pattern": "^a+$", "maxLength": 2}, "aab", 2),
    ({"type": "string", "pattern": "(?P<no>x)"}, "y", []),
    ({"type": "integer"}, 1.5, [": It must be an integer"]),
    ({"multipleOf": 0.1}, 0.3, []),
    ({"if": {"required": ["a"]}, "then": {"required": ["b"]}}, {"a": 1}, ["b: This is required"]),
    ({"additionalProperties": {"type": "integer"}}, {"a": "x"}, ["a: It must be an integer"]),
    ({"not": {"type": "string"}}, "x", [": This value is not allowed"]),
    ({"enum": [{"a": 1, "b": 2}]}, {"b": 2, "a": 1}, []),
    (False, 1, [": This value is not allowed"]),
]


def test_problems_are_found_where_they_are() -> None:
    found = ask(*(["problemsOf", value, schema, schema] for schema, value, _ in PROBLEMS))
    for problems, (schema, value, wanted) in zip(found, PROBLEMS, strict=True):
        said = [f"{'.'.join(map(str, each['path']))}: {each['text']}" for each in problems]
        assert (len(said) if isinstance(wanted, int) else said) == wanted, (schema, value)


def test_the_copied_command_has_right_quotes_and_no_secret() -> None:
    tool = {
        "name": "send it",
        "inputSchema": {
            "type": "object",
            "properties": {
                "to": {"type": "string"},
                "count": {"type": "integer"},
                "apiKey": {"type": "string"},
                "max_tokens": {"type": "integer"},
            },
        },
    }
    values = {"to": "@Ada's $HOME `x`", "count": 2**70, "apiKey": "hunter2", "max_tokens": 3, "more": {"a": ["é b"]}}
    found = ask(
        ["callCommand", ["./my server.py:one"], tool, values],
        ["callCommand", ["--", "npx", "a server"], tool, {"to": "plain"}],
        ["callCommand", [], tool, {"a=b": 1}],
        ["readCommand", ["x.py"], "desk://drawer/a b"],
        ["withoutSecrets", {**values, "inner": [{"password": "x", "n": 1}]}, tool["inputSchema"]],
    )
    assert found[0] == (
        """trimcp call './my server.py:one' 'send it' 'to=@@Ada'\\''s $HOME `x`' count:=1180591620717411303424 """
        """apiKey="$APIKEY" max_tokens:=3 'more:={"a":["é b"]}'"""
    )
    assert found[1] == "trimcp call 'send it' to=plain -- npx 'a server'"
    assert found[2] == """trimcp call TARGET 'send it' --json-args '{"a=b":1}'"""
    assert found[3] == "trimcp read x.py 'desk://drawer/a b'"
    assert found[4] == {
        "to": values["to"],
        "count": 2**70,
        "max_tokens": 3,
        "more": values["more"],
        "inner": [{"n": 1}],
    }


def test_the_shell_gives_back_the_words_of_a_command() -> None:
    words = ["a b", "it's", "$(x)", '"', "\\", "new\nline", "*", "~", "é", ""]
    quoted = ask(*(["quoted", word] for word in words))
    ran = subprocess.run(["sh", "-c", f"printf '%s\\0' {' '.join(quoted)}"], capture_output=True, text=True, check=True)
    assert ran.stdout.split("\0")[:-1] == words


def test_templates_are_expanded() -> None:
    template = "file://{host}{/a,b}{?q,none}{#spot}"
    values = {"host": "x y", "a": "1/2", "b": "3", "q": "é", "spot": "s"}
    assert ask(["variablesOf", template], ["expanded", template, values]) == [
        ["host", "a", "b", "q", "none", "spot"],
        "file://x%20y/1%2F2/3?q=%C3%A9#s",
    ]
