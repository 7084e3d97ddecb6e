"""Arguments in header fields, both ways (basic/transports/streamable-http of 2026-07-28, "Custom Headers")."""

from __future__ import annotations

import json
from typing import Any

import pytest

import trimcp
from tests.http.clients import MODERN, Modern, encoded
from tests.http.raw import Http, serving
from tests.http.wires import Answer
from tests.requirements.sites import Asked, Site, at_site
from tests.requirements.wires import Line, over_http
from tests.session.peer import Logged, error, logged, result

__all__ = ["logged"]

MARKED = {
    "type": "object",
    "properties": {
        "region": {"type": "string", "x-mcp-header": "Region"},
        "count": {"type": "integer", "x-mcp-header": "Count"},
        "dry": {"type": "boolean", "x-mcp-header": "DRY-Run"},
        "text": {"type": "string"},
        "filter": {
            "type": "object",
            "properties": {"tenant": {"type": "string", "x-mcp-header": "Tenant"}, "region": {"type": "string"}},
        },
    },
}
PREFIX = "mcp-param-"


def query() -> trimcp.Server:
    """A server with a tool whose arguments are mirrored, and which repeats them."""
    server = trimcp.Server("query")

    @server.tool(input_schema=MARKED)
    async def repeat(
        region: Any = None, count: Any = None, dry: Any = None, text: Any = None, filter: Any = None
    ) -> str:
        return json.dumps([region, count, dry, text, filter])

    return server


def mirrored(line: Line) -> dict[str, str]:
    """The fields of arguments that the last call carried."""
    fields = line.of("tools/call")[-1].fields
    return {name.removeprefix(PREFIX): value for name, value in fields.items() if name.startswith(PREFIX)}


CASES: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({"region": "us-west1", "text": "all"}, {"region": "us-west1"}),
    ({"count": 42, "dry": True}, {"count": "42", "dry-run": "true"}),
    ({"count": -7, "dry": False}, {"count": "-7", "dry-run": "false"}),
    ({"count": 2**53 - 1}, {"count": "9007199254740991"}),
    # At the very path of what is marked, and nowhere else.
    ({"filter": {"tenant": "acme", "region": "not this one"}}, {"tenant": "acme"}),
    ({"region": "r", "filter": {"tenant": "t"}}, {"region": "r", "tenant": "t"}),
    ({"region": None, "count": None, "text": "all"}, {}),
    ({"filter": {}}, {}),
    ({}, {}),
    # What is not safe as it stands.
    ({"region": "Hello, 世界"}, {"region": "=?base64?SGVsbG8sIOS4lueVjA==?="}),
    ({"region": " padded "}, {"region": "=?base64?IHBhZGRlZCA=?="}),
    ({"region": "line1\nline2"}, {"region": "=?base64?bGluZTEKbGluZTI=?="}),
    ({"region": "a\r\nMcp-Name: other"}, {"region": encoded("a\r\nMcp-Name: other")}),
    ({"region": "\0\x7f"}, {"region": encoded("\0\x7f")}),
    ({"region": "=?base64?literal?="}, {"region": "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="}),
    # What only half looks like it.
    ({"region": "=?base64?half"}, {"region": "=?base64?half"}),
    ({"region": "=?BASE64?aGk=?="}, {"region": "=?BASE64?aGk=?="}),
    ({"region": ""}, {"region": ""}),
]


@pytest.mark.parametrize(("arguments", "fields"), CASES)
async def test_a_client_mirrors_the_marked_arguments_and_the_server_takes_them(
    arguments: dict[str, Any], fields: dict[str, str]
) -> None:
    async with over_http(query()) as line:
        await line.client.list_tools()
        called = await line.client.call_tool("repeat", arguments)
        assert mirrored(line) == fields
        assert len(line.of("tools/call")) == 1
        if None not in arguments.values():
            names = ("region", "count", "dry", "text", "filter")
            assert json.loads(called.text) == [arguments.get(name) for name in names]


