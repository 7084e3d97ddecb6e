"""Resources by templates: which function reads a URI, and with what."""

from __future__ import annotations

import datetime
import enum
import pathlib
from typing import Any

import pytest
from trio.testing import MockClock

import trimcp
from tests.server.reading import NOT_FOUND, client_of, every_revision, refusal


class Unit(enum.Enum):
    CELSIUS = "c"
    KELVIN = "k"


def make_server() -> trimcp.Server:
    server = trimcp.Server("weather")

    @server.resource("weather://{city}/{day}{?unit}", title="Weather", mime_type="text/plain")
    async def weather(city: str, day: datetime.date, unit: Unit = Unit.CELSIUS, *, ctx: trimcp.Context) -> str:
        """The weather of a day."""
        return f"{city}, {day.isoformat()}, {unit.name}"

    return server


@every_revision
async def test_a_template_is_listed_and_read(version: str, mock_clock: MockClock) -> None:
    async with client_of(make_server(), version) as client:
        (template,) = (await client.request("resources/templates/list", {}))["resourceTemplates"]
        assert template == {
            "uriTemplate": "weather://{city}/{day}{?unit}",
            "name": "weather",
            "description": "The weather of a day.",
            "mimeType": "text/plain",
            **({"title": "Weather"} if version >= "2025-06-18" else {}),
        }
        assert await client.list_resources() == []
        read = await client.read_resource("weather://Z%C3%BCrich/2026-01-31")
        assert read.text == "Zürich, 2026-01-31, CELSIUS"
        assert read.contents[0].uri == "weather://Z%C3%BCrich/2026-01-31"
        assert (await client.read_resource("weather://Bern/2026-01-31?unit=k")).text == "Bern, 2026-01-31, KELVIN"


@pytest.mark.parametrize(
    "uri",
    [
        "weather://Bern",
        "weather://Bern/",
        "weather:///2026-01-31",
        "weather://Bern/tomorrow",
        "weather://Bern/2026-01-31?unit=f",
        "weather://Bern/2026-01-31?unit=k&more=1",
        "weather://../2026-01-31",
        "weather://a%2Fb/2026-01-31",
        "weather://a%00b/2026-01-31",
    ],
)
@every_revision
async def test_what_does_not_fit_the_variables_is_not_found(version: str, uri: str, mock_clock: MockClock) -> None:
    async with client_of(make_server(), version) as client:
        error = await refusal(client, "resources/read", {"uri": uri})
        assert (error.code, error.data) == (NOT_FOUND[version], {"uri": uri})


async def test_a_fixed_uri_comes_first_and_then_the_templates_in_their_order(mock_clock: MockClock) -> None:
    server = trimcp.Server("a")

    @server.resource("n://{number}")
    async def number(number: int) -> str:
        return f"number {number}"

    @server.resource("n://{+anything}")
    async def anything(anything: str) -> str:
        return f"anything {anything}"

    @server.resource("n://{never}")
    async def never(never: str) -> str:
        raise AssertionError

    server.add_resource("n://7", "seven")
    async with client_of(server) as client:
        assert (await client.read_resource("n://7")).text == "seven"
        assert (await client.read_resource("n://8")).text == "number 8"
        assert (await client.read_resource("n://eight")).text == "anything eight"
        server.remove_resource("n://7")
        assert (await client.read_resource("n://7")).text == "number 7"
        server.remove_resource("n://{number}")
        assert (await client.read_resource("n://7")).text == "anything 7"


async def test_variables_that_are_lists_come_as_lists(mock_clock: MockClock) -> None:
    server = trimcp.Server("a")
    seen: list[Any] = []

    @server.resource("tree://root{/path*}{?ids}")
    async def tree(path: list[str], ids: list[int] | None = None) -> str:
        seen.append((path, ids))
        return ""

    async with client_of(server) as client:
        await client.read_resource("tree://root/a/b")
        await client.read_resource("tree://root/a?ids=1,2")
        assert (await refusal(client, "resources/read", {"uri": "tree://root/a?ids=1,x"})).code == -32602
    assert seen == [(["a", "b"], None), (["a"], [1, 2])]


async def test_no_uri_reads_a_file_outside(mock_clock: MockClock, tmp_path: pathlib.Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "inside.txt").write_text("inside")
    (tmp_path / "outside.txt").write_text("outside")
    server = trimcp.Server("a")

    @server.resource("root:///{+path}")
    async def file(path: str) -> pathlib.Path:
        return root / path

    async with client_of(server) as client:
        assert (await client.read_resource("root:///inside.txt")).text == "inside"
        for path in ("../outside.txt", "%2e%2e/outside.txt", "x/..%2f../outside.txt", f"{tmp_path}/outside.txt"):
            with pytest.raises(trimcp.ResourceNotFound):
                await client.read_resource(f"root:///{path}")


def test_variables_and_parameters_must_be_the_same() -> None:
    server = trimcp.Server("a")
    with pytest.raises(trimcp.UsageError, match="no parameter for the variable 'b'"):
        server.resource("x:{a}/{b}", name="n")(lambda a: a)
    with pytest.raises(trimcp.UsageError, match="no variable for the parameter 'b'"):
        server.resource("x:{a}", name="n")(lambda a, b: a)
    with pytest.raises(trimcp.UsageError, match=r"annotate the parameter list\[str\]"):
        server.resource("x:{a*}", name="n")(lambda a: a)
    with pytest.raises(trimcp.UsageError, match="close it"):
        server.resource("x:{a", name="n")(lambda a: a)

    @server.resource("x:{a}")
    async def with_a_default(a: str, b: int = 3) -> str:
        return a

    assert len(server._declarations.resources) == 1
