"""Parameters that are mirrored into header fields: which marks are valid, and calls against their fields."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimcp.errors import UsageError
from trimcp.framing.headers import SAFE_INTEGER
from trimcp.schema.header_params import HeaderParam, HeaderParams, header_params, invalid_annotations


def mark(name: Any, kind: Any = "string", **more: Any) -> dict[str, Any]:
    return {"type": kind, "x-mcp-header": name, **more}


def schema(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def compiled(**properties: Any) -> HeaderParams:
    params = header_params(schema(**properties))
    assert params is not None
    return params


def test_marks_are_found_on_parameters_and_on_properties_below_them() -> None:
    params = compiled(
        region=mark("Region"),
        plain={"type": "string"},
        filter=schema(tenant=mark("TENANT-Id", "integer"), inner=schema(dry=mark("Method", "boolean"))),
    )
    assert params.params == (
        HeaderParam("Mcp-Param-Region", b"mcp-param-region", ("region",), "string"),
        HeaderParam("Mcp-Param-TENANT-Id", b"mcp-param-tenant-id", ("filter", "tenant"), "integer"),
        HeaderParam("Mcp-Param-Method", b"mcp-param-method", ("filter", "inner", "dry"), "boolean"),
    )


@pytest.mark.parametrize(
    "unmarked",
    [
        {"type": "object"},
        schema(a={"type": "string"}),
        {"type": "object", "properties": None},
        True,
        None,
        [],
        # A property of that name, and what is data, are no marks.
        schema(**{"x-mcp-header": {"type": "string"}}),
        schema(a={"type": "object", "default": mark("X"), "examples": [mark("X")], "const": mark("X")}),
        schema(a={"enum": [{"x-mcp-header": "X"}], "x-own": mark("X")}),
    ],
)
def test_a_schema_without_marks_has_no_parameters_to_mirror(unmarked: Any) -> None:
    assert header_params(unmarked) is None
    assert invalid_annotations(unmarked) == []


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "My Region",
        "Region:Primary",
        "Région",
        "Region\t1",
        "a\r\nb",
        "a\n",
        "a/b",
        "(a)",
        'a"',
        "\x7f",
        7,
        None,
        ["a"],
        {},
    ],
)
def test_a_name_that_no_header_can_have_is_invalid(name: Any) -> None:
    (problem,) = invalid_annotations(schema(a=mark(name), b=mark("Fine")))
    assert problem.startswith("x-mcp-header in a must be a ")


@pytest.mark.parametrize("kind", ["number", "object", "array", "null", ["string"], ["string", "null"], None, 7])
def test_a_type_that_no_header_carries_is_invalid(kind: Any) -> None:
    (problem,) = invalid_annotations(schema(a=mark("A", kind)))
    assert problem == 'x-mcp-header in a needs a "type" beside it that is one of integer, string, boolean'


def test_a_mark_without_a_type_is_invalid() -> None:
    assert invalid_annotations(schema(a={"x-mcp-header": "A"}))
    assert invalid_annotations(schema(a={"$ref": "#/$defs/a", "x-mcp-header": "A"}))
    assert not invalid_annotations(schema(a={"$ref": "#/$defs/a", "type": "string", "x-mcp-header": "A"}))


def test_the_same_name_twice_is_invalid_whatever_the_case() -> None:
    assert invalid_annotations(schema(a=mark("Region"), b=schema(c=mark("REGION")), d=mark("region"))) == [
        "x-mcp-header in b.c is the same as in a (case does not count): use another name",
        "x-mcp-header in d is the same as in a (case does not count): use another name",
    ]


MARKED = mark("X")


@pytest.mark.parametrize(
    ("invalid", "where"),
    [
        ({"type": "string", "x-mcp-header": "X"}, " "),
        (schema(a={"type": "array", "items": MARKED}), " in a.items "),
        (schema(a={"type": "array", "items": [MARKED]}), " in a.items "),
        (schema(a={"type": "array", "prefixItems": [MARKED]}), " in a.prefixItems "),
        (schema(a={"type": "array", "contains": MARKED}), " in a.contains "),
        (schema(a={"anyOf": [MARKED, {"type": "null"}]}), " in a.anyOf "),
        (schema(a={"allOf": [schema(b=MARKED)]}), " in a.allOf.b "),
        ({"oneOf": [schema(a=MARKED)]}, " in oneOf.a "),
        ({"not": schema(a=MARKED)}, " in not.a "),
        ({"if": schema(a=MARKED)}, " in if.a "),
        ({"then": schema(a=MARKED)}, " in then.a "),
        ({"else": schema(a=MARKED)}, " in else.a "),
        ({"$defs": {"a": MARKED}}, " in $defs.a "),
        ({"definitions": {"a": schema(b=MARKED)}}, " in definitions.a.b "),
        ({"patternProperties": {"^a": MARKED}}, " in patternProperties.^a "),
        ({"dependentSchemas": {"a": schema(b=MARKED)}}, " in dependentSchemas.a.b "),
        ({"additionalProperties": MARKED}, " in additionalProperties "),
        ({"propertyNames": MARKED}, " in propertyNames "),
        (schema(a=[MARKED]), " in a "),
    ],
)
def test_a_mark_anywhere_else_is_invalid(invalid: Any, where: str) -> None:
    (problem,) = invalid_annotations(invalid)
    assert problem.startswith(f"x-mcp-header{where}must be on a parameter")
    with pytest.raises(UsageError, match="must be on a parameter"):
        header_params(invalid)


def test_a_schema_that_is_deep_and_long_named_is_read_and_its_problem_is_short() -> None:
    inner: Any = MARKED
    for _ in range(20_000):
        inner = {"items": inner}
    (problem,) = invalid_annotations(schema(a=inner))
    assert len(problem) < 300


BOTH = compiled(region=mark("Region"), inner=schema(count=mark("Count", "integer"), dry=mark("Dry", "boolean")))


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ({"region": "us-west1"}, {"Mcp-Param-Region": "us-west1"}),
        ({"region": ""}, {"Mcp-Param-Region": ""}),
        ({"region": "世界"}, {"Mcp-Param-Region": "=?base64?5LiW55WM?="}),
        ({"region": None, "inner": {"count": None}}, {}),
        ({"inner": None}, {}),
        ({"inner": "text"}, {}),
        ({}, {}),
        (None, {}),
        ({"inner": {"count": 42, "dry": False}}, {"Mcp-Param-Count": "42", "Mcp-Param-Dry": "false"}),
        ({"inner": {"count": 42.0}}, {"Mcp-Param-Count": "42"}),
        # What does not fit the schema: the server refuses it as such.
        ({"region": ["a"], "inner": {"count": 1.5, "dry": {}}}, {}),
        ({"region": 7, "inner": {"count": "7"}}, {"Mcp-Param-Region": "7", "Mcp-Param-Count": "7"}),
    ],
)
def test_a_call_carries_what_its_arguments_say(arguments: Any, fields: dict[str, str]) -> None:
    assert BOTH.extract(arguments) == fields
    assert BOTH.check(arguments, {name.lower().encode(): value.encode() for name, value in fields.items()}) is None


def test_an_integer_that_no_header_carries_is_told_before_it_leaves() -> None:
    with pytest.raises(UsageError, match=r"the argument `inner\.count` cannot be sent as a header: .* integers from"):
        BOTH.extract({"inner": {"count": SAFE_INTEGER + 1}})


@pytest.mark.parametrize(
    ("value", "sent", "problem"),
    [
        ("Hello", b"Hello", None),
        ("Hello", b"=?base64?SGVsbG8=?=", None),
        ("Hello", b"=?base64?SGVsbG8?=", "is not UTF-8 in base64 between its marks"),
        ("Hello", b"=?base64?SGVs!!!bG8=?=", "is not UTF-8 in base64 between its marks"),
        ("SGVsbG8=", b"SGVsbG8=", None),
        ("=?base64?SGVsbG8=", b"=?base64?SGVsbG8=", None),
        ("test-value", None, "is missing"),
        ("Hello", b"hello", "differs from the arguments"),
        ("Hello", b"", "differs from the arguments"),
        ("Hello", b"Hell\x00", "has characters that a header field cannot have"),
        ("42", b"42.0", "differs from the arguments"),
        (None, b"x", "is present, but its argument is missing"),
        (["x"], b"x", "is present, but its argument is missing"),
    ],
)
def test_the_field_of_a_text_must_say_what_the_arguments_say(
    value: Any, sent: bytes | None, problem: str | None
) -> None:
    fields = {} if sent is None else {b"mcp-param-region": sent}
    found = BOTH.check({"region": value}, fields)
    assert found == (None if problem is None else f"Header mismatch: Mcp-Param-Region {problem}")


@pytest.mark.parametrize(
    ("value", "sent", "agrees"),
    [
        (42, b"42", True),
        (42, b"42.0", True),
        (42.0, b"42", True),
        (42, b"=?base64?NDI=?=", True),
        (42, b"43", False),
        (42, b"42.5", False),
        (100, b"1e2", False),
        (1, b"true", False),
        (True, b"1", False),
        (True, b"true", True),
        (SAFE_INTEGER, str(SAFE_INTEGER).encode(), True),
        (SAFE_INTEGER + 1, str(SAFE_INTEGER + 1).encode(), False),
        (1e300, b"1e300", False),
        ("42", b"42", True),
    ],
)
def test_integers_are_compared_as_numbers(value: Any, sent: bytes, agrees: bool) -> None:
    problem = BOTH.check({"inner": {"count": value}}, {b"mcp-param-count": sent})
    assert (problem is None) is agrees
    assert problem is None or sent.decode() not in problem


@pytest.mark.parametrize("sent", [b"True", b"1", b"TRUE", b"yes"])
def test_truth_is_written_in_one_way(sent: bytes) -> None:
    assert BOTH.check({"inner": {"dry": True}}, {b"mcp-param-dry": sent}) is not None


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=["Cs"]))


@given(region=values, count=values, dry=values)
def test_what_one_side_sends_the_other_side_takes(region: Any, count: Any, dry: Any) -> None:
    arguments = {"region": region, "inner": {"count": count, "dry": dry}}
    try:
        fields = BOTH.extract(arguments)
    except UsageError:
        return
    assert (
        BOTH.check(arguments, {name.lower().encode(): value.encode("ascii") for name, value in fields.items()}) is None
    )
