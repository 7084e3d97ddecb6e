"""The fields of a form: how they are shown, and what a line that was typed means."""

from typing import Any

import pytest

from trimcp.cli.elicitation import Field, fields_of

TITLED = {"type": "string", "oneOf": [{"const": "r", "title": "Rye"}, {"const": "s", "title": "Spelt"}]}
SOME = {"type": "array", "items": {"type": "string", "enum": ["rye", "spelt", "oat"]}, "maxItems": 2}


def field(schema: dict[str, Any], *, is_required: bool = True) -> Field:
    return Field("it", schema, is_required=is_required)


@pytest.mark.parametrize(
    ("schema", "line", "value"),
    [
        ({"type": "string"}, " as it is ", " as it is "),
        ({"type": "string", "format": "email"}, "ada@example.org", "ada@example.org"),
        ({"type": "integer"}, " 12 ", 12),
        ({"type": "number"}, "1.5", 1.5),
        ({"type": "boolean"}, "Y", True),
        ({"type": "boolean"}, "false", False),
        ({"type": "string", "default": "x"}, "", "x"),
        ({"type": "boolean", "default": False}, "", False),
        ({"type": "string", "enum": ["rye", "spelt"]}, "2", "spelt"),
        ({"type": "string", "enum": ["rye", "spelt"]}, "rye", "rye"),
        ({"type": "string", "enum": ["2", "1"]}, "2", "2"),  # a value goes before a number
        ({"type": "string", "enum": ["r", "s"], "enumNames": ["Rye", "Spelt"]}, "spelt", "s"),
        (TITLED, "rye", "r"),
        (SOME, "1, oat, 1", ["rye", "oat"]),
        ({"type": "array", "items": {"anyOf": TITLED["oneOf"]}}, "Spelt", ["s"]),
    ],
)
def test_a_line_becomes_what_the_field_asks_for(schema: dict[str, Any], line: str, value: Any) -> None:
    found, problem = field(schema).read(line)
    assert problem is None
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    ("schema", "line", "said"),
    [
        ({"type": "string"}, "", "a value is required"),
        ({"type": "string", "minLength": 3}, "ab", "3"),
        ({"type": "string", "format": "email"}, "nobody", "email"),
        ({"type": "string", "format": "date"}, "tomorrow", "date"),
        ({"type": "integer"}, "1.5", "a whole number"),
        ({"type": "integer", "maximum": 3}, "4", "3"),
        ({"type": "number"}, "many", "a number"),
        ({"type": "boolean"}, "perhaps", "answer yes or no"),
        (TITLED, "3", "choose one of the options above"),
        (SOME, "rye, wheat", "choose among the options above"),
        (SOME, "1, 2, 3", "2"),
    ],
)
def test_what_does_not_fit_is_said_so_that_it_can_be_put_right(schema: dict[str, Any], line: str, said: str) -> None:
    value, problem = field(schema).read(line)
    assert value is None or problem is not None
    assert problem is not None and said in problem


def test_what_may_be_left_out_is() -> None:
    assert field({"type": "integer"}, is_required=False).read("") == (None, None)


def test_a_field_says_what_it_wants() -> None:
    schema = {"type": "integer", "title": "Age", "description": "in years", "minimum": 0, "maximum": 150, "default": 7}
    age = field(schema, is_required=False)
    assert list(age.introduction()) == ["\nAge (optional): in years"]
    assert age.prompt() == "  whole number from 0 up to 150 [7]: "
    assert list(field(TITLED).introduction()) == ["\nit", "  1. Rye (r)", "  2. Spelt (s)"]
    assert field({"type": "boolean", "default": True}).prompt() == "  yes or no [yes]: "
    assert field(SOME | {"default": ["rye", "oat"]}).prompt() == "  numbers or values, with commas [rye, oat]: "
    assert field({"type": "string", "format": "uri"}).prompt() == "  a URI: "


def test_the_fields_come_in_the_order_of_the_form() -> None:
    form = {"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "string"}}, "required": ["a"]}
    assert [(each.name, each.is_required) for each in fields_of(form)] == [("b", False), ("a", True)]
    assert fields_of({"type": "object", "properties": {}}) == []
