"""`Header` in the hints of a tool: the schema it publishes, and declarations that are refused."""

from __future__ import annotations

import enum
from typing import Annotated, Any, Literal, Union

import annotated_types as at
import attrs
import pydantic
import pytest

import trimcp
from tests.server.invocation.shaping import load, refused, schema_of
from trimcp.schema.annotated import JsonSchema

REGION = trimcp.Header("Region")


class Zone(enum.Enum):
    NORTH = "north"
    SOUTH = "south"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


def marked(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "x-mcp-header": "Region", **more}


@pytest.mark.parametrize(
    ("hint", "schema"),
    [
        (Annotated[str, REGION], marked("string")),
        (Annotated[int, REGION, at.Ge(1)], marked("integer", minimum=1)),
        (Annotated[bool, "whether", REGION], marked("boolean", description="whether")),
        (Annotated[str, REGION, pydantic.Field(description="d")], marked("string", description="d")),
        (Annotated[Literal["a", "b"], REGION], marked("string", enum=["a", "b"])),
        (Annotated[str | None, REGION], marked("string")),
        (Annotated[str, REGION] | None, marked("string")),
        (Union[None, Annotated[int, REGION, at.Ge(1)]], marked("integer", minimum=1)),  # noqa: UP007
        (Annotated[Literal["a", "b"] | None, REGION], marked("string", enum=["a", "b"])),
        (Annotated[Annotated[int, at.Ge(1)] | None, REGION], marked("integer", minimum=1)),
        (Annotated[str, REGION, pydantic.AfterValidator(str.lower)], marked("string")),
        (Annotated[Any, JsonSchema({"type": "string", "maxLength": 3}), REGION], marked("string", maxLength=3)),
    ],
)
def test_a_marked_parameter_says_its_header_and_one_type(hint: Any, schema: dict[str, Any]) -> None:
    assert schema_of(hint) == schema


@pytest.mark.parametrize(("hint", "kind", "value"), [(Zone, "string", "north"), (Level, "integer", 2)])
def test_an_enumeration_is_written_out(hint: type[enum.Enum], kind: str, value: Any) -> None:
    for marked_hint in (Annotated[hint, REGION], Annotated[hint | None, REGION], Annotated[hint, REGION] | None):
        schema = schema_of(marked_hint)
        assert schema == marked(kind, enum=[member.value for member in hint])
        assert load(marked_hint, value) is hint(value)


def test_an_optional_one_may_be_left_out_but_is_not_null() -> None:
    assert schema_of(Annotated[str | None, REGION], default=None) == marked("string")
    assert schema_of(Annotated[str, REGION], default=None) == marked("string")
    assert schema_of(Annotated[str, REGION], default="eu") == marked("string", default="eu")
    assert refused(Annotated[str | None, REGION], None) == "expected string @ $.p"
    assert load(Annotated[str | None, REGION], "eu") == "eu"


def test_other_parameters_keep_their_null() -> None:
    assert schema_of(str | None) == {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert "anyOf" in schema_of(Annotated[int, at.Ge(1)] | None)


@pytest.mark.parametrize("name", ["", "My Region", "Region:1", "Région", "a\n"])
def test_a_name_that_no_header_can_have_is_refused_where_it_is_written(name: str) -> None:
    with pytest.raises(trimcp.UsageError, match="Invalid header name"):
        trimcp.Header(name)


def test_a_mark_says_what_it_is() -> None:
    assert repr(REGION) == "Header('Region')"


@attrs.define
class Filter:
    tenant: Annotated[str, trimcp.Header("Tenant")]


@attrs.define
class Filters:
    tenant: Annotated[str, trimcp.Header("Tenant")]
    more: list[Filters]


def test_a_mark_may_be_on_a_part_of_a_parameter() -> None:
    assert schema_of(Filter)["properties"] == {"tenant": {"type": "string", "x-mcp-header": "Tenant"}}


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (Annotated[float, REGION], r'place\(\): x-mcp-header in p needs a "type"'),
        (Annotated[list[str], REGION], r'x-mcp-header in p needs a "type"'),
        (Annotated[str | int, REGION], r'x-mcp-header in p needs a "type"'),
        (Annotated[Any, REGION], r'x-mcp-header in p needs a "type"'),
        (list[Annotated[str, REGION]], r"x-mcp-header in p\.items must be on a parameter"),
        (Annotated[str, REGION] | int, r"x-mcp-header in p\.anyOf must be on a parameter"),
        (list[Filter], r"x-mcp-header in p\.items\.tenant must be on a parameter"),
        (Filters, r"x-mcp-header in \$defs\.Filters\.tenant must be on a parameter"),
    ],
)
def test_a_mark_that_clients_would_reject_is_refused_when_the_tool_is_declared(hint: Any, words: str) -> None:
    def place(*, p: Any) -> None: ...

    place.__annotations__["p"] = hint
    with pytest.raises(trimcp.UsageError, match=words):
        trimcp.Server("s").tool(place)


def test_two_parameters_cannot_share_a_header() -> None:
    server = trimcp.Server("s")
    with pytest.raises(trimcp.UsageError, match="x-mcp-header in b is the same as in a"):

        @server.tool
        async def place(
            a: Annotated[str, trimcp.Header("Region")], b: Annotated[str, trimcp.Header("REGION")]
        ) -> None: ...


def test_a_hand_written_schema_is_held_to_the_same() -> None:
    server = trimcp.Server("s")
    good = {"type": "object", "properties": {"p": {"type": "string", "x-mcp-header": "P"}}}
    bad = {"type": "object", "properties": {"p": {"type": "number", "x-mcp-header": "P"}}}

    def place(p: Any) -> None: ...

    with pytest.raises(trimcp.UsageError, match=r'place\(\): x-mcp-header in p needs a "type"'):
        server.tool(input_schema=bad)(place)
    server.tool(input_schema=good)(place)


async def test_clients_see_the_mark() -> None:
    server = trimcp.Server("s")

    @server.tool
    async def place(region: Annotated[str, trimcp.Header("Region")], query: str) -> str:
        return f"{query} in {region}"

    async with trimcp.connect(server) as client:
        (tool,) = await client.list_tools()
        assert tool.input_schema["properties"]["region"] == {"type": "string", "x-mcp-header": "Region"}
        assert (await client.call_tool("place", {"region": "eu", "query": "q"})).text == "q in eu"