async def test_a_client_that_did_not_read_the_list_reads_it_and_mirrors() -> None:
    async with over_http(query()) as line:
        assert (await line.client.call_tool("repeat", {"region": "eu"})).text
        assert mirrored(line) == {"region": "eu"}
        assert [exchange.status for exchange in line.of("tools/call")] == [400, 200]


async def test_what_is_mirrored_follows_the_list() -> None:
    def tool(*marked: str) -> dict[str, Any]:
        properties = {name: {"type": "string"} for name in ("a", "b")}
        schema = {
            name: {**value, **({"x-mcp-header": name} if name in marked else {})} for name, value in properties.items()
        }
        return {"name": "t", "inputSchema": {"type": "object", "properties": schema}}

    lists = [tool("a"), tool("b"), tool()]

    async def tools(asked: Asked) -> None:
        await asked.result({"resultType": "complete", "ttlMs": 0, "cacheScope": "private", "tools": [lists.pop(0)]})

    async def call(asked: Asked) -> None:
        await asked.result({"resultType": "complete", "content": []})

    site = Site(MODERN, {"tools/list": tools, "tools/call": call})
    async with at_site(site) as client:
        for _ in range(3):
            await client.list_tools(fresh=True)
            await client.call_tool("t", {"a": "1", "b": "2"})
    sent = [{name for name in asked.fields if name.startswith(PREFIX)} for asked in site.of("tools/call")]
    assert sent == [{"mcp-param-a"}, {"mcp-param-b"}, set()]


@pytest.mark.parametrize("number", [2**53, -(2**53)])
async def test_an_integer_that_not_every_reader_knows_is_not_sent(number: int) -> None:
    async with over_http(query()) as line:
        await line.client.list_tools()
        with pytest.raises(trimcp.UsageError, match="count"):
            await line.client.call_tool("repeat", {"count": number})
        assert line.of("tools/call") == []


@pytest.mark.parametrize("revision", ["2025-11-25"])
async def test_before_2026_07_28_nothing_is_mirrored(revision: str) -> None:
    async with over_http(query(), revision) as line:
        await line.client.list_tools()
        await line.client.call_tool("repeat", {"region": "eu"})
        assert mirrored(line) == {}


# --- tools that break the rules -------------------------------------------------------


def marks(**marked: Any) -> dict[str, Any]:
    return {"type": "object", "properties": {name: {"type": "string", **schema} for name, schema in marked.items()}}


BROKEN: dict[str, dict[str, Any]] = {
    "empty": marks(a={"x-mcp-header": ""}),
    "no-token": marks(a={"x-mcp-header": "My Region"}),
    "colon": marks(a={"x-mcp-header": "a:b"}),
    "line-feed": marks(a={"x-mcp-header": "a\nb"}),
    "carriage-return": marks(a={"x-mcp-header": "a\r"}),
    "beyond-ascii": marks(a={"x-mcp-header": "Région"}),
    "no-text": marks(a={"x-mcp-header": 5}),
    "twice": marks(a={"x-mcp-header": "Region"}, b={"x-mcp-header": "REGION"}),
    "number": marks(a={"x-mcp-header": "A", "type": "number"}),
    "object": marks(a={"x-mcp-header": "A", "type": "object"}),
    "array": marks(a={"x-mcp-header": "A", "type": "array"}),
    "several-types": marks(a={"x-mcp-header": "A", "type": ["string", "null"]}),
    "items": marks(a={"type": "array", "items": {"type": "string", "x-mcp-header": "A"}}),
    "any-of": marks(a={"anyOf": [{"type": "string", "x-mcp-header": "A"}]}),
    "all-of": {"type": "object", "allOf": [marks(a={"x-mcp-header": "A"})]},
    "one-of": {"type": "object", "oneOf": [marks(a={"x-mcp-header": "A"})]},
    "not": {"type": "object", "not": marks(a={"x-mcp-header": "A"})},
    "then": {"type": "object", "if": {}, "then": marks(a={"x-mcp-header": "A"})},
    "reference": {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/A"}},
        "$defs": {"A": {"type": "string", "x-mcp-header": "A"}},
    },
    "root": {"type": "object", "x-mcp-header": "A"},
}


