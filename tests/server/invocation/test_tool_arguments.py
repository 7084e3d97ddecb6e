"""Arguments bound to functions: what is accepted, what is built of it, what is said otherwise."""

from __future__ import annotations

import copy
import dataclasses
import datetime
import inspect
import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import annotated_types as at
import attrs
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimcp.errors import InvalidPayload, InvalidResult, UsageError
from trimcp.schema.annotated import JsonSchema
from trimcp.schema.builder import value_loader
from trimcp.server.invocation.signature import inspect_function
from trimcp.server.invocation.tool_arguments import ArgumentBinder, InvalidArguments


def binder(fn: Any, **options: Any) -> ArgumentBinder:
    return ArgumentBinder(inspect_function(fn, injected=lambda _: False), **options)


def refused(fn: Any, arguments: Any) -> list[str]:
    with pytest.raises(InvalidArguments) as caught:
        binder(fn).bind(arguments)
    return caught.value.problems


def forecast(city: str, days: int = 3, *, units: Literal["C", "F"] = "C") -> None: ...


def test_arguments_become_keyword_arguments_and_defaults_stay_with_the_function() -> None:
    assert binder(forecast).bind({"city": "Bern"}) == {"city": "Bern"}
    assert binder(forecast).bind({"city": "Bern", "days": 2, "units": "F"}) == {"city": "Bern", "days": 2, "units": "F"}


def test_the_arguments_themselves_are_not_changed() -> None:
    arguments = {"city": "Bern", "days": 2.0}
    bound = binder(forecast).bind(arguments)
    assert bound == {"city": "Bern", "days": 2}
    assert bound is not arguments
    assert type(arguments["days"]) is float


@pytest.mark.parametrize(
    ("arguments", "problems"),
    [
        ({}, ["required property missing @ $.city"]),
        (None, ["required property missing @ $.city"]),
        ({"city": 1}, ["expected string @ $.city"]),
        ({"city": None}, ["expected string @ $.city"]),
        ({"city": "x", "days": "3"}, ["expected integer @ $.days"]),
        ({"city": "x", "days": 1.5}, ["expected integer @ $.days"]),
        ({"city": "x", "days": True}, ["expected integer @ $.days"]),
        ({"city": "x", "units": "K"}, ['expected one of "C", "F" @ $.units']),
        ({"city": "x", "town": "y"}, ["unexpected property @ $.town"]),
        ([], ["expected object @ $"]),
        ("city", ["expected object @ $"]),
    ],
)
def test_what_does_not_fit_is_refused_in_words_for_a_model(arguments: Any, problems: list[str]) -> None:
    assert refused(forecast, arguments) == problems


def test_the_refusal_is_an_invalid_payload_whose_text_lists_the_problems() -> None:
    error = InvalidArguments(["expected integer @ $.a", "expected string @ $.b"])
    assert isinstance(error, InvalidPayload)
    assert str(error) == "expected integer @ $.a; expected string @ $.b"


def test_a_function_without_parameters_takes_nothing_and_no_arguments() -> None:
    def ping() -> None: ...

    assert binder(ping).schema == {"type": "object", "properties": {}, "additionalProperties": False}
    assert binder(ping).bind(None) == {}
    assert binder(ping).bind({}) == {}
    assert refused(ping, {"a": 1}) == ["unexpected property @ $.a"]


def test_an_integer_written_with_a_fraction_arrives_as_an_int_at_every_depth() -> None:
    def tool(a: int, b: list[int], c: dict[str, int], d: int | str, e: tuple[int, ...], f: Literal[1, 2]) -> None: ...

    bound = binder(tool).bind({"a": 1.0, "b": [1.0, 2], "c": {"x": 3.0}, "d": 4.0, "e": [5.0], "f": 2.0})
    assert bound == {"a": 1, "b": [1, 2], "c": {"x": 3}, "d": 4, "e": (5,), "f": 2}
    for value in (bound["a"], *bound["b"], bound["c"]["x"], bound["d"], *bound["e"], bound["f"]):
        assert type(value) is int


def test_a_float_parameter_gets_a_float() -> None:
    def tool(a: float, b: float | None = None) -> None: ...

    bound = binder(tool).bind({"a": 1, "b": 2})
    assert (type(bound["a"]), type(bound["b"])) == (float, float)


