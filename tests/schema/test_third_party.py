"""Classes that pydantic and msgspec describe themselves."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable
from typing import (
    Any,
)

import msgspec
import pydantic
import pytest

from tests.server.invocation.declared import (
    Item,
    Mixed,
    Spot,
    Ticket,
)
from tests.server.invocation.shaping import load, refused, schema_of
from trimcp.errors import UsageError


class TestForeign:
    """Classes of pydantic and msgspec."""

    def test_a_pydantic_model_describes_itself(self) -> None:
        schema = schema_of(Item)
        assert schema["$ref"] == "#/$defs/Item"
        definition = schema["$defs"]["Item"]
        assert definition["description"] == "A thing."
        assert definition["properties"]["size"] == {"type": "integer", "exclusiveMinimum": 0}
        assert "itemCode" in definition["properties"]
        loaded = load(Item, {"size": 1, "made": "2026-01-31", "parts": [{"size": 2}], "itemCode": "c"})
        assert loaded == Item(size=1, made=datetime.date(2026, 1, 31), parts=[Item(size=2)], itemCode="c")

    def test_models_and_structs_stand_inside_other_classes(self) -> None:
        schema = schema_of(list[Mixed] | Item)
        assert set(schema["$defs"]) == {"Item"}
        assert set(schema["anyOf"][0]["items"]["properties"]) == {"item", "ticket"}
        loaded = load(list[Mixed] | Item, [{"item": {"size": 1}, "ticket": {"seatNo": 3}}])
        assert loaded == [Mixed(Item(size=1), Ticket(3))]
        assert load(list[Mixed] | Item, {"size": 1}) == Item(size=1)

    def test_definitions_of_the_same_name_are_kept_apart(self) -> None:
        def other() -> Any:
            class Item(pydantic.BaseModel):
                """Another thing."""

                child: Item | None = None
                name: str

            return Item

        schema = schema_of(tuple[Item, other()])  # type: ignore[misc]
        assert set(schema["$defs"]) == {"Item", "Item_2"}
        assert schema["$defs"]["Item_2"]["properties"]["child"]["anyOf"][0] == {"$ref": "#/$defs/Item_2"}
        assert schema["$defs"]["Item"]["properties"]["parts"]["items"] == {"$ref": "#/$defs/Item"}

    def test_strict_models_take_dates_from_their_json(self) -> None:
        class Strict(pydantic.BaseModel):
            model_config = pydantic.ConfigDict(strict=True)
            day: datetime.date

        assert load(Strict, {"day": "2026-01-31"}) == Strict(day=datetime.date(2026, 1, 31))
        assert "$.p.day" in refused(Strict, {"day": "x"})

    def test_a_pydantic_dataclass_and_a_pydantic_type_are_pydantics(self) -> None:
        @pydantic.dataclasses.dataclass
        class Data:
            n: int

        assert load(Data, {"n": 1}) == Data(1)
        assert schema_of(pydantic.AnyUrl) == {"type": "string", "format": "uri", "minLength": 1}
        assert str(load(pydantic.AnyUrl, "http://a.example")) == "http://a.example/"

    def test_a_struct_is_refused_with_its_place(self) -> None:
        assert "expected integer @ $.p.seatNo" in refused(Ticket, {"seatNo": "x"})

    def test_a_model_that_has_no_schema_is_an_error_of_usage(self) -> None:
        class Odd(pydantic.BaseModel):
            f: Callable[[], int]

        with pytest.raises(UsageError, match="pydantic cannot make a schema"):
            schema_of(Odd)

    def test_a_struct_that_has_no_schema_is_an_error_of_usage(self) -> None:
        class OddStruct(msgspec.Struct):
            f: complex

        with pytest.raises(UsageError, match="msgspec cannot make a schema"):
            schema_of(OddStruct)

    def test_what_a_struct_refuses_while_it_is_built_is_told(self) -> None:
        class Dated(msgspec.Struct):
            day: datetime.date
            inner: list[datetime.date] = []

        assert refused(Dated, {"day": "x"}) == "Invalid RFC3339 encoded date ($.day in it) @ $.p"

    def test_pydantic_is_not_imported_for_those_who_do_not_use_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delitem(sys.modules, "pydantic")
        assert load(Spot, {"x": 1}) == Spot(1)
        assert "pydantic" not in sys.modules
