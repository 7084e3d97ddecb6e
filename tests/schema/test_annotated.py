"""Bounds and descriptions in `Annotated`: in the schema where it can say them, else checked."""

from __future__ import annotations

import datetime
import decimal
from typing import (
    Annotated,
    Any,
)

import annotated_types as at
import msgspec
import pydantic
import pytest
import typing_extensions

from tests.server.invocation.shaping import INTEGER, load, refused, schema_of
from trimcp.schema.annotated import JsonSchema


class TestConstraints:
    """Bounds and descriptions in `Annotated`."""

    @pytest.mark.parametrize(
        ("hint", "schema"),
        [
            (Annotated[int, at.Ge(1), at.Le(9)], {"type": "integer", "minimum": 1, "maximum": 9}),
            (
                Annotated[float, at.Interval(gt=0, lt=1.5)],
                {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1.5},
            ),
            (Annotated[int, at.MultipleOf(5)], {"type": "integer", "multipleOf": 5}),
            (Annotated[str, at.Len(1, 3)], {"type": "string", "minLength": 1, "maxLength": 3}),
            (Annotated[list[int], at.MinLen(1)], {"type": "array", "items": INTEGER, "minItems": 1}),
            (Annotated[dict[str, Any], at.MaxLen(2)], {"type": "object", "maxProperties": 2}),
            (Annotated[int | None, at.Ge(1)], {"anyOf": [{"type": "integer"}, {"type": "null"}], "minimum": 1}),
            (
                Annotated[str, msgspec.Meta(pattern="^a", max_length=3)],
                {"type": "string", "pattern": "^a", "maxLength": 3},
            ),
            (
                Annotated[
                    int, msgspec.Meta(ge=1, title="T", description="d", examples=[1], extra_json_schema={"x-a": 1})
                ],
                {"type": "integer", "minimum": 1, "title": "T", "description": "d", "examples": [1], "x-a": 1},
            ),
            (Annotated[int, "how  many\n of them"], {"type": "integer", "description": "how many of them"}),
            (Annotated[int, typing_extensions.Doc("how many")], {"type": "integer", "description": "how many"}),
            (
                Annotated[
                    str, pydantic.Field(pattern="^a", min_length=1, description="d", json_schema_extra={"x-a": 1})
                ],
                {"type": "string", "minLength": 1, "pattern": "^a", "description": "d", "x-a": 1},
            ),
            (Annotated[float, at.Ge(float("-inf"))], {"type": "number"}),
            (Annotated[int, {"unknown": 1}, 3, at.Unit("m")], INTEGER),
            (Annotated[int, JsonSchema({"enum": [1]})], {"enum": [1]}),
            (list[Annotated[int, at.Ge(1)]], {"type": "array", "items": {"type": "integer", "minimum": 1}}),
        ],
    )
    def test_they_are_keywords_of_the_schema(self, hint: Any, schema: dict[str, Any]) -> None:
        assert schema_of(hint) == schema

    @pytest.mark.parametrize(
        ("hint", "good", "bad", "words"),
        [
            (Annotated[decimal.Decimal, at.Gt(0)], "0.1", "-1", "must be > 0 @ $.p"),
            (Annotated[decimal.Decimal | None, at.Gt(0)], None, -1, "must be > 0 @ $.p"),
            (Annotated[datetime.date, at.Ge(datetime.date(2026, 1, 1))], "2026-01-31", "2025-01-31", "must be >= 2026"),
            (
                Annotated[datetime.datetime, at.Ge(datetime.datetime(2026, 1, 1))],
                "2026-02-01",
                "2026-02-01T00:00Z",
                ">=",
            ),
            (Annotated[bytes, at.Len(1, 2)], "YQ==", "YWFh", "must have a length of at most 2"),
            (Annotated[bytes, at.MinLen(1)], "YQ==", "", "must have a length of at least 1"),
            (Annotated[int, at.Predicate(lambda n: n % 2 == 0)], 2, 3, "must satisfy"),
            (Annotated[str, at.Predicate(str.islower)], "a", "A", "must satisfy islower @ $.p"),
            (list[Annotated[str, at.Predicate(str.islower)]], ["a"], ["a", "A"], "must satisfy islower @ $.p[1]"),
        ],
    )
    def test_where_the_schema_cannot_say_it_the_value_is_checked(
        self, hint: Any, good: Any, bad: Any, words: str
    ) -> None:
        load(hint, good)
        assert words in refused(hint, bad)

    def test_what_only_pydantic_can_honour_is_left_to_pydantic(self) -> None:
        hint = Annotated[str, pydantic.StringConstraints(to_upper=True, min_length=2)]
        assert schema_of(hint) == {"type": "string", "minLength": 2}
        assert load(hint, "ab") == "AB"
        doubled = Annotated[int, pydantic.AfterValidator(lambda n: n * 2)]
        assert load(list[doubled], [1, 2]) == [2, 4]