def test_plain_json_is_handed_on_as_it_is() -> None:
    def tool(
        a: dict[str, Any], b: list[Any], c: Any, d: object, e: dict[str, str], f: list[str], g: Any = None
    ) -> None: ...

    arguments = {"a": {"x": [1.0]}, "b": [1.0], "c": 1.0, "d": [], "e": {"a": "b"}, "f": ["x"]}
    bound = binder(tool).bind(arguments)
    for name, value in arguments.items():
        assert bound[name] is value


def test_a_mutable_default_is_not_shared_between_calls() -> None:
    def tool(names: list[str] = [], options: dict[str, Any] = {"a": []}) -> None: ...  # noqa: B006

    bind = binder(tool).bind
    first, second = bind({}), bind({})
    assert first == {"names": [], "options": {"a": []}} == second
    assert first["names"] is not second["names"]
    assert first["options"]["a"] is not second["options"]["a"]
    assert first["names"] is not tool.__defaults__[0]  # type: ignore[index]


def test_a_pydantic_field_gives_its_default_to_the_function() -> None:
    def tool(
        a: int = pydantic.Field(3, ge=1),
        b: list[int] = pydantic.Field(default_factory=list),
    ) -> None: ...

    bind = binder(tool)
    assert bind.bind({}) == {"a": 3, "b": []}
    assert bind.bind({})["b"] is not bind.bind({})["b"]
    assert bind.schema["properties"]["a"] == {"type": "integer", "minimum": 1, "default": 3}
    assert "required" not in bind.schema
    assert refused(tool, {"a": 0}) == ["value is less than the minimum of 1 @ $.a"]


def test_none_as_default_makes_a_parameter_nullable() -> None:
    def tool(a: int = ..., b: Annotated[int, "x", at.Ge(1)] = ...) -> None: ...

    tool.__defaults__ = (None, None)
    bind = binder(tool)
    assert bind.bind({"a": None, "b": None}) == {"a": None, "b": None}
    assert bind.schema["properties"]["b"] == {
        "anyOf": [{"type": "integer"}, {"type": "null"}],
        "description": "x",
        "minimum": 1,
        "default": None,
    }


def test_a_mapping_that_is_no_dict_is_taken_as_well() -> None:
    frozen: Mapping[str, Any] = types.MappingProxyType({"city": "Bern"})
    assert binder(forecast).bind(frozen) == {"city": "Bern"}


@pytest.mark.parametrize("arguments", [{"city": object()}, {1: 2}, {"city": b"x"}])
def test_what_is_not_json_at_all_is_refused_and_no_crash(arguments: Any) -> None:
    assert refused(forecast, arguments) == ["expected JSON values, and names that are strings @ $"]


@dataclasses.dataclass
class Point:
    x: int
    y: Annotated[int, at.Ge(0)] = 0

    def __post_init__(self) -> None:
        if self.x == 13:
            raise ValueError("13 is unlucky")


@attrs.define
class Trip:
    start: datetime.datetime
    stops: list[Point]
    names: dict[str, Point] = attrs.Factory(dict)
    even: int = attrs.field(default=2)

    @even.validator
    def _check(self, attribute: Any, value: int) -> None:
        if value % 2:
            raise ValueError("must be even")


class Order(pydantic.BaseModel):
    lines: list[int]
    note: str = ""

    @pydantic.field_validator("note")
    @classmethod
    def _check(cls, value: str) -> str:
        if value == "rude":
            raise ValueError("be polite")
        return value


def travel(trip: Trip, at_: Point | None = None, order: Order | None = None) -> None: ...


GOOD_TRIP = {"start": "2026-01-31T12:00:00Z", "stops": [{"x": 1}, {"x": 2.0, "y": 3}]}


def test_classes_are_built_with_all_that_is_in_them() -> None:
    bound = binder(travel).bind({"trip": GOOD_TRIP, "at_": {"x": 5}, "order": {"lines": [1]}})
    start = datetime.datetime(2026, 1, 31, 12, tzinfo=datetime.UTC)
    assert bound["trip"] == Trip(start, [Point(1), Point(2, 3)])
    assert bound["at_"] == Point(5)
    assert bound["order"] == Order(lines=[1])


