"""Forms from classes and from schemas (client/elicitation, "Requested Schema")."""

from __future__ import annotations

import dataclasses
import enum
from typing import Annotated, Any, Literal, TypedDict

import attrs
import pydantic
import pytest

import trimcp
from trimcp.codec.revisions import codec_for
from trimcp.server.context.forms import form_of
from trimcp.types.elicitation import ElicitRequestFormParams
from trimcp.types.revisions import BY_VERSION

NEWEST = BY_VERSION["2026-07-28"]
OLDEST_WITH_FORMS = BY_VERSION["2025-06-18"]


class Colour(enum.Enum):
    """A choice with titles."""

    RED = "#f00"
    GREEN = "#0f0"

    @property
    def title(self) -> str:
        return self.name.capitalize()


class Size(enum.Enum):
    """A choice without."""

    SMALL = "s"
    LARGE = "l"


@attrs.define
class Order:
    """What is ordered.

    Attributes:
        name: of whoever orders.
    """

    name: str
    colour: Colour
    size: Size = Size.SMALL
    number: int = 1
    price: float | None = None
    gift: bool = False


@attrs.define
class Choices:
    """Several of several."""

    plain: list[Literal["a", "b"]]
    titled: list[Colour]


def test_a_class_becomes_a_flat_schema_and_an_answer_becomes_an_object() -> None:
    form = form_of(Order)
    schema = form.schema_in(NEWEST)
    assert schema["required"] == ["name", "colour"]
    properties = schema["properties"]
    assert properties["name"]["type"] == "string"
    assert properties["colour"]["oneOf"] == [{"const": "#f00", "title": "Red"}, {"const": "#0f0", "title": "Green"}]
    assert properties["size"]["enum"] == ["s", "l"]
    assert properties["size"]["default"] == "s"
    assert properties["number"] == {"type": "integer", "default": 1}
    assert properties["price"] == {"type": "number"}
    assert properties["gift"] == {"type": "boolean", "default": False}
    assert form.read({"name": "Ada", "colour": "#0f0"}) == Order("Ada", Colour.GREEN)


def test_several_options_may_be_chosen_where_the_revision_has_that() -> None:
    form = form_of(Choices)
    properties = form.schema_in(NEWEST)["properties"]
    assert properties["plain"] == {"type": "array", "items": {"type": "string", "enum": ["a", "b"]}}
    assert properties["titled"]["items"]["anyOf"][0] == {"const": "#f00", "title": "Red"}
    assert form.read({"plain": ["b"], "titled": ["#f00"]}) == Choices(["b"], [Colour.RED])
    with pytest.raises(trimcp.RequestFailed, match="2025-06-18"):
        form.schema_in(OLDEST_WITH_FORMS)


def test_titles_have_another_form_in_the_oldest_revision() -> None:
    colour = form_of(Order).schema_in(OLDEST_WITH_FORMS)["properties"]["colour"]
    assert colour["enum"] == ["#f00", "#0f0"]
    assert colour["enumNames"] == ["Red", "Green"]
    assert "oneOf" not in colour


@pytest.mark.parametrize("version", ["2025-06-18", "2025-11-25", "2026-07-28"])
def test_what_a_class_becomes_fits_the_schema_of_the_revision(version: str) -> None:
    revision = BY_VERSION[version]
    encode = codec_for(revision).unstructure
    encode(ElicitRequestFormParams("Order, please", form_of(Order).schema_in(revision)))


def test_every_kind_of_class_will_do() -> None:
    @dataclasses.dataclass
    class Data:
        name: str

    class Typed(TypedDict):
        name: str

    class Model(pydantic.BaseModel):
        name: Annotated[str, pydantic.Field(min_length=2)]

    for cls, made in ((Data, Data("Ada")), (Typed, {"name": "Ada"}), (Model, Model(name="Ada"))):
        form: Any = form_of(cls)
        assert form.schema_in(NEWEST)["properties"]["name"]["type"] == "string"
        assert form.read({"name": "Ada"}) == made
    assert form_of(Model).schema_in(NEWEST)["properties"]["name"]["minLength"] == 2


def test_a_schema_is_taken_as_it_is_and_answers_are_dicts() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"]}
    form: Any = form_of(schema)
    assert form.schema_in(NEWEST) == schema
    assert form.read({"n": 3}) == {"n": 3}
    for wrong in ({}, {"n": 0}, {"n": "3"}):
        with pytest.raises(trimcp.InvalidPayload):
            form.read(wrong)


@attrs.define
class Nested:
    """Not flat."""

    order: Order


@attrs.define
class Numbers:
    """A list of what is no choice."""

    numbers: list[int]


@attrs.define
class Levels:
    """Choices that are no strings."""

    level: Literal[1, 2]


@pytest.mark.parametrize("form", [Nested, Numbers, Levels, str, {"type": "array"}, {"type": "object"}])
def test_what_no_form_may_have_is_refused_with_words_that_help(form: Any) -> None:
    with pytest.raises(trimcp.UsageError):
        form_of(form)
