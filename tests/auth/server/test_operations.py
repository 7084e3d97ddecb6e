"""Scopes of tools, resources and prompts: judged before the head of a response, for every kind of operation."""

from __future__ import annotations

from typing import Any

import pytest

import trimcp
from tests.auth.server.minting import METADATA, Mint, notes
from tests.http.clients import Legacy, Modern, request
from tests.http.raw import Http, serving
from tests.http.wires import Answer
from trimcp.auth.challenges import token_challenge

INSUFFICIENT = -31006

NEED_MORE: dict[str, tuple[str, dict[str, Any], str]] = {
    "a call": ("tools/call", {"name": "write", "arguments": {}}, "notes notes:write"),
    "a call that needs two": ("tools/call", {"name": "erase"}, "notes notes:admin notes:write"),
    "a read of a template": ("resources/read", {"uri": "note://x"}, "notes notes:read"),
    "a read spelled otherwise": ("resources/read", {"uri": "note://%78"}, "notes notes:read"),
    "a read of a value": ("resources/read", {"uri": "plan://secret"}, "notes notes:admin"),
    "a prompt": ("prompts/get", {"name": "rewrite", "arguments": {"style": "x"}}, "notes notes:write"),
    "a completion of a prompt": (
        "completion/complete",
        {"ref": {"type": "ref/prompt", "name": "rewrite"}, "argument": {"name": "style", "value": ""}},
        "notes notes:write",
    ),
    "a completion of a template": (
        "completion/complete",
        {"ref": {"type": "ref/resource", "uri": "note://{name}"}, "argument": {"name": "name", "value": ""}},
        "notes notes:read",
    ),
}
OF_MODERN = {
    **NEED_MORE,
    "a listen": (
        "subscriptions/listen",
        {"notifications": {"resourceSubscriptions": ["note://x", "plan://secret", "motd://today"]}},
        "notes notes:admin notes:read",
    ),
}
OF_LEGACY = {**NEED_MORE, "a subscription": ("resources/subscribe", {"uri": "note://x"}, "notes notes:read")}


def asks_for(answer: Answer, scope: str) -> None:
    """Check that a response is the 403 that names exactly these scopes."""
    assert answer.status == 403
    assert answer.kind.startswith("text/plain")
    challenge = token_challenge(answer.fields["www-authenticate"])
    assert challenge is not None
    assert challenge.scheme == "bearer"
    assert challenge.parameters["error"] == "insufficient_scope"
    assert challenge.parameters["scope"] == scope
    assert challenge.parameters["resource_metadata"] == METADATA


@pytest.mark.parametrize("what", OF_MODERN)
async def test_a_modern_request_names_all_the_scopes_that_it_needs(door: str, what: str) -> None:
    method, params, scope = OF_MODERN[what]
    mint = Mint()
    async with serving(door, notes(), auth=mint.guard()) as http:
        asks_for(await (await Modern(http).ask(method, params, fields=mint.bearer())).begun(), scope)
        answer = await (await Modern(http).ask(method, params, fields=mint.bearer(scope))).begun()
        assert answer.status == 200


@pytest.mark.parametrize("what", OF_LEGACY)
async def test_so_does_one_of_a_session(door: str, what: str) -> None:
    method, params, scope = OF_LEGACY[what]
    mint = Mint()
    async with serving(door, notes(), auth=mint.guard()) as http:
        client = await Legacy.open(http, principal=mint.bearer()["authorization"])
        asks_for(await (await client.ask(method, params)).begun(), scope)
        client.principal = mint.bearer(scope)["authorization"]  # the same principal, with a better token
        assert await (await client.ask(method, params)).result() is not None


async def test_a_token_without_any_of_them_is_asked_for_all_at_once(door: str) -> None:
    mint = Mint()
    async with serving(door, notes(), auth=mint.guard()) as http:
        asks_for(
            await (await Modern(http).call("erase", fields=mint.bearer(None))).begun(), "notes notes:admin notes:write"
        )


