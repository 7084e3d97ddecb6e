"""What the members of a group offer, in one list each, and calls that find their way to the right one."""

from __future__ import annotations

import re
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.client.answering import HINTS, answering
from tests.client.group.servers import Mortal, following, offering, until
from tests.session.peer import ERAS, MODERN, error, result
from trimcp import MemberChanged, MemberClosed, MemberLost, MemberReady, MemberState, Restarts, ToolsChanged, open_group
from trimcp.client.group.naming import SEPARATOR, check_server_name, merged_name, server_name_of, split

PROVIDERS = re.compile(r"[A-Za-z0-9_-]{1,64}")

SERVERS = st.from_regex(r"[A-Za-z0-9_-]{1,32}", fullmatch=True).map(server_name_of)
TOOLS = st.one_of(
    st.text(max_size=130),
    st.from_regex(r"[A-Za-z0-9_-]{1,70}", fullmatch=True),
    st.from_regex(r"_{0,3}[a-z]?-[0-9a-f]{12}", fullmatch=True),
)


@given(st.sets(st.tuples(SERVERS, TOOLS), max_size=10))
def test_merged_names_are_fit_for_providers_and_no_two_are_alike(pairs: set[tuple[str, str]]) -> None:
    names = {merged_name(server, own) for server, own in pairs}
    assert len(names) == len(pairs)
    assert all(PROVIDERS.fullmatch(name) for name in names)
    assert all(split(merged_name(server, own))[0] == server for server, own in pairs)


@given(SERVERS, TOOLS)
def test_the_short_form_of_a_name_is_no_other_name(server: str, own: str) -> None:
    name = merged_name(server, own)
    rest = name.removeprefix(server + SEPARATOR)
    assert rest == own or merged_name(server, rest) != name


@given(st.text(max_size=60), st.booleans())
def test_a_name_is_made_of_any_text(text: str, distinct: bool) -> None:
    name = server_name_of(text, distinct=distinct)
    check_server_name(name)
    assert server_name_of(name) == name


@pytest.mark.parametrize("version", ERAS)
async def test_all_lists_are_merged_and_say_whose_everything_is(version: str) -> None:
    async with open_group(revision=version) as group:
        for name in ("one", "two"):
            await group.add(name, offering(name))
        await group.wait_attempted()
        tools = await group.list_tools()
        assert [(tool.name, tool.server, tool.own_name) for tool in tools] == [
            ("one__look", "one", "look"),
            ("two__look", "two", "look"),
        ]
        assert tools[0].description == "Say who is called."
        assert tools.failures == {}
        assert [prompt.name for prompt in await group.list_prompts()] == ["one__greet", "two__greet"]
        resources = await group.list_resources()
        assert [(one.server, one.uri) for one in resources] == [
            ("one", "mem://shared"),
            ("one", "mem://only-one"),
            ("two", "mem://shared"),
            ("two", "mem://only-two"),
        ]
        assert resources[2].reference == "two__mem://shared"
        templates = await group.list_resource_templates()
        assert [(one.server, one.uri_template) for one in templates] == [
            ("one", "made-one://{what}"),
            ("two", "made-two://{what}"),
        ]


async def test_calls_find_the_member_that_their_name_names() -> None:
    async with open_group() as group:
        for name in ("one", "two"):
            await group.add(name, offering(name))
        await group.wait_attempted()
        assert (await group.call_tool("two__look")).text == "two.look"
        assert await group.call_tool("one__look", {}, returns=str) == "one.look"
        prompt = await group.get_prompt("two__greet", {"who": "Ann"})
        assert prompt.messages[0].content.text == "two greets Ann."  # type: ignore[union-attr]
        with pytest.raises(trimcp.UsageError, match="no member of the group is called 'three'"):
            await group.call_tool("three__look")
        with pytest.raises(trimcp.UsageError, match="names no member"):
            await group.call_tool("look")
        with pytest.raises(trimcp.RequestFailed, match="Unknown tool"):
            await group.call_tool("one__nosuch")