async def test_a_client_leaves_out_the_tools_that_break_the_rules_and_keeps_the_others(logged: Logged) -> None:
    names = ["first", *BROKEN, "last"]
    page = [{"name": name, "inputSchema": BROKEN.get(name, marks(a={"x-mcp-header": "Region"}))} for name in names]

    async def tools(asked: Asked) -> None:
        # On two pages, since each is judged.
        cursor = asked.message["params"].get("cursor")
        part = page[:5] if cursor is None else page[5:]
        more = {"nextCursor": "more"} if cursor is None else {}
        await asked.result({"resultType": "complete", "ttlMs": 0, "cacheScope": "private", "tools": part, **more})

    async with at_site(Site(MODERN, {"tools/list": tools})) as client:
        assert [tool.name for tool in await client.list_tools()] == ["first", "last"]
    warned = [(level, keys["tool"]) for level, _, keys in logged.lines if "tool" in keys]
    assert warned == [("warning", name) for name in BROKEN]


async def test_what_binds_http_is_no_matter_on_other_transports_and_in_other_revisions() -> None:
    async def tools(asked: Asked) -> None:
        await asked.result({"tools": [{"name": "t", "inputSchema": BROKEN["number"]}]})

    async with at_site(Site("2025-11-25", {"tools/list": tools})) as client:
        assert [tool.name for tool in await client.list_tools()] == ["t"]


@pytest.mark.parametrize("broken", list(BROKEN))
def test_a_server_declares_no_tool_that_breaks_the_rules(broken: str) -> None:
    def tool(a: Any = None, b: Any = None) -> None: ...

    with pytest.raises(trimcp.UsageError, match="x-mcp-header"):
        trimcp.Server("s").tool(input_schema=BROKEN[broken])(tool)


# --- what a server makes of fields that do not fit ------------------------------------


async def call(http: Http, arguments: dict[str, Any], **fields: str | None) -> Answer:
    sent = {f"Mcp-Param-{name}": value for name, value in fields.items()}
    return await (await Modern(http).call("repeat", arguments, fields=sent)).begun()


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ({"region": "eu"}, {}),
        ({"region": "eu"}, {"Region": "us"}),
        ({"region": "eu"}, {"Region": "EU"}),
        ({"region": "eu"}, {"Region": encoded("us")}),
        ({"region": "eu"}, {"Region": "=?base64?ZXU?="}),
        ({"region": "eu"}, {"Region": "=?base64?e!U=?="}),
        ({"region": "eu"}, {"Region": "=?BASE64?ZXU=?="}),
        ({"region": "eu"}, {"Region": "=?Base64?ZXU=?="}),
        ({"region": "zürich"}, {"Region": "zürich"}),
        ({"region": "\xff"}, {"Region": "\xff"}),
        ({"region": "=?base64?ZXU=?="}, {"Region": "=?base64?ZXU=?="}),
        ({"count": 42}, {"Count": "43"}),
        ({"count": 42}, {"Count": "0x2a"}),
        ({"count": 2**53}, {"Count": str(2**53)}),
        ({"dry": True}, {"DRY-Run": "True"}),
        ({"dry": True}, {"DRY-Run": "false"}),
        ({"filter": {"tenant": "acme"}}, {}),
        ({"filter": {"tenant": "acme"}}, {"Tenant": "other"}),
    ],
)
async def test_a_field_that_does_not_say_what_the_arguments_say_is_refused(
    door: str, arguments: dict[str, Any], fields: dict[str, str]
) -> None:
    async with serving(door, query()) as http:
        answer = await call(http, arguments, **fields)
        assert answer.status == 400
        body = await answer.json()
        assert (body["id"], body["error"]["code"]) == (1, -32020)


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        ({"region": "eu"}, {"Region": "eu"}),
        ({"region": "eu"}, {"Region": encoded("eu")}),
        ({"region": "zürich"}, {"Region": encoded("zürich")}),
        ({"region": "=?base64?ZXU=?="}, {"Region": encoded("=?base64?ZXU=?=")}),
        ({"region": "=?BASE64?ZXU=?="}, {"Region": "=?BASE64?ZXU=?="}),
        ({"count": 42}, {"Count": "42.0"}),
        ({"count": 42}, {"Count": encoded("42")}),
        ({"dry": True}, {"DRY-Run": "true"}),
        ({"filter": {"tenant": "acme"}, "text": "t"}, {"Tenant": "acme"}),
        ({"text": "t"}, {}),
        ({"filter": {}}, {}),
        ({}, {"Nobody-Knows-It": "x"}),
    ],
)
async def test_a_field_that_says_what_the_arguments_say_is_taken(
    door: str, arguments: dict[str, Any], fields: dict[str, str]
) -> None:
    async with serving(door, query()) as http:
        answer = await call(http, arguments, **fields)
        assert answer.status == 200
        said = json.loads(await answer.text())
        assert said == [arguments.get(name) for name in ("region", "count", "dry", "text", "filter")]


