"""What tasks need of extensions: other results of the core's requests, requests, listens and state of their own."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trimcp
from tests.extensions.tasks_like import (
    COUNT,
    GET,
    IDENTIFIER,
    NEWS,
    ErrandNews,
    ErrandParams,
    Filling,
    client_side,
    server_side,
    shop,
)
from tests.requirements.wires import over_http
from tests.session.peer import LEGACY, MODERN, PATIENCE, Peer, RawServer, discovered, result, served
from trimcp.client.extension_negotiation import OfferedExtensions
from trimcp.server.deferred_work import detach
from trimcp.types import LATEST, CallToolResult, ElicitRequestFormParams, TextContent

DECLARED: dict[str, Any] = {"io.modelcontextprotocol/clientCapabilities": {"extensions": {IDENTIFIER: {}}}}


async def test_a_call_that_becomes_an_errand_is_finished_for_its_caller() -> None:
    async with trimcp.connect(shop(server_side()), extensions=[client_side()]) as client:
        assert client.extensions == {IDENTIFIER: {}}
        with trio.fail_after(PATIENCE):
            assert (await client.call_tool("slow_bread", {"kind": "rye"})).text == "rye bread"
            assert (await client.call_tool("butter")).text == "butter"
            assert (await client.call(COUNT, {}))["errands"] == 1


async def test_on_the_wire_an_errand_has_a_result_type_of_its_own() -> None:
    async with served(shop(server_side()), MODERN) as peer:
        answer = await peer.ask(peer.call(1, "slow_bread", {"kind": "rye"}, **DECLARED))
        assert answer["result"].pop("_meta")
        assert answer["result"] == {"resultType": "errand", "errandId": "errand-1", "statusMessage": "on its way"}
        answer = await peer.ask(peer.request(2, "errands/get", {"errandId": "errand-1"}, **DECLARED))
        assert answer["result"]["resultType"] == "complete"
        assert answer["result"]["status"] in ("working", "done")
        assert "io.modelcontextprotocol/serverInfo" in answer["result"]["_meta"]


async def test_who_did_not_declare_it_gets_what_the_core_gives() -> None:
    async with trimcp.connect(shop(server_side())) as client:
        assert (await client.call_tool("slow_bread", {"kind": "rye"})).text == "rye bread"
        assert client.extensions == {IDENTIFIER: {}}
        with pytest.raises(trimcp.UsageError, match="connect"):
            await client.call(GET, ErrandParams("errand-1"))


async def test_a_request_of_an_undeclared_extension_is_refused_and_told_what_to_declare() -> None:
    async with served(shop(server_side()), MODERN) as peer:
        answer = await peer.ask(peer.request(1, "errands/get", {"errandId": "errand-1"}))
        assert answer["error"]["code"] == -32021
        assert answer["error"]["data"] == {"requiredCapabilities": {"extensions": {IDENTIFIER: {}}}}
        answer = await peer.ask(peer.request(2, "errands/count"))  # it says that it needs no declaration
        assert answer["result"]["errands"] == 0


async def test_such_a_result_never_reaches_a_client_that_did_not_declare_the_extension() -> None:
    from tests.extensions.tasks_like import RESULT, Errand

    careless = trimcp.ServerExtension(IDENTIFIER, results=[RESULT])
    server = trimcp.Server("careless", extensions=[careless])

    @server.tool
    async def always() -> Any:
        return Errand("errand-1")

    async with served(server, MODERN) as peer:
        answer = await peer.ask(peer.call(1, "always"))
        assert answer["error"]["code"] == -32021
        answer = await peer.ask(peer.call(2, "always", **DECLARED))
        assert answer["result"]["resultType"] == "errand"


@pytest.mark.parametrize("version", LEGACY)
async def test_where_there_are_no_result_types_there_are_no_errands(version: str) -> None:
    modern_only = [MODERN]
    server = shop(server_side(modern_only))
    async with trimcp.connect(server, revision=version, extensions=[client_side(modern_only)]) as client:
        assert client.extensions == {}
        assert (await client.call_tool("slow_bread", {"kind": "rye"})).text == "rye bread"
        with pytest.raises(trimcp.UsageError, match=f"errands/get in {version}"):
            await client.call(GET, ErrandParams("errand-1"))
        with pytest.raises(trimcp.RequestFailed, match="not found") as caught:
            await client.request("errands/get", {"errandId": "errand-1"})
        assert caught.value.code == -32601


async def test_a_result_type_that_no_extension_of_the_client_knows_is_invalid() -> None:
    errand = {"resultType": "errand", "errandId": "1"}
    async with trimcp.connect(_answering(errand)) as client:
        with pytest.raises(trimcp.InvalidResult, match="resultType"):
            await client.call_tool("slow_bread")
    async with trimcp.connect(_answering(errand), extensions=[client_side()]) as client:
        with pytest.raises(trimcp.InvalidResult, match="resultType"):
            await client.list_tools()  # of calls of tools alone


def _answering(answer: dict[str, Any]) -> RawServer:
    async def serve(peer: Peer) -> None:
        probe = await peer.receive()
        await peer.send(discovered(probe["id"], capabilities={"tools": {}}))
        while True:
            try:
                request = await peer.receive()
            except EOFError:
                return
            await peer.send(result(request["id"], answer))

    return RawServer(serve)


async def test_a_request_that_takes_no_place_is_answered_while_all_places_are_taken() -> None:
    release = trio.Event()
    server = shop(server_side(), limits=trimcp.Limits(session_requests=1, session_waiting=1))

    @server.tool
    async def long() -> None:
        await release.wait()

    async with (
        trimcp.connect(server, extensions=[client_side()]) as client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(client.call_tool, "long")
        nursery.start_soon(client.call_tool, "long")
        await wait_all_tasks_blocked()
        assert (await client.call(COUNT, {}))["errands"] == 0
        release.set()


# --- work that goes on after the answer ---------------------------------------------------


async def test_what_goes_on_after_the_answer_may_ask_and_its_asking_goes_by_the_extension() -> None:
    asked: list[str] = []

    async def fill_in(params: ElicitRequestFormParams) -> dict[str, Any]:
        asked.append(params.message)
        return {"kind": "plums"}

    async with trimcp.connect(shop(server_side()), extensions=[client_side()], elicitation=fill_in) as client:
        with trio.fail_after(PATIENCE):
            assert (await client.call_tool("slow_cake")).text == "cake 7 with plums, accept"
    assert asked == ["With what?"] * 2


async def test_a_client_that_cannot_answer_is_not_asked() -> None:
    async with trimcp.connect(shop(server_side()), extensions=[client_side()]) as client:
        with trio.fail_after(PATIENCE), pytest.raises(trimcp.RequestFailed) as caught:
            await client.call_tool("slow_cake")
        assert caught.value.code == -32021


async def test_its_deadline_is_its_own(autojump_clock: MockClock) -> None:
    async with trimcp.connect(shop(server_side()), extensions=[client_side()]) as client:
        start = trio.current_time()
        with pytest.raises(trimcp.RequestFailed) as caught:
            await client.call_tool("slow_forever")
        assert trio.current_time() - start == pytest.approx(5)
        assert caught.value.code == -31003


async def test_it_can_be_cancelled_and_ends_with_the_server() -> None:
    server = shop(server_side())
    async with server.running():
        async with served(server, MODERN) as peer:
            await peer.ask(peer.call(1, "slow_forever", **DECLARED))
            await peer.ask(peer.request(2, "errands/cancel", {"errandId": "errand-1"}, **DECLARED))
            await wait_all_tasks_blocked()
            answer = await peer.ask(peer.request(3, "errands/get", {"errandId": "errand-1"}, **DECLARED))
            assert answer["result"]["status"].startswith("failed")
            await peer.ask(peer.call(4, "slow_forever", **DECLARED))
        await wait_all_tasks_blocked()
        assert server.tree()[0].jobs == 1  # it outlives the connection, and not the run


# --- listens ------------------------------------------------------------------------------


async def test_a_listen_is_told_of_the_keys_that_the_extension_grants() -> None:
    server = shop(server_side())
    async with trimcp.connect(server, extensions=[client_side()]) as client:
        await client.call_tool("slow_bread", {"kind": "rye"})
        more = {"errandIds": ["errand-1", "errand-2"]}
        async with client.listen(tools=True, more=more) as notices:
            assert notices.acknowledged.more == {"errandIds": ("errand-1",)}
            assert server.tree()[0].subscriptions == 1
            server.tell(NEWS, ErrandNews("errand-2", "lost"), topic="errandIds", key="errand-2")
            server.tell(NEWS, ErrandNews("errand-1", "done"), topic="errandIds", key="errand-1")
            notice = await anext(notices)
            assert isinstance(notice, trimcp.ExtensionNotice)
            assert notice.method == "notifications/errands"
            assert (notice.params.errand_id, notice.params.status) == ("errand-1", "done")
        await wait_all_tasks_blocked()
        assert server.tree()[0].subscriptions == 0


async def test_on_the_wire_a_topic_is_a_member_of_what_is_listened_to() -> None:
    server = shop(server_side())
    listen = {"notifications": {"toolsListChanged": True, "errandIds": ["errand-1"], "nobodysIds": ["1"]}}
    async with served(server, MODERN) as peer:
        await peer.ask(peer.call(1, "slow_bread", {"kind": "rye"}, **DECLARED))
        acknowledged = await peer.ask(peer.request("l", "subscriptions/listen", listen, **DECLARED))
        assert acknowledged["params"]["notifications"] == {"toolsListChanged": True, "errandIds": ["errand-1"]}
        server.tell(NEWS, ErrandNews("errand-1", '"@"'), topic="errandIds", key="errand-1")
        told = await peer.receive()
        assert told["method"] == "notifications/errands"
        assert told["params"] == {
            "_meta": {"io.modelcontextprotocol/subscriptionId": "l"},
            "errandId": "errand-1",
            "status": '"@"',
        }


@pytest.mark.parametrize(("meta", "ids", "code"), [({}, ["errand-1"], -32021), (DECLARED, "errand-1", -32602)])
async def test_a_topic_that_cannot_be_had_is_an_error(meta: dict[str, Any], ids: Any, code: int) -> None:
    async with served(shop(server_side()), MODERN) as peer:
        answer = await peer.ask(peer.request(1, "subscriptions/listen", {"notifications": {"errandIds": ids}}, **meta))
        assert answer["error"]["code"] == code


async def test_where_nobody_declares_the_extension_its_topic_is_an_unknown_member() -> None:
    async with served(shop(trimcp.ServerExtension("com.example/other")), MODERN) as peer:
        answer = await peer.ask(peer.request(1, "subscriptions/listen", {"notifications": {"errandIds": ["errand-1"]}}))
        assert answer["params"]["notifications"] == {}


# --- state --------------------------------------------------------------------------------


async def test_each_run_has_a_state_of_its_own() -> None:
    server = shop(server_side())
    for _ in range(2):
        async with trimcp.connect(server, extensions=[client_side()]) as client:
            await client.call_tool("slow_bread", {"kind": "rye"})
            assert (await client.call(COUNT, {}))["errands"] == 1


async def test_what_http_mirrors_into_its_headers_is_known_on_both_sides() -> None:
    async with shop(server_side()).running() as running:
        assert running.named_params["errands/get"] == "errandId"
        assert running.named_params["tools/call"] == "name"
    async with shop(server_side(["2025-11-25"])).running() as running:
        assert "errands/get" not in running.named_params
    assert OfferedExtensions([client_side()]).named_params(LATEST)["errands/get"] == "errandId"


async def test_a_client_over_http_repeats_the_named_param_in_its_header() -> None:
    async with over_http(shop(server_side()), extensions=[client_side()]) as line:
        with pytest.raises(trimcp.RequestFailed):
            await line.client.call(GET, ErrandParams("errand-1"))
        (exchange,) = line.of("errands/get")
        assert exchange.fields["mcp-name"] == "errand-1"


async def test_work_may_go_on_after_the_answer_in_a_session_as_well() -> None:
    identifier = "com.example/later"
    later = trimcp.ServerExtension(identifier)
    fetch = trimcp.ExtensionMethod("later/fetch", dict, dict)
    results: list[Any] = []
    release = trio.Event()

    @later.around("tools/call")
    async def defer(ctx: trimcp.Context, params: Any, proceed: trimcp.Proceed) -> Any:
        work = detach(ctx, proceed, params)

        async def run() -> None:
            results.append(work.encode(await work.run()))

        ctx.start_job(run)
        return CallToolResult([TextContent("later")])

    @later.method(fetch)
    async def give(ctx: trimcp.Context, params: dict[str, Any]) -> dict[str, Any]:
        return {"results": results}

    server = trimcp.Server("later", extensions=[later])

    @server.tool
    async def slow(*, ctx: trimcp.Context) -> str:
        await release.wait()
        await ctx.progress(1)
        with pytest.raises(trimcp.UsageError, match="ask function"):
            await ctx.elicit("?", Filling)
        return "done"

    client_side = trimcp.ClientExtension(identifier, sends=[fetch])

    async def fill_in(params: ElicitRequestFormParams) -> dict[str, Any]:
        return {"kind": "plums"}

    async with server.running():
        async with trimcp.connect(
            server, revision="2025-11-25", extensions=[client_side], elicitation=fill_in
        ) as client:
            assert (await client.call_tool("slow")).text == "later"
        async with trimcp.connect(server, revision="2025-11-25", extensions=[client_side]) as client:
            release.set()
            await wait_all_tasks_blocked()
            (found,) = (await client.call(fetch, {}))["results"]
            assert found["content"][0]["text"] == "done"
