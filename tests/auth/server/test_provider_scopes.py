"""Scopes of tools, resources and prompts that come from a provider."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest

import trimcp
from tests.auth.server.minting import Mint
from tests.auth.server.test_operations import asks_for
from tests.http.clients import Legacy, Modern
from tests.http.raw import serving
from trimcp.types import CompleteRequestParams, Prompt, Resource, ResourceTemplate, Tool

READ, WRITE = "books:read", "books:write"
COMPLETION = {"ref": {"type": "ref/prompt", "name": "review"}, "argument": {"name": "book", "value": ""}}
OF_TEMPLATE = {"ref": {"type": "ref/resource", "uri": "book://{n}"}, "argument": {"name": "n", "value": ""}}
NEED_MORE: dict[str, tuple[str, dict[str, Any], str]] = {
    "a call": ("tools/call", {"name": "lend", "arguments": {}}, f"{WRITE} notes"),
    "a read": ("resources/read", {"uri": "book://1"}, f"{READ} notes"),
    "a prompt": ("prompts/get", {"name": "review"}, f"{READ} notes"),
    "a completion of a prompt": ("completion/complete", COMPLETION, f"{READ} notes"),
    "a completion of a template": ("completion/complete", OF_TEMPLATE, f"{READ} notes"),
}


class Books(trimcp.Provider):
    """A provider of something of every feature, whose items need scopes by their names."""

    features = ("tools", "resources", "prompts", "completions")

    def scopes(self, feature: str, key: str) -> Iterable[str]:
        """See `Provider`."""
        if key == "breaks":
            raise ValueError("the table of scopes is gone")
        if key == "one string":
            return WRITE
        if feature == "tools":
            return [WRITE] if key == "lend" else []
        return [READ] if key.startswith("book://") or key == "review" else []

    async def list_tools(self, ctx: Any, cursor: str | None) -> Sequence[Tool]:
        return [Tool(name=name, input_schema={"type": "object"}) for name in ("browse", "lend", "sit")]

    async def find_tool(self, ctx: Any, name: str) -> trimcp.ProvidedTool | None:
        async def call(ctx: trimcp.Context, arguments: Mapping[str, Any]) -> str:
            return name

        return trimcp.ProvidedTool(Tool(name=name, input_schema={"type": "object"}), call)

    async def list_resources(self, ctx: Any, cursor: str | None) -> Sequence[Resource]:
        return [Resource(uri="book://1", name="one"), Resource(uri="hours://today", name="hours")]

    async def list_resource_templates(self, ctx: Any, cursor: str | None) -> Sequence[ResourceTemplate]:
        return [ResourceTemplate(uri_template="book://{n}", name="book")]

    async def find_resource(self, ctx: Any, uri: str) -> trimcp.ProvidedResource | None:
        async def read(ctx: trimcp.Context, uri: str) -> str:
            return uri

        return trimcp.ProvidedResource(Resource(uri=uri.lower(), name="one"), read)

    async def list_prompts(self, ctx: Any, cursor: str | None) -> Sequence[Prompt]:
        return [Prompt(name="review")]

    async def find_prompt(self, ctx: Any, name: str) -> trimcp.ProvidedPrompt | None:
        async def get(ctx: trimcp.Context, arguments: Mapping[str, str]) -> str:
            return name

        return trimcp.ProvidedPrompt(Prompt(name=name), get)

    async def complete(self, ctx: Any, params: CompleteRequestParams) -> Sequence[str]:
        return ["1"]


def library(**options: Any) -> trimcp.Server:
    server = trimcp.Server("library", limits=trimcp.Limits(grace=0.01, **options))
    server.add_provider(Books())
    return server


@pytest.mark.parametrize("what", NEED_MORE)
async def test_a_request_for_its_items_is_refused_before_the_head(door: str, what: str) -> None:
    method, params, scope = NEED_MORE[what]
    mint = Mint()
    async with serving(door, library(), auth=mint.guard()) as http:
        asks_for(await (await Modern(http).ask(method, params, fields=mint.bearer())).begun(), scope)
        allowed = await Modern(http).ask(method, params, fields=mint.bearer(scope))
        assert await allowed.result() is not None
        client = await Legacy.open(http, principal=mint.bearer()["authorization"])
        asks_for(await (await client.ask(method, params)).begun(), scope)


async def test_a_listen_for_its_resource_needs_them_too(door: str) -> None:
    mint = Mint()
    async with serving(door, library(), auth=mint.guard()) as http:
        listen = await Modern(http).listen(resourceSubscriptions=["hours://today", "book://1"], fields=mint.bearer())
        asks_for(await listen.begun(), f"{READ} notes")


async def test_what_needs_nothing_is_served(door: str) -> None:
    mint = Mint()
    async with serving(door, library(), auth=mint.guard()) as http:
        result = await (await Modern(http).call("browse", fields=mint.bearer())).result()
        assert result["content"][0]["text"] == "browse"


async def test_another_spelling_of_a_resource_needs_the_same(door: str) -> None:
    mint = Mint()
    async with serving(door, library(), auth=mint.guard()) as http:
        ask = await Modern(http).ask("resources/read", {"uri": "BOOK://1"}, fields=mint.bearer())
        assert (await ask.error())["code"] == -31006


@pytest.mark.parametrize("name", ["breaks", "one string"])
async def test_where_the_provider_fails_nothing_is_called(door: str, name: str) -> None:
    mint = Mint()
    async with serving(door, library(), auth=mint.guard()) as http:
        answer = await (await Modern(http).call(name, fields=mint.bearer())).begun()
        assert answer.status == 500


@pytest.mark.parametrize("page", [1, 100])
async def test_its_items_are_hidden_where_that_is_configured(door: str, page: int) -> None:
    mint = Mint()
    async with serving(door, library(page=page), auth=mint.guard(hides=True)) as http:

        async def names(method: str, key: str, fields: dict[str, str]) -> list[str]:
            found: list[str] = []
            params: dict[str, Any] = {}
            while True:
                result = await (await Modern(http).ask(method, params, fields=fields)).result()
                found += [item["name"] for item in result[key]]
                assert result["cacheScope"] == "private"
                if result.get("nextCursor") is None:
                    return found
                params = {"cursor": result["nextCursor"]}

        few, more = mint.bearer(), mint.bearer(f"notes {READ} {WRITE}")
        assert await names("tools/list", "tools", few) == ["browse", "sit"]
        assert await names("tools/list", "tools", more) == ["browse", "lend", "sit"]
        assert await names("resources/list", "resources", few) == ["hours"]
        assert await names("resources/templates/list", "resourceTemplates", few) == []
        assert await names("prompts/list", "prompts", few) == []
        assert await names("prompts/list", "prompts", more) == ["review"]
        refused = await (await Modern(http).call("lend", fields=few)).error()
        assert refused == {"code": -32602, "message": "Unknown tool: lend"}


def test_scopes_that_wait_are_refused() -> None:
    class Slow(Books):
        async def scopes(self, feature: str, key: str) -> Iterable[str]:  # type: ignore[override]
            return ()

    with pytest.raises(trimcp.UsageError, match="must not be async"):
        trimcp.Server("s").add_provider(Slow())