async def test_of_a_null_no_field_is_expected(door: str) -> None:
    async with serving(door, query()) as http:
        answer = await call(http, {"region": None, "count": None, "dry": None, "filter": {"tenant": None}})
        # The schema has no null, which is the tool's business.
        assert answer.status == 200
        assert "error" not in await answer.json()


@pytest.mark.parametrize("name", ["=?BASE64?cmVwZWF0?=", "=?base64?cmVwZWF0", "=?base64?cmVwZWF?=", "REPEAT"])
async def test_a_name_that_is_not_the_one_of_the_body_is_refused(door: str, name: str) -> None:
    async with serving(door, query()) as http:
        answer = await (await Modern(http).call("repeat", fields={"Mcp-Name": name})).begun()
        assert answer.status == 400
        assert (await answer.error())["code"] == -32020


async def test_names_of_fields_are_compared_without_case_as_they_come_on_the_wire() -> None:
    async with serving("direct", query()) as http:
        client = Modern(http)
        message = client.request(1, "tools/call", {"name": "repeat", "arguments": {"region": "eu", "dry": True}})
        wanted = {**client.fields(message), "Mcp-Param-Region": "eu", "Mcp-Param-Dry-Run": "true", "Host": "localhost"}
        wanted |= {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        for change in (str.lower, str.upper, str.swapcase, str.title):
            fields = {change(name): value for name, value in wanted.items()}
            assert set(fields) != set(wanted)
            answer = await http.connect().send("POST", "/mcp", fields, json.dumps(message).encode())
            assert json.loads(await answer.text())[0] == "eu"
            wrong = {**fields, change("Mcp-Param-Region"): "us"}
            answer = await http.connect().send("POST", "/mcp", wrong, json.dumps(message).encode())
            assert (await answer.error())["code"] == -32020


async def test_a_client_that_is_told_of_a_mismatch_twice_says_so() -> None:
    async def call(asked: Asked) -> None:
        await asked.respond(400, error(asked.id, -32020, "Header mismatch"))

    async def tools(asked: Asked) -> None:
        await asked.respond(
            200, result(asked.id, {"resultType": "complete", "ttlMs": 0, "cacheScope": "private", "tools": []})
        )

    site = Site(MODERN, {"tools/call": call, "tools/list": tools})
    async with at_site(site) as client:
        with pytest.raises(trimcp.RequestFailed) as caught:
            await client.call_tool("t")
    assert caught.value.code == -32020
    assert [asked.method for asked in site.asked[1:]] == ["tools/call", "tools/list", "tools/call"]