@pytest.mark.parametrize(
    ("arguments", "problems"),
    [
        ({"trip": {**GOOD_TRIP, "start": "noon"}}, ["expected a date and time in ISO 8601"]),
        ({"trip": {**GOOD_TRIP, "stops": [{"x": 1}, {"x": 13}]}}, ["refused: 13 is unlucky @ $.trip.stops[1]"]),
        ({"trip": {**GOOD_TRIP, "names": {"a b": {"x": 13}}}}, ['refused: 13 is unlucky @ $.trip.names["a b"]']),
        ({"trip": {**GOOD_TRIP, "even": 3}}, ["refused: must be even @ $.trip"]),
        (
            {"trip": {**GOOD_TRIP, "stops": [{"x": 1, "y": -1}]}},
            ["value is less than the minimum of 0 @ $.trip.stops[0].y"],
        ),
        (
            {"trip": {**GOOD_TRIP, "stops": [{"z": 1}]}},
            ["unexpected property @ $.trip.stops[0].z", "required property"],
        ),
        ({"trip": GOOD_TRIP, "at_": {"x": 13}}, ["refused: 13 is unlucky @ $.at_"]),
        ({"trip": GOOD_TRIP, "order": {"lines": [], "note": "rude"}}, ["Value error, be polite @ $.order.note"]),
        ({"trip": GOOD_TRIP, "order": {"lines": ["x"]}}, ["expected integer @ $.order.lines[0]"]),
    ],
)
def test_values_that_cannot_be_built_are_told_with_their_place(arguments: Any, problems: list[str]) -> None:
    told = refused(travel, arguments)
    assert len(told) == len(problems)
    for expected in problems:
        assert any(problem.startswith(expected) for problem in told), told


def test_all_parameters_that_fail_are_told_at_once() -> None:
    def tool(a: datetime.date, b: datetime.time) -> None: ...

    assert refused(tool, {"a": "x", "b": "y"}) == [
        "expected a date such as 2026-01-31 @ $.a",
        "expected a time such as 12:30:00 @ $.b",
    ]


def test_an_error_that_is_the_tools_own_fault_is_not_blamed_on_the_arguments() -> None:
    @dataclasses.dataclass
    class Broken:
        x: int

        def __post_init__(self) -> None:
            raise RuntimeError("bug")

    def tool(a: Broken) -> None: ...

    with pytest.raises(RuntimeError, match="bug"):
        binder(tool).bind({"a": {"x": 1}})


HAND_WRITTEN = {"type": "object", "properties": {"city": {"type": "string", "format": "email"}, "days": {"minimum": 2}}}


def test_a_hand_written_schema_is_published_and_checked_with_its_formats() -> None:
    bind = binder(forecast, schema=HAND_WRITTEN)
    assert bind.schema is HAND_WRITTEN
    assert bind.bind({"city": "a@example.com", "days": 2.0}) == {"city": "a@example.com", "days": 2}
    cases: list[tuple[dict[str, Any], str]] = [
        ({"city": "Bern"}, 'value is not a "email" @ $.city'),
        ({"city": "a@example.com", "days": 1}, "value is less than the minimum of 2 @ $.days"),
        ({}, "required property missing @ $.city"),
    ]
    for arguments, problem in cases:
        with pytest.raises(InvalidArguments) as caught:
            bind.bind(arguments)
        assert caught.value.problems == [problem]


def test_a_hand_written_schema_decides_alone_which_arguments_pass() -> None:
    def tool(a: int, b: str = "b", on: datetime.date | None = None, parts: Sequence[Point] = ()) -> None: ...

    schema: dict[str, Any] = {"type": "object", "properties": {"a": {}}, "required": ["a"]}
    bind = binder(tool, schema={**schema, "additionalProperties": True})
    assert bind.bind({"a": None, "b": 3, "toolCallId": "x"}) == {"a": None, "b": 3}
    assert bind.bind({"a": 1.0, "on": "2026-01-31"}) == {"a": 1, "on": datetime.date(2026, 1, 31)}
    for arguments, problem in (
        ({"a": 1, "on": "soon"}, "expected a date such as 2026-01-31 @ $.on"),
        ({"a": 1, "on": 3}, "expected string or null @ $.on"),
        ({"a": 1, "parts": [{"x": "a"}]}, "expected integer @ $.parts[0].x"),
    ):
        with pytest.raises(InvalidArguments) as caught:
            bind.bind(arguments)
        assert caught.value.problems == [problem]
    closed = binder(tool, schema={**schema, "additionalProperties": False})
    with pytest.raises(InvalidArguments, match=r"unexpected property @ \$\.b"):
        closed.bind({"a": 1, "b": "x"})


