"""The header fields of 2026-07-28 must say what the body says ("Request Metadata", "Server Validation")."""

from __future__ import annotations

import pytest

from tests.http.clients import MODERN, PREFIX, Modern, encoded
from tests.http.raw import Fields, Http, serving
from tests.http.workshop import Workshop


async def refused(http: Http, fields: Fields, *, name: str = "add", arguments: dict[str, object] | None = None) -> str:
    """What is said about a call with these fields, which must be refused for them."""
    given = {"a": 1, "b": 2} if arguments is None else arguments
    answer = await Modern(http).call(name, given, id=5, fields=fields)
    body = await answer.json()
    assert answer.status == 400
    assert (body["id"], body["error"]["code"]) == (5, -32020)
    return str(body["error"]["message"])


@pytest.mark.parametrize("field", ["MCP-Protocol-Version", "Mcp-Method", "Mcp-Name"])
async def test_a_field_that_is_missing_is_named(door: str, field: str) -> None:
    async with serving(door, Workshop().server) as http:
        assert f"{field} is missing" in await refused(http, {field: None})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("MCP-Protocol-Version", "2025-11-25"),
        ("MCP-Protocol-Version", "2099-01-01"),
        ("Mcp-Method", "tools/list"),
        ("Mcp-Method", "Tools/Call"),
        ("Mcp-Name", "subtract"),
        ("Mcp-Name", "ADD"),
        ("Mcp-Name", "add, add"),
        ("Mcp-Name", encoded("subtract")),
        ("Mcp-Name", "=?base64?YWRk=?="),
        ("Mcp-Name", "=?base64?%%%?="),
    ],
)
async def test_a_field_that_differs_is_named_without_the_value(door: str, field: str, value: str) -> None:
    async with serving(door, Workshop().server) as http:
        said = await refused(http, {field: value})
        assert field in said
        assert value not in said


async def test_names_of_fields_have_no_case(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        fields = {"mcp-protocol-version": MODERN, "MCP-METHOD": "tools/call", "MCP-NAME": "add"}
        assert await (await Modern(http).call("add", {"a": 1, "b": 2}, fields=fields)).text() == "3"


async def test_a_name_may_come_in_base64(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        answer = await Modern(http).call("add", {"a": 1, "b": 2}, fields={"Mcp-Name": encoded("add")})
        assert await answer.text() == "3"


async def test_a_name_beyond_ascii_comes_in_base64(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        answer = await Modern(http).ask("resources/read", {"uri": "mem://grüße"})
        assert (await answer.result())["contents"][0]["text"] == "Hallo."


async def test_a_name_is_asked_for_prompts_and_resources_too(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        client = Modern(http)
        for method, params in (
            ("resources/read", {"uri": "mem://motd"}),
            ("prompts/get", {"name": "greet", "arguments": {"name": "Ada"}}),
        ):
            await (await client.ask(method, params)).result()
            answer = await client.ask(method, params, fields={"Mcp-Name": None})
            assert (await answer.error())["code"] == -32020


async def test_a_name_is_no_matter_where_there_is_none(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        answer = await Modern(http).ask("tools/list", fields={"Mcp-Name": "whatever"})
        assert (await answer.result())["tools"]


# --- parameters of tools that are mirrored --------------------------------------------

QUERY = {"region": "us-west1", "text": "all"}


async def test_a_parameter_that_is_mirrored_must_agree(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        client = Modern(http)
        tools = (await (await client.ask("tools/list")).result())["tools"]
        (query,) = (tool for tool in tools if tool["name"] == "query")
        assert query["inputSchema"]["properties"]["region"]["x-mcp-header"] == "Region"
        assert (
            await (await client.call("query", QUERY, fields={"Mcp-Param-Region": "us-west1"})).text() == "us-west1: all"
        )
        said = await refused(http, {"Mcp-Param-Region": "us-east1"}, name="query", arguments=QUERY)
        assert "Mcp-Param-Region" in said
        assert "us-" not in said


async def test_a_parameter_that_is_mirrored_must_be_there(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        assert "Mcp-Param-Region" in await refused(http, {}, name="query", arguments=QUERY)


async def test_a_parameter_may_come_in_base64(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        arguments = {"region": "zürich ", "text": "all"}
        fields = {"Mcp-Param-Region": encoded("zürich ")}
        assert await (await Modern(http).call("query", arguments, fields=fields)).text() == "zürich : all"
        said = await refused(http, {"Mcp-Param-Region": "=?base64?!?="}, name="query", arguments=arguments)
        assert "base64" in said


async def test_a_parameter_that_is_not_given_needs_no_field(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        answer = await Modern(http).call("query", {"text": "all"})
        # The schema asks for it, which is another matter than what the head says.
        assert (await answer.result())["isError"]
        assert answer.status == 200
        said = await refused(http, {"Mcp-Param-Region": "us-east1"}, name="query", arguments={"text": "all"})
        assert "Mcp-Param-Region" in said


async def test_fields_of_parameters_that_nobody_knows_are_ignored(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        answer = await Modern(http).call("add", {"a": 1, "b": 2}, fields={"Mcp-Param-Region": "us-west1"})
        assert await answer.text() == "3"


async def test_headers_are_checked_before_the_method_is_looked_up(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        answer = await Modern(http).ask("tools/juggle", fields={"Mcp-Method": None})
        assert (await answer.error())["code"] == -32020


async def test_a_body_that_does_not_say_its_version_is_told_so(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        answer = await Modern(http).ask("tools/list", **{PREFIX + "protocolVersion": 5})
        assert (await answer.error())["code"] == -32602
        assert answer.status == 400
