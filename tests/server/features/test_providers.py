"""`trimcp.Provider`: tools, resources and prompts beside those that are declared with decorators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

import trimcp
from tests.server.news import changed, listen, updated
from tests.server.providing import Library, Shelf, tool, with_functions
from tests.session.peer import ALL, ERAS, MODERN, Logged, served
from trimcp.types import CallToolResult, TextContent

EVERYTHING = {
    "tools": {"listChanged": True},
    "resources": {"listChanged": True, "subscribe": True},
    "prompts": {"listChanged": True},
    "completions": {},
}


def library() -> trimcp.Server:
    """A server that has nothing but a provider."""
    server = trimcp.Server("library")
    server.add_provider(Library())
    return server


# --- everything that a provider has -----------------------------------------------------------


@pytest.mark.parametrize("version", ALL)
async def test_its_features_are_capabilities_before_anything_is_listed(version: str) -> None:
    async with served(library(), version, opened=False) as peer:
        opening = peer.request(1, "server/discover") if version == MODERN else peer.initialize()
        capabilities = (await peer.ask(opening))["result"]["capabilities"]
        told = [kind for kind in EVERYTHING if kind != "completions" or version != "2024-11-05"]
        assert {kind: capabilities[kind] for kind in told} == {kind: EVERYTHING[kind] for kind in told}


@pytest.mark.parametrize("version", ERAS)
async def test_its_tools_are_listed_and_called(version: str) -> None:
    async with trimcp.connect(library(), revision=version, name="ada") as client:
        assert [each.name for each in await client.list_tools()] == ["lend"]
        assert (await client.call_tool("lend", {"book": "1"})).text == "lent to ada"
        gone = await client.call_tool("lend", {"book": "gone"})
        assert (gone.is_error, gone.text) == (True, "that one is lent already")
        with pytest.raises(trimcp.RequestFailed, match="Unknown tool: sell"):
            await client.call_tool("sell")


@pytest.mark.parametrize("version", ERAS)
async def test_its_resources_are_listed_and_read(version: str) -> None:
    async with trimcp.connect(library(), revision=version) as client:
        assert [each.uri for each in await client.list_resources()] == ["book://1"]
        assert [each.uri_template for each in await client.list_resource_templates()] == ["book://{number}"]
        read = await client.read_resource("book://7")
        assert (read.text, read.contents[0].mime_type) == ("the text of book://7", "text/markdown")
        for missing in ("book://0", "film://1"):
            with pytest.raises(trimcp.ResourceNotFound):
                await client.read_resource(missing)


@pytest.mark.parametrize("version", ERAS)
async def test_its_prompts_are_listed_got_and_completed(version: str) -> None:
    async with trimcp.connect(library(), revision=version) as client:
        assert [each.name for each in await client.list_prompts()] == ["review"]
        got = await client.get_prompt("review", {"book": "1"})
        assert got.description == "Review a book."
        assert isinstance(got.messages[0].content, TextContent)
        assert got.messages[0].content.text == "Review 1."
        with pytest.raises(trimcp.RequestFailed, match="Unknown prompt: other"):
            await client.get_prompt("other")


async def test_its_arguments_are_completed() -> None:
    async with served(library(), MODERN) as peer:
        params = {"ref": {"type": "ref/prompt", "name": "review"}, "argument": {"name": "book", "value": "a"}}
        answer = await peer.ask(peer.request(1, "completion/complete", params))
        assert answer["result"]["completion"]["values"] == ["a-0", "a-1", "a-2"]
        params["ref"] = {"type": "ref/prompt", "name": "other"}
        assert (await peer.ask(peer.request(2, "completion/complete", params)))["error"]["code"] == -32602


@pytest.mark.parametrize("version", ERAS)
@pytest.mark.parametrize(
    ("value", "schema", "structured"),
    [
        ({"n": 1}, {"type": "object", "properties": {"n": {"type": "integer"}}}, {"n": 1}),
        (CallToolResult([TextContent("x")], structured_content={"n": 2}), {"type": "object"}, {"n": 2}),
        ({"n": 1}, None, None),
    ],
)
async def test_what_a_tool_returns_is_shaped_by_its_definition(
    version: str, value: Any, schema: dict[str, Any] | None, structured: Any
) -> None:
    class Counting(Shelf):
        async def find_tool(self, ctx: trimcp.Context, name: str) -> trimcp.ProvidedTool | None:
            async def call(ctx: trimcp.Context, arguments: Mapping[str, Any]) -> Any:
                return value

            return trimcp.ProvidedTool(tool("count", output_schema=schema), call)

    server = trimcp.Server("counter")
    server.add_provider(Counting("count"))
    async with served(server, version) as peer:
        result = (await peer.ask(peer.call(1, "count")))["result"]
        assert result.get("structuredContent") == structured
        assert result["content"]


async def test_middleware_is_around_what_providers_answer() -> None:
    server = library()
    seen: list[str] = []

    @server.middleware
    async def watch(ctx: trimcp.Context, params: Any, proceed: trimcp.Proceed) -> Any:
        seen.append(ctx.method)
        return await proceed(params)

    async with trimcp.connect(server) as client:
        await client.call_tool("lend")
        await client.list_prompts()
    assert seen == ["tools/call", "prompts/list"]


# --- order and collisions -----------------------------------------------------------------------


@pytest.mark.parametrize("version", ERAS)
async def test_the_first_one_that_has_a_name_wins_in_lists_and_calls(version: str, logged: Logged) -> None:
    server = with_functions("a", "b")
    server.add_provider(Shelf("b", "c", "c", name="one"))
    server.add_provider(Shelf("a", "c", "d", name="two"))
    async with trimcp.connect(server, revision=version) as client:
        assert [each.name for each in await client.list_tools()] == ["a", "b", "c", "d"]
        texts = [(await client.call_tool(name)).text for name in "abcd"]
        assert texts == ["declared", "declared", "c on one []", "d on two []"]
    assert [(line["name"], line["provider"], line["by"]) for line in logged.of("definition.shadowed")] == [
        ("c", "one", "one"),
        ("b", "one", "a declared function"),
        ("a", "two", "a declared function"),
        ("c", "two", "one"),
    ]


async def test_what_the_first_one_drops_the_next_one_has() -> None:
    server = with_functions("a")
    server.add_provider(Shelf("a", name="one"))
    async with trimcp.connect(server) as client:
        server.remove_tool("a")
        assert (await client.call_tool("a")).text == "a on one []"
        assert [each.name for each in await client.list_tools()] == ["a"]


async def test_a_declared_template_stands_before_the_resources_of_providers() -> None:
    server = library()
    server.add_resource("book://1", "declared")
    async with trimcp.connect(server) as client:
        assert [each.name for each in await client.list_resources()] == ["1"]
        assert (await client.read_resource("book://1")).text == "declared"
        assert (await client.read_resource("book://2")).text == "the text of book://2"


# --- changes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ERAS)
async def test_it_tells_of_changes_from_any_thread(version: str) -> None:
    server, provider = trimcp.Server("library"), Library()
    server.add_provider(provider)
    async with served(server, version) as peer:
        id = 1 if version == MODERN else None
        if version == MODERN:
            await peer.ask(listen(peer, 1, tools=True, uris=["book://1"]))
        else:
            await peer.ask(peer.request(1, "resources/subscribe", {"uri": "book://1"}))
        provider.notify_changed("tools")
        assert await peer.settled() == [changed("tools", id=id)]

        def elsewhere() -> None:
            for _ in range(100):
                provider.notify_updated("book://1")

        await trio.to_thread.run_sync(elsewhere)
        told = await peer.settled()
        assert told
        assert told == [updated("book://1", id=id)] * len(told)


async def test_adding_and_removing_one_tells() -> None:
    server, provider = with_functions("a"), Shelf("b")
    async with served(server, "2025-11-25") as peer:
        await peer.settled()
        server.add_provider(provider)
        assert await peer.settled() == [changed("tools")]
        assert len((await peer.ask(peer.request(1, "tools/list")))["result"]["tools"]) == 2
        server.remove_provider(provider)
        assert await peer.settled() == [changed("tools")]
        assert len((await peer.ask(peer.request(2, "tools/list")))["result"]["tools"]) == 1
        provider.notify_changed("tools")
        assert await peer.settled() == []


async def test_one_provider_may_serve_several_servers() -> None:
    provider = Library()
    servers = [trimcp.Server(name) for name in ("one", "two")]
    for server in servers:
        server.add_provider(provider)
    async with served(servers[0], "2025-11-25") as one, served(servers[1], "2025-11-25") as two:
        await one.settled()
        await two.settled()
        provider.notify_changed("prompts")
        assert await one.settled() == await two.settled() == [changed("prompts")]
        servers[0].remove_provider(provider)
        await one.settled()
        provider.notify_changed("prompts")
        assert await two.settled() == [changed("prompts")]
        assert await one.settled() == []


async def test_a_call_goes_on_when_its_provider_is_removed() -> None:
    go = trio.Event()

    class Slow(Shelf):
        async def find_tool(self, ctx: trimcp.Context, name: str) -> trimcp.ProvidedTool | None:
            async def call(ctx: trimcp.Context, arguments: Mapping[str, Any]) -> str:
                await go.wait()
                return "done"

            return trimcp.ProvidedTool(tool(name), call)

    server, provider = trimcp.Server("slow"), Slow("wait")
    server.add_provider(provider)
    async with served(server, MODERN) as peer:
        await peer.send(peer.call(1, "wait"))
        await wait_all_tasks_blocked()
        server.remove_provider(provider)
        go.set()
        assert (await peer.receive())["result"]["content"][0]["text"] == "done"
        assert (await peer.ask(peer.call(2, "wait")))["error"]["code"] == -32602


# --- mistakes of the program ------------------------------------------------------------------------


class Lacking(trimcp.Provider):
    """Names a feature, and has no methods for it."""

    features = frozenset({"prompts"})


class Nameless(Shelf):
    """Has the name of its class."""

    def __init__(self) -> None:
        super().__init__()
        del self.name


class Odd(Shelf):
    features: Any = ("tools", "films")


class Empty(Shelf):
    features: Any = ()


def test_mistakes_are_told_when_it_is_added() -> None:
    server = trimcp.Server("a")
    shelf = Shelf()
    server.add_provider(shelf)
    server.add_provider(Nameless())
    wrong: Any
    for wrong, why in (
        (lambda: 1, "@server.dependency"),
        (Shelf, "an instance of a subclass of trimcp.Provider"),
        (Lacking(), "not list_prompts: define it"),
        (Odd(), "Invalid features .* use some of"),
        (Empty(), "Invalid features .* use some of"),
        (shelf, "Duplicate provider shelf"),
        (Nameless(), "Duplicate provider name 'Nameless'"),
        (Shelf(), "Duplicate provider name 'shelf'"),
        (Shelf(name=7), "Invalid name 7"),  # type: ignore[arg-type]
        (trimcp.Provider(), "Invalid features .* use some of"),
    ):
        with pytest.raises(trimcp.UsageError, match=why):
            server.add_provider(wrong)
    for timeout in (0, -1.0, float("nan")):
        with pytest.raises(trimcp.UsageError, match="timeout"):
            server.add_provider(Shelf(name="other"), timeout=timeout)
    with pytest.raises(trimcp.UsageError, match="Unknown provider"):
        server.remove_provider(Shelf())


@pytest.mark.parametrize("decorator", ["dependency", "provider"])
def test_a_provider_is_no_dependency(decorator: str) -> None:
    server = trimcp.Server("a")
    for wrong in (Shelf(), Shelf):
        with pytest.raises(trimcp.UsageError, match="add_provider"):
            getattr(server, decorator)(wrong)


async def test_a_feature_that_a_run_began_without_cannot_be_added() -> None:
    server = with_functions("a")
    async with server.running():
        server.add_provider(Shelf("b"))
        with pytest.raises(trimcp.UsageError, match="before the server runs"):
            server.add_provider(Library())


# --- providers that misbehave ------------------------------------------------------------------------


class Misbehaving(Shelf):
    """Does as a test says, when it is asked for a list, and for the tool `bad`."""

    def __init__(self, how: Any) -> None:
        super().__init__("bad", name="misbehaving")
        self.how = how

    async def list_tools(self, ctx: trimcp.Context, cursor: str | None) -> Any:
        return await self.how()

    async def find_tool(self, ctx: trimcp.Context, name: str) -> Any:
        return await self.how() if name == "bad" else None


def raiser(error: BaseException) -> Any:
    async def fail() -> Any:
        raise error

    return fail


def returner(value: Any) -> Any:
    async def give() -> Any:
        return value

    return give


async def leave_a_scope_open() -> Any:
    trio.CancelScope().__enter__()
    return ()


async def cancel_a_scope_that_is_left_open() -> Any:
    trio.CancelScope().__enter__().cancel()
    return ()


HOSTILE: dict[str, Any] = {
    "Exception": raiser(ValueError("no")),
    "a group": raiser(ExceptionGroup("no", [ValueError("no")])),
    "Cancelled": raiser(trio.Cancelled._create(source="explicit")),
    "GeneratorExit": raiser(GeneratorExit()),
    "SystemExit": raiser(SystemExit(3)),
    "BaseException": raiser(BaseException("no")),
    "StopIteration": raiser(StopIteration()),
    "an open scope": leave_a_scope_open,
    "a cancelled scope": cancel_a_scope_that_is_left_open,
    "not async": lambda: (),
    "an int": returner(7),
    "a text": returner("bad"),
    "a list of texts": returner(["bad"]),
    "a mapping": returner({"bad": 1}),
    "a page of nothing": returner(trimcp.ProvidedPage(None)),  # type: ignore[arg-type]
    "a page with a wrong cursor": returner(trimcp.ProvidedPage([tool("bad")], 7)),  # type: ignore[arg-type]
    "a page with a long cursor": returner(trimcp.ProvidedPage([tool("bad")], "x" * 5000)),
    "pages without end": returner(trimcp.ProvidedPage([], "again")),
    "a name that is no text": returner([tool(7)]),  # type: ignore[arg-type]
}


HEALTHY = {"good": "declared", "better": "better on first []", "behind": "behind on last []"}
"""Tools that others have, and what they answer."""


@pytest.mark.parametrize("version", ERAS)
@pytest.mark.parametrize("how", HOSTILE)
async def test_a_provider_that_misbehaves_fails_the_requests_that_need_it_and_no_other(
    version: str, how: str, logged: Logged
) -> None:
    server = with_functions("good")
    server.add_provider(Shelf("better", name="first"))
    server.add_provider(Misbehaving(HOSTILE[how]))
    server.add_provider(Shelf("behind", name="last"))
    async with server.running(), served(server, version) as peer, served(server, version) as other:
        for id in range(3):
            assert (await peer.ask(peer.request(f"list {id}", "tools/list")))["error"]["code"] == -32603
            assert (await peer.ask(peer.call(f"bad {id}", "bad")))["error"]["code"] == -32603
            for healthy in (peer, other):
                for name in HEALTHY:
                    answer = await healthy.ask(healthy.call(f"{name} {id}", name))
                    assert answer["result"]["content"][0]["text"] == HEALTHY[name]
    assert len(logged.of("provider.failed")) + len(logged.of("handler.failed")) >= 6


@pytest.mark.parametrize("version", ERAS)
async def test_a_provider_that_hangs_is_given_up_after_its_timeout(
    version: str, autojump_clock: trio.testing.MockClock, logged: Logged
) -> None:
    server = with_functions("good")
    server.add_provider(Misbehaving(trio.sleep_forever), timeout=5)
    async with served(server, version) as peer:
        for request in (peer.request(1, "tools/list"), peer.call(1, "bad")):
            began = trio.current_time()
            await peer.send(request)
            assert "declared" in str(await peer.ask(peer.call(2, "good")))
            answer = await peer.receive()
            assert trio.current_time() - began == 5
            assert answer["error"] == {
                "code": -31003,
                "message": "The provider misbehaving did not answer within 5 s",
                "data": {"reason": "deadline"},
            }
    assert len(logged.of("provider.failed")) == 2


async def test_a_request_that_is_cancelled_cancels_its_provider(autojump_clock: trio.testing.MockClock) -> None:
    ended: list[str] = []

    async def wait() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append("ended")

    server = trimcp.Server("slow")
    server.add_provider(Misbehaving(wait), timeout=None)
    async with trimcp.connect(server) as client:
        with trio.move_on_after(3):
            await client.list_tools()
        await wait_all_tasks_blocked()
        assert ended == ["ended"]


@pytest.mark.parametrize("version", ERAS)
async def test_its_own_refusals_are_handed_on(version: str) -> None:
    server = trimcp.Server("strict")
    server.add_provider(Misbehaving(raiser(trimcp.RequestFailed(-31900, "not today", {"day": 1}))))
    async with served(server, version) as peer:
        for request in (peer.request(1, "tools/list"), peer.call(1, "bad")):
            assert (await peer.ask(request))["error"] == {"code": -31900, "message": "not today", "data": {"day": 1}}


async def test_a_tool_that_it_found_may_fail_like_any_other(logged: Logged) -> None:
    class Frail(Shelf):
        async def find_tool(self, ctx: trimcp.Context, name: str) -> trimcp.ProvidedTool:
            return trimcp.ProvidedTool(tool(name), lambda ctx, arguments: raiser(ValueError("secret"))())

    server = trimcp.Server("frail")
    server.add_provider(Frail("a"))
    async with served(server) as peer:
        result = (await peer.ask(peer.call(1, "a")))["result"]
        assert result["isError"]
        assert result["content"][0]["text"] == "The tool a failed with an unexpected error"


async def test_a_tool_of_another_name_is_not_what_was_looked_for() -> None:
    server = trimcp.Server("odd")
    server.add_provider(Misbehaving(returner(trimcp.ProvidedTool(tool("other"), returner("x")))))
    async with served(server) as peer:
        assert (await peer.ask(peer.call(1, "bad")))["error"]["code"] == -32603
