"""`subscriptions/listen` over HTTP: a stream of notices (basic/patterns/subscriptions of 2026-07-28)."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from tests.http.clients import BUSY, SUBSCRIPTION, Modern
from tests.http.raw import Http, serving
from tests.http.wires import settled
from tests.http.workshop import Workshop, by_name

ACKNOWLEDGED = "notifications/subscriptions/acknowledged"


async def test_a_listen_is_acknowledged_before_anything_else(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        answer = await Modern(http).listen(id="L", toolsListChanged=True, resourceSubscriptions=["mem://motd"])
        assert answer.is_stream
        message = await answer.message()
    assert message["method"] == ACKNOWLEDGED
    assert message["params"]["_meta"] == {SUBSCRIPTION: "L"}
    assert message["params"]["notifications"] == {"toolsListChanged": True, "resourceSubscriptions": ["mem://motd"]}


async def test_notices_carry_the_id_of_their_listen_and_are_those_asked_for(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        client = Modern(http)
        tools = await client.listen(id="tools", toolsListChanged=True)
        motd = await client.listen(id="motd", resourceSubscriptions=["mem://motd"])
        both = await client.listen(id="both", toolsListChanged=True, resourceSubscriptions=["mem://motd"])
        for answer in (tools, motd, both):
            await answer.message()
        http.server.notify_tools_changed()
        http.server.notify_prompts_changed()
        http.server.notify_resource_updated("mem://motd")
        http.server.notify_resource_updated("mem://other")
        changed, updated = "notifications/tools/list_changed", "notifications/resources/updated"
        assert [told(m) for m in await tools.arrived()] == [(changed, "tools")]
        assert [told(m) for m in await motd.arrived()] == [(updated, "motd")]
        assert [told(m) for m in await both.arrived()] == [(changed, "both"), (updated, "both")]


def told(message: dict[str, dict[str, dict[str, str]]]) -> tuple[object, str]:
    return message["method"], message["params"]["_meta"][SUBSCRIPTION]


async def test_a_quiet_listen_is_kept_alive_by_comments(door: str, autojump_clock: MockClock) -> None:
    shop = Workshop(limits={"keep_alive": 10})
    async with serving(door, shop.server) as http:
        answer = await Modern(http).listen(toolsListChanged=True)
        await answer.message()
        await trio.sleep(65)
        assert await answer.arrived() == []
        assert 4 <= answer.comments <= 7


async def listens(http: Http, number: int, principal: str | None = None) -> list[int]:
    """The statuses of that many, on one connection where it can carry them, else of one principal."""
    client = Modern(http, principal=principal)
    wire = None if principal else http.connect()
    answers = [await client.listen(id=1, toolsListChanged=True, on=wire) for _ in range(number)]
    for answer in answers:
        if answer.status == 503:
            assert (await answer.error())["code"] == BUSY
            assert answer.fields["retry-after"] == "1"
    return [answer.status for answer in answers]


async def test_one_principal_has_a_bound_on_listens(door: str) -> None:
    async with serving(door, Workshop(limits={"listens": 2}).server, authenticate=by_name) as http:
        assert await listens(http, 3, "ada") == [200, 200, 503]
        assert await listens(http, 1, "bob") == [200]


async def test_one_connection_has_a_bound_on_listens() -> None:
    async with serving("asgi", Workshop(limits={"listens": 2}).server) as http:
        assert await listens(http, 3) == [200, 200, 503]
        assert await listens(http, 1) == [200]


async def test_the_server_has_a_bound_on_listens(door: str) -> None:
    async with serving(door, Workshop(limits={"server_listens": 2}).server) as http:
        client = Modern(http)
        statuses = [(await client.listen(toolsListChanged=True)).status for _ in range(3)]
        assert statuses == [200, 200, 503]


async def test_a_drain_ends_a_listen_with_its_result_and_no_cancel(door: str) -> None:
    shop = Workshop()
    async with serving(door, shop.server) as http:
        answer = await Modern(http).listen(id="L", toolsListChanged=True)
        await answer.message()
        report = await shop.server.drain(1)
        (result,) = await answer.messages()
        assert result["id"] == "L"
        assert result["result"]["_meta"][SUBSCRIPTION] == "L"
        assert answer.is_complete
    assert (report.cancelled, report.lost) == (0, 0)


async def test_many_notices_while_nobody_reads_are_few_when_somebody_does(door: str) -> None:
    async with serving(door, Workshop().server) as http:
        answer = await Modern(http).listen(toolsListChanged=True, on=http.connect(capacity=600))
        for _ in range(5000):
            http.server.notify_tools_changed()
            await trio.lowlevel.checkpoint()
        messages = await answer.arrived()
        assert messages[0]["method"] == ACKNOWLEDGED
        assert 2 <= len(messages) <= 100
        await settled()
        http.server.notify_tools_changed()
        assert await answer.message()


async def test_the_notices_of_a_handler_are_posted_before_its_answer(door: str) -> None:
    shop = Workshop()
    posted: list[int] = []

    def posted_so_far() -> int:
        requests = [request for caller in http.running.callers for request in caller.requests.in_flight]  # type: ignore[union-attr]
        streams = [request.reply_stream._stream for request in requests]  # type: ignore[union-attr]
        return sum(stream.posted for stream in streams if stream is not None)

    @shop.server.tool
    async def touch() -> None:
        before = posted_so_far()
        shop.server.notify_tools_changed()
        shop.server.notify_resource_updated("mem://motd")
        posted.append(posted_so_far() - before)

    async with serving(door, shop.server) as http:
        client = Modern(http)
        notices = await client.listen(id="L", toolsListChanged=True, resourceSubscriptions=["mem://motd"])
        await notices.message()
        await (await client.call("touch")).result()
        assert posted == [2]
        changed, updated = "notifications/tools/list_changed", "notifications/resources/updated"
        assert [told(m) for m in await notices.arrived()] == [(changed, "L"), (updated, "L")]