@pytest.mark.parametrize("schema", [{}, {"type": "array"}, {"type": "object", "properties": 3}])
def test_a_hand_written_schema_must_be_a_valid_one_of_an_object(schema: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        binder(forecast, schema=schema)


def test_one_parameter_may_have_a_hand_written_schema() -> None:
    def tool(a: Annotated[complex, JsonSchema({"type": "array", "maxItems": 2}), "two numbers"]) -> None: ...

    bind = binder(tool)
    assert bind.schema["properties"]["a"] == {"type": "array", "maxItems": 2, "description": "two numbers"}
    assert bind.bind({"a": [1, 2.0]}) == {"a": [1, 2.0]}
    assert refused(tool, {"a": [1, 2, 3]}) == ["value has more than 2 items @ $.a"]


# Any arguments: accepted by the published schema, and then bound; or refused.

TYPES: list[Any] = [int, float, str, bool, None, int | None, list[int], dict[str, float], Literal["a", 1], Any]
TYPES += [tuple[int, str], set[str], list[str | int], dict[str, Any], Annotated[int, at.Ge(0)], Point, list[Point]]
SCALARS = st.none() | st.booleans() | st.integers(-5, 20) | st.sampled_from([1.0, 1.5, "a", "", "x"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "x", "y"]), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_arguments_bind_exactly_if_the_published_schema_accepts_them(data: st.DataObject) -> None:
    hints = data.draw(st.lists(st.sampled_from(TYPES), min_size=1, max_size=3))
    required = data.draw(st.integers(0, len(hints)))
    parameters = [
        inspect.Parameter(
            f"p{index}",
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if index < required else "unset",
            annotation=hint,
        )
        for index, hint in enumerate(hints)
    ]

    def tool(**kwargs: Any) -> dict[str, Any]:
        return kwargs

    tool.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    tool.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    bind = binder(tool)
    arguments = data.draw(st.dictionaries(st.sampled_from(["p0", "p1", "p2", "q"]), VALUES, max_size=3))
    before = copy.deepcopy(arguments)
    accepted = bind._validator.is_valid(arguments)
    refusal: InvalidArguments | None = None
    try:
        bound = bind.bind(arguments)
    except InvalidArguments as error:
        refusal = error
    if refusal is None:
        assert accepted
        assert bound.keys() == arguments.keys()
        inspect.signature(tool).bind(**bound)
    else:
        assert refusal.problems
        assert not accepted or all("unlucky" in problem for problem in refusal.problems)
    assert arguments == before


class TestValueBuilder:
    """One value of somebody else's JSON, as a type."""

    def test_a_value_is_checked_and_built(self) -> None:
        build = value_loader(Point)
        assert build({"x": 1.0}) == Point(1)
        with pytest.raises(InvalidResult, match=r"expected integer @ \$\.x"):
            build({"x": "1"})
        with pytest.raises(InvalidResult, match=r"13 is unlucky"):
            build({"x": 13})

    def test_unknown_properties_are_passed_over_at_every_depth(self) -> None:
        assert value_loader(Point)({"x": 1, "z": 2}) == Point(1)
        assert value_loader(list[Point])([{"x": 1, "z": 2}]) == [Point(1)]

    def test_types_of_plain_json_are_only_checked(self) -> None:
        value = {"a": [1]}
        assert value_loader(dict[str, Any])(value) is value
        assert value_loader(str)("x") == "x"

    def test_a_builder_is_kept(self) -> None:
        assert value_loader(list[Point]) is value_loader(list[Point])

    def test_metadata_that_cannot_be_hashed_is_no_obstacle(self) -> None:
        assert value_loader(Annotated[int, {"not": "hashable"}])(3) == 3

    def test_a_type_without_a_json_form_is_an_error_of_usage(self) -> None:
        with pytest.raises(UsageError, match="the answer: the type complex has no JSON form"):
            value_loader(complex, "the answer")