async def test_resources_are_read_from_the_one_member_that_has_them() -> None:
    async with open_group() as group:
        for name in ("one", "two"):
            await group.add(name, offering(name))
        await group.add("none", trimcp.Server("none"))
        await group.wait_attempted()
        assert (await group.read_resource("mem://only-two")).text == "only two's"
        assert (await group.read_resource("made-one://hay")).text == "hay, by one"
        assert (await group.read_resource("mem://shared", server="two")).text == "shared, by two"
        assert (await group.read_resource("one__mem://shared")).text == "shared, by one"
        with pytest.raises(trimcp.UsageError, match="'mem://shared' may be of one or two"):
            await group.read_resource("mem://shared")
        with pytest.raises(trimcp.UsageError, match="no member that is ready lists 'x:y'"):
            await group.read_resource("x:y")
        with pytest.raises(trimcp.UsageError, match="no member of the group is called 'three'"):
            await group.read_resource("mem://shared", server="three")
        await group.remove("two")
        assert (await group.read_resource("mem://shared")).text == "shared, by one"
        with pytest.raises(trimcp.ResourceNotFound):  # the only one that could have it is asked
            await group.read_resource("x:y")


async def test_names_that_do_not_fit_are_shortened_and_still_called() -> None:
    names = ("short", "with.dots", "x" * 100, "x" * 99 + "y", "ends-0123456789ab")
    async with open_group() as group:
        await group.add("one", offering(tools=names))
        await group.wait_ready("one")
        tools = await group.list_tools()
        assert [tool.own_name for tool in tools] == list(names)
        assert len({tool.name for tool in tools}) == len(names)
        for tool in tools:
            assert PROVIDERS.fullmatch(tool.name)
            assert (await group.call_tool(tool.name)).text == f"one.{tool.own_name}"
        shortened = tools[2].name
    async with open_group() as another:
        await another.add("one", offering(tools=names))
        await another.wait_ready("one")
        # The same name in another run, before any list was read.
        assert (await another.call_tool(shortened)).text == f"one.{'x' * 100}"
        with pytest.raises(trimcp.UsageError, match="has no tool 'one__x-"):
            await another.call_tool("one__x-0123456789ab")


async def test_what_a_server_lists_twice_stands_in_the_list_once() -> None:
    twice = {"name": "look", "inputSchema": {"type": "object"}}
    async with open_group() as group:
        await group.add("one", answering({"tools/list": {**HINTS, "tools": [twice, {**twice, "title": "Second"}]}}))
        await group.wait_ready("one")
        assert [(tool.name, tool.title) for tool in await group.list_tools()] == [("one__look", None)]


async def test_a_member_that_cannot_list_is_a_failure_and_the_rest_is_there(autojump_clock: MockClock) -> None:
    broken = answering({"tools/list": lambda request: error(request["id"], -32603, "broken")})
    nonsense = answering({"tools/list": {**HINTS, "tools": "none"}})
    slow = trimcp.Server("slow")
    slow.tool(lambda: "x", name="look")

    @slow.middleware
    async def wait(ctx: Any, params: Any, proceed: Any) -> Any:
        await trio.sleep(100)
        return await proceed(params)

    async with open_group() as group:
        for name, target in {"works": offering(), "broken": broken, "nonsense": nonsense, "slow": slow}.items():
            await group.add(name, target)
        await group.wait_attempted()
        tools = await group.list_tools(timeout=3)
        assert [tool.name for tool in tools] == ["works__look"]
        assert {name: type(why) for name, why in tools.failures.items()} == {
            "broken": trimcp.RequestFailed,
            "nonsense": trimcp.InvalidResult,
            "slow": trimcp.RequestTimedOut,
        }


@pytest.mark.parametrize("version", ERAS)
async def test_lists_are_asked_for_once_until_the_server_says_that_they_have_changed(version: str) -> None:
    asked = 0
    server = trimcp.Server("one", caching=trimcp.Caching(default=trimcp.CacheHint(60_000)))
    server.tool(lambda: "x", name="look")

    @server.middleware
    async def count(ctx: Any, params: Any, proceed: Any) -> Any:
        nonlocal asked
        asked += ctx.method == "tools/list"
        return await proceed(params)

    async with open_group(revision=version) as group, group.events() as events:
        await group.add("one", server)
        await group.wait_ready("one")
        await wait_all_tasks_blocked()
        lists: list[Any] = []
        async with trio.open_nursery() as nursery:
            for _ in range(5):

                async def read() -> None:
                    lists.append(await group.list_tools())

                nursery.start_soon(read)
                if version == ERAS[1]:  # the client's cache does not join requests that are under way
                    await wait_all_tasks_blocked()
        assert asked == 1
        lists[0][0].input_schema["spoilt"] = True
        assert "spoilt" not in (await group.list_tools())[0].input_schema
        server.tool(lambda: "y", name="more")
        assert (await until(events, MemberChanged))[-1] == MemberChanged("one", ToolsChanged())
        assert [tool.own_name for tool in await group.list_tools()] == ["look", "more"]
        assert asked == 2
        assert len(await group.list_tools(fresh=True)) == 2
        assert asked == 3