async def test_a_batch_needs_the_union(door: str) -> None:
    mint = Mint()
    async with serving(door, notes(), auth=mint.guard()) as http:
        client = await Legacy.open(http, "2025-03-26", principal=mint.bearer()["authorization"])
        batch = [
            request(1, "tools/call", {"name": "write"}),
            request(2, "resources/read", {"uri": "note://x"}),
            request(3, "tools/call", {"name": "whoami"}),
            {"jsonrpc": "2.0", "method": 3},
        ]
        asks_for(await (await client.post(batch)).begun(), "notes notes:read notes:write")
        client.principal = mint.bearer("notes notes:read notes:write")["authorization"]
        answers = {each["id"]: each for each in await (await client.post(batch[:3])).messages()}
        assert all("result" in answers[id] for id in (1, 2, 3))


async def test_what_needs_nothing_more_is_served(door: str) -> None:
    mint = Mint()
    async with serving(door, notes(), auth=mint.guard()) as http:
        client = Modern(http)
        for method, params in (
            ("tools/list", {}),
            ("resources/read", {"uri": "motd://today"}),
            ("tools/call", {"name": "whoami"}),
        ):
            assert await (await client.ask(method, params, fields=mint.bearer())).result()
        unknown = await client.call("missing", fields=mint.bearer())
        assert (await unknown.error())["code"] == -32602


@pytest.mark.parametrize("body", [b"{", b"[]", b"3", b'{"method": "tools/call", "params": 3}', b"[" * 200, b""])
async def test_a_body_that_is_none_is_refused_as_such(door: str, body: bytes) -> None:
    mint = Mint()
    async with serving(door, notes(), auth=mint.guard()) as http:
        answer = await http.ask("POST", body=body, fields={**mint.bearer(), "content-type": "application/json"})
        assert answer.status in (400, 415)


# --- hidden ---------------------------------------------------------------------------


async def names(http: Http, method: str, key: str, fields: dict[str, str]) -> tuple[list[str], str]:
    result = await (await Modern(http).ask(method, fields=fields)).result()
    kind = next(name for name in result if name in ("tools", "prompts", "resources", "resourceTemplates"))
    return [item[key] for item in result[kind]], result["cacheScope"]


@pytest.mark.parametrize("has_provider", [False, True])
async def test_what_a_client_may_not_use_is_hidden_where_that_is_configured(door: str, has_provider: bool) -> None:
    mint, server = Mint(), notes(caching=trimcp.Caching(default=trimcp.CacheHint(scope="public")))
    if has_provider:
        server.add_provider(Empty())
    async with serving(door, server, auth=mint.guard(hides=True)) as http:
        few, all_of_them = mint.bearer(), mint.bearer("notes notes:read notes:write notes:admin")
        assert await names(http, "tools/list", "name", few) == (["whoami"], "private")
        assert await names(http, "tools/list", "name", all_of_them) == (["whoami", "write", "erase"], "private")
        assert await names(http, "prompts/list", "name", few) == ([], "private")
        assert await names(http, "prompts/list", "name", all_of_them) == (["rewrite"], "private")
        assert await names(http, "resources/list", "uri", few) == (["motd://today"], "private")
        assert await names(http, "resources/templates/list", "name", few) == ([], "private")


class Empty(trimcp.Provider):
    """A provider that has nothing."""

    features = ("tools", "resources", "prompts")

    async def list_tools(self, ctx: Any, cursor: str | None) -> list[Any]:
        return []

    async def list_resources(self, ctx: Any, cursor: str | None) -> list[Any]:
        return []

    async def list_resource_templates(self, ctx: Any, cursor: str | None) -> list[Any]:
        return []

    async def list_prompts(self, ctx: Any, cursor: str | None) -> list[Any]:
        return []

    async def find_tool(self, ctx: Any, name: str) -> None:
        return None

    find_resource = find_prompt = find_tool


@pytest.mark.parametrize("what", [name for name in OF_MODERN if name != "a listen"])
async def test_a_hidden_feature_is_unknown_as_if_it_did_not_exist(door: str, what: str) -> None:
    method, params, _ = OF_MODERN[what]
    mint = Mint()
    bare = trimcp.Server("bare")
    for kind in (bare.tool, bare.prompt):

        @kind
        async def unrelated() -> str:
            return ""

    bare.add_resource("a://b", "")
    async with serving(door, notes(), auth=mint.guard(hides=True)) as http:
        hidden = await (await (await Modern(http).ask(method, params, fields=mint.bearer())).begun()).error()
    if method == "completion/complete":
        assert hidden["message"].startswith("Unknown ")
        return
    async with serving(door, bare, auth=mint.guard()) as http:
        missing = await (await (await Modern(http).ask(method, params, fields=mint.bearer())).begun()).error()
    assert hidden == missing


