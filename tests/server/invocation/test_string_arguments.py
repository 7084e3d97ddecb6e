"""Arguments that come as text: what a function gets for them."""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Optional

import annotated_types as at
import attrs
import pytest

from trimcp.errors import UsageError
from trimcp.server.invocation.signature import inspect_function
from trimcp.server.invocation.string_arguments import InvalidStringArguments, StringArgumentBinder


class Color(enum.Enum):
    RED = "red"
    THREE = 3


@attrs.define
class Point:
    x: int
    y: int = 0


def binder_of(hint: Any, *, as_list: bool = False, **default: Any) -> StringArgumentBinder:
    """The binder of a function with one parameter `a`."""

    def function(a: Any) -> None: ...

    function.__defaults__ = tuple(default.values()) or None
    function.__annotations__["a"] = hint
    signature = inspect_function(function, injected=lambda annotation: False)
    return StringArgumentBinder(signature.parameters, "function()", lists=frozenset({"a"} if as_list else ()))


BIG = 123456789012345678901234567890


@pytest.mark.parametrize(
    ("hint", "text", "value"),
    [
        (str, "3", "3"),
        (Any, "3", "3"),
        (str | None, "null", "null"),
        (int, "3", 3),
        (int, "-3", -3),
        (int, str(BIG), BIG),
        (int, "3.0", 3),
        (float, "3", 3.0),
        (float, "1e3", 1000.0),
        (bool, "true", True),
        (bool, "False", False),
        (int | None, "null", None),
        (int | str, "3", "3"),
        (int | bool, "true", True),
        (datetime.date, "2026-01-31", datetime.date(2026, 1, 31)),
        (uuid.UUID, "12345678123456781234567812345678", uuid.UUID("12345678123456781234567812345678")),
        (decimal.Decimal, "1.50", decimal.Decimal("1.50")),
        (Color, "red", Color.RED),
        (Color, "3", Color.THREE),
        (Literal["a", 1], "a", "a"),
        (Literal["a", 1], "1", 1),
        (Literal["1"], "1", "1"),
        (list[int], "[1, 2]", [1, 2]),
        (dict[str, int], '{"a": 1}', {"a": 1}),
        (Point, '{"x": 1}', Point(1)),
        (Annotated[int, at.Ge(3)], "3", 3),
        (Annotated[str, at.MinLen(2)], "ab", "ab"),
    ],
)
def test_a_text_becomes_what_the_parameter_is_annotated_with(hint: Any, text: str, value: Any) -> None:
    bound = binder_of(hint).bind({"a": text})["a"]
    assert bound == value
    assert type(bound) is type(value)


@pytest.mark.parametrize(
    ("hint", "text", "problem"),
    [
        (int, "three", "expected integer, as JSON text @ $.a"),
        (int, "", "expected integer, as JSON text @ $.a"),
        (int, "1.5", "expected integer @ $.a"),
        (int, "9" * 5000, "expected integer, as JSON text @ $.a"),
        (int | None, "x", "expected integer, as JSON text @ $.a"),
        (float, "NaN", "expected integer or number, as JSON text @ $.a"),
        (bool, "1", "expected boolean @ $.a"),
        (datetime.date, "tomorrow", "expected a date such as 2026-01-31 @ $.a"),
        (Color, "green", 'expected one of "red", 3 @ $.a'),
        (list[int], '[1, "2"]', "expected integer @ $.a[1]"),
        (list[int], "[" * 1000, "expected array, as JSON text @ $.a"),
        (Point, '{"x": "1"}', "expected integer @ $.a.x"),
        (Annotated[str, at.MinLen(2)], "a", "value is shorter than 2 characters @ $.a"),
    ],
)
def test_a_text_that_does_not_fit_is_refused_without_its_value(hint: Any, text: str, problem: str) -> None:
    with pytest.raises(InvalidStringArguments) as caught:
        binder_of(hint).bind({"a": text})
    assert caught.value.problems == [problem]


def test_all_that_is_wrong_is_said_at_once() -> None:
    def function(a: str, b: int, c: int = 3) -> None: ...

    binder = StringArgumentBinder(
        inspect_function(function, injected=lambda annotation: False).parameters, "function()"
    )
    with pytest.raises(InvalidStringArguments) as caught:
        binder.bind({"b": "x", "d": "1"})
    assert caught.value.problems == [
        "required property missing @ $.a",
        "expected integer, as JSON text @ $.b",
        "no such argument @ $.d",
    ]
    assert binder.bind({"a": "x", "b": "1"}) == {"a": "x", "b": 1}


@pytest.mark.parametrize(
    ("hint", "texts", "value"),
    [
        (list, ["1"], ["1"]),
        (list[str], ["a", "b"], ["a", "b"]),
        (list[int], ["1", "2"], [1, 2]),
        (Sequence[int], ["1"], [1]),
        (tuple[int, ...], ["1", "2"], (1, 2)),
        (set[Color], ["red", "red"], {Color.RED}),
        (Optional[list[int]], ["1"], [1]),  # noqa: UP045
        (Annotated[list[int], "numbers"], ["1"], [1]),
    ],
)
def test_a_list_of_texts_becomes_a_collection(hint: Any, texts: list[str], value: Any) -> None:
    assert binder_of(hint, as_list=True).bind({"a": texts}) == {"a": value}


@pytest.mark.parametrize(
    ("hint", "choices"),
    [
        (str, ()),
        (int, ()),
        (bool, ("true", "false")),
        (bool | None, ("true", "false")),
        (Color, ("red", "3")),
        (Color | None, ("red", "3")),
        (Literal["a", 1, True] | None, ("a", "1", "true")),
        (Literal["only"], ("only",)),
        (Literal["a"] | Color, ("a", "red", "3")),
        (Literal["a"] | uuid.UUID, ()),
        (Annotated[Literal["a", "b"], "which"], ("a", "b")),
        (list[Literal["a", "b"]], ()),
        (None, ()),
    ],
)
def test_a_type_that_lists_its_values_has_choices(hint: Any, choices: tuple[str, ...]) -> None:
    assert binder_of(hint).parameters["a"].choices == choices


def test_a_default_is_never_shared_between_calls() -> None:
    binder = binder_of(list[int], default=[1])
    first = binder.bind({})["a"]
    first.append(2)
    assert binder.bind(None) == {"a": [1]}


def test_a_type_without_a_form_as_text_is_refused_when_it_is_declared() -> None:
    with pytest.raises(UsageError, match=r"function\(\), parameter `a`"):
        binder_of(type(pytest))