async def test_what_changes_is_known_as_soon_as_any_reader_knows_it() -> None:
    server = offering()
    async with open_group(revision="2025-11-25") as group:
        await group.add("one", server)
        client = await group.wait_ready("one")
        await wait_all_tasks_blocked()
        async with client.notices() as notices:
            for n in range(20):
                await group.list_tools()
                server.tool(lambda: "x", name=f"more{n}")
                await anext(notices)
                assert len(await group.list_tools()) == n + 2


async def test_what_was_listed_goes_with_the_connection(autojump_clock: MockClock) -> None:
    mortal = Mortal()
    async with open_group(restarts=Restarts(jitter=0)) as group, group.events() as events:
        await group.add("one", mortal)
        await until(events, MemberReady)
        assert len(await group.list_tools()) == 1
        await mortal.die()
        await until(events, MemberLost)
        assert await group.list_tools() == []
        with pytest.raises(trimcp.UsageError, match="'one' is waiting"):
            await group.call_tool("one__look")
        mortal.server = offering("another", tools=("hear", "see"))
        await until(events, MemberReady)
        assert [tool.name for tool in await group.list_tools()] == ["one__hear", "one__see"]


async def test_a_server_that_ends_what_tells_of_changes_is_asked_again(autojump_clock: MockClock) -> None:
    listens = 0

    def listen(request: Any) -> Any:
        nonlocal listens
        listens += 1
        return result(request["id"], {"resultType": "complete"})

    opening = {**HINTS, "supportedVersions": [MODERN], "capabilities": {"tools": {"listChanged": True}}}
    answers = {"server/discover": opening, "subscriptions/listen": listen, "tools/list": {**HINTS, "tools": []}}
    target = answering(answers)
    async with open_group(restarts=Restarts(most=3)) as group, group.events() as events:
        await group.add("one", target)
        await until(events, MemberReady)
        for _ in range(3):
            assert await following(events) == MemberChanged("one", ToolsChanged())
        await trio.sleep(1000)
        assert listens == 4
        assert await group.list_tools() == []


async def test_a_list_that_changes_while_it_is_read_is_read_again() -> None:
    server = offering()
    changes = 0

    @server.middleware
    async def change(ctx: Any, params: Any, proceed: Any) -> Any:
        nonlocal changes
        answer = await proceed(params)
        if ctx.method == "tools/list" and changes == 0:
            changes += 1
            server.tool(lambda: "x", name="more")
        return answer

    async with open_group(revision="2025-11-25") as group:
        await group.add("one", server)
        await group.wait_ready("one")
        await wait_all_tasks_blocked()
        assert [tool.own_name for tool in await group.list_tools()] == ["look"]
        assert [tool.own_name for tool in await group.list_tools()] == ["look", "more"]


async def test_a_change_that_waits_to_be_read_stands_for_those_after_it() -> None:
    server = offering()
    async with open_group() as group, group.events() as events:
        await group.add("one", server)
        await until(events, MemberReady)
        await wait_all_tasks_blocked()
        for _ in range(5):
            server.notify_tools_changed()
            await wait_all_tasks_blocked()
        await group.remove("one")
        assert await until(events, MemberClosed) == [MemberChanged("one", ToolsChanged()), MemberClosed("one")]


async def test_a_server_that_refuses_to_tell_of_changes_is_used_all_the_same(autojump_clock: MockClock) -> None:
    opening = {**HINTS, "supportedVersions": [MODERN], "capabilities": {"tools": {"listChanged": True}}}
    answers = {
        "server/discover": opening,
        "subscriptions/listen": lambda request: error(request["id"], -32603, "no"),
        "tools/list": {**HINTS, "tools": []},
    }
    async with open_group(restarts=Restarts(most=2)) as group:
        member = await group.add("one", answering(answers))
        await member.wait_ready()
        await trio.sleep(1000)
        assert await group.list_tools() == []
        assert (member.state, member.connections) == (MemberState.READY, 1)