async def test_a_refusal_does_not_tell_the_scopes_of_what_is_hidden(door: str) -> None:
    mint = Mint()
    async with serving(door, notes(), auth=mint.guard(hides=True)) as http:
        asks_for(await (await Modern(http).call("erase", fields=mint.bearer(None))).begun(), "notes")


async def test_a_listen_for_a_hidden_resource_is_refused(door: str) -> None:
    mint = Mint()
    async with serving(door, notes(), auth=mint.guard(hides=True)) as http:
        answer = await Modern(http).listen(resourceSubscriptions=["plan://secret"], fields=mint.bearer())
        assert (await answer.error())["code"] == -32602


async def test_the_cursor_of_a_list_names_nothing_hidden(door: str) -> None:
    import base64

    mint = Mint()
    server = trimcp.Server("many", limits=trimcp.Limits(page=1))
    for number in range(4):

        @server.tool(name=f"tool{number}", scopes=["secret"] if number % 2 else [])
        async def tool() -> str:
            return ""

    async with serving(door, server, auth=mint.guard(hides=True)) as http:
        seen, cursor = [], None
        while True:
            params = {} if cursor is None else {"cursor": cursor}
            result = await (await Modern(http).ask("tools/list", params, fields=mint.bearer())).result()
            seen += [tool["name"] for tool in result["tools"]]
            cursor = result.get("nextCursor")
            if cursor is None:
                break
            assert not {b"tool1", b"tool3"} & {base64.urlsafe_b64decode(cursor)[16:]}
    assert seen == ["tool0", "tool2"]


async def test_listed_features_keep_their_cache_scope_where_lists_do_not_vary(door: str) -> None:
    mint, server = Mint(), notes(caching=trimcp.Caching(default=trimcp.CacheHint(scope="public")))
    async with serving(door, server, auth=mint.guard()) as http:
        assert await names(http, "tools/list", "name", mint.bearer()) == (["whoami", "write", "erase"], "public")
        read = await (await Modern(http).ask("resources/read", {"uri": "motd://today"}, fields=mint.bearer())).result()
        assert read["cacheScope"] == "public"
        fields = mint.bearer("notes notes:admin")
        read = await (await Modern(http).ask("resources/read", {"uri": "plan://secret"}, fields=fields)).result()
        assert read["cacheScope"] == "private"  # although it was declared public: others may not see it


# --- without a resource server --------------------------------------------------------


async def test_an_endpoint_without_authentication_refuses_what_needs_scopes(door: str) -> None:
    async with serving(door, notes()) as http:
        error = await (await Modern(http).call("write")).error()
        assert error["code"] == INSUFFICIENT
        assert error["data"] == {"reason": "insufficient_scope", "scopes": ["notes:write"]}
        assert await (await Modern(http).call("whoami")).text() == "anonymous"


async def test_the_scopes_of_an_authenticate_function_count(door: str) -> None:
    async def authenticate(request: Any) -> trimcp.Principal:
        return trimcp.Principal("ada", scopes=set((request.field("x-scopes") or "").split()))

    async with serving(door, notes(), authenticate=authenticate) as http:
        assert (await (await Modern(http).call("write")).error())["code"] == INSUFFICIENT
        assert await (await Modern(http).call("write", fields={"x-scopes": "notes:write"})).text() == "written"


async def test_in_memory_and_on_stdio_nothing_needs_scopes() -> None:
    async with trimcp.connect(notes()) as client:
        assert (await client.call_tool("write")).text == "written"
        assert (await client.read_resource("plan://secret")).contents


@pytest.mark.parametrize("scopes", ["notes", [""], ["a b"], ['"']])
def test_scopes_that_cannot_be_are_refused(scopes: Any) -> None:
    server = trimcp.Server("s")

    async def f() -> str:
        return ""

    for declare in (
        server.tool(scopes=scopes),
        server.prompt(scopes=scopes),
        server.resource("a://b", scopes=scopes),
    ):
        with pytest.raises(trimcp.UsageError, match="scope"):
            declare(f)
    with pytest.raises(trimcp.UsageError, match="scope"):
        server.add_resource("a://c", "", scopes=scopes)
