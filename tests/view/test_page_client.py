"""The client of a page: its calls, questions and bounds, with a page of the test's own, in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
import trio
import trio.testing

from tests.view.desk import server as desk
from trimcp.http.binding import Fields, HttpResponse
from trimcp.view.control import ControlRefused
from trimcp.view.page_client import outbox, page_clients
from trimcp.view.page_client.page_client import IN_FLIGHT, ClientTarget, PageClient, PagePolicy
from trimcp.view.page_client.page_clients import PageClients


class Page(HttpResponse):
    """A page that reads as much as the test lets it."""

    def __init__(self, clients: PageClients) -> None:
        super().__init__()
        self._clients = clients
        self._send, self._receive = trio.open_memory_channel[tuple[str, Any]](1000)
        self.is_stuck = False
        self.is_over = False
        self.key = ""
        self.numbers = iter(range(1, 10**6))

    @property
    def is_clogged(self) -> bool:
        return self.is_stuck

    def respond(self, status: int, fields: Fields, body: bytes = b"") -> None:
        raise NotImplementedError

    def begin(self, status: int, fields: Fields) -> None:
        assert status == 200

    def write(self, data: bytes) -> None:
        for event in data.split(b"\n\n"):
            name, _, members = event.partition(b"\ndata: ")
            if members:
                self._send.send_nowait((name.removeprefix(b"event: ").decode(), orjson.loads(members)))

    def end(self) -> None:
        self.is_over = True

    def abort(self) -> None:
        self.is_over = True

    async def next(self, name: str, **fits: Any) -> Any:
        """Return the next event of that name with these members."""
        with trio.fail_after(30):
            while True:
                found, members = await self._receive.receive()
                if found == name and all(members.get(key) == value for key, value in fits.items()):
                    return members

    async def do(self, what: str, **asked: Any) -> None:
        await self._clients.act(self.key, what, asked)

    async def start(self, method: str, **params: Any) -> int:
        number = next(self.numbers)
        await self.do("ask", number=number, method=method, params=params)
        return number

    async def ask(self, method: str, **params: Any) -> Any:
        return await self.next("answer", number=await self.start(method, **params))


@asynccontextmanager
async def opened(**options: Any) -> AsyncIterator[Page]:
    async with desk.running(), trio.open_nursery() as nursery:
        clients = PageClients(ClientTarget(target=desk, **options), nursery)
        page = Page(clients)
        assert clients.open(page)
        page.key = (await page.next("opened"))["key"]
        await page.next("connection", state="connected")
        yield page
        nursery.cancel_scope.cancel()


async def call(page: Page, name: str, **arguments: Any) -> int:
    return await page.start("tools/call", name=name, arguments=arguments)


async def test_a_page_lists_calls_reads_gets_and_completes() -> None:
    async with opened() as page:
        assert "send" in [tool["name"] for tool in (await page.ask("tools/list"))["result"]]
        parcel = {"weight": 2.5, "to": {"street": "Low Road", "number": 7}}
        sent = await page.ask("tools/call", name="send", arguments={"parcel": parcel})
        assert sent["result"]["structuredContent"]["to"] == parcel["to"]
        assert sent["seconds"] >= 0
        read = await page.ask("resources/read", uri="desk://drawer/3")
        assert read["result"]["contents"][0]["text"] == "drawer 3"
        letter = await page.ask("prompts/get", name="letter", arguments={"recipient": "Ada"})
        assert letter["result"]["messages"][0]["content"]["text"] == "Write a warm letter to Ada"
        tones = await page.ask("completion/complete", prompt="letter", argument="tone", value="c")
        assert tones["result"]["values"] == ["cold"]
        wrong = await page.ask("prompts/get", name="none", arguments={})
        assert wrong["code"] == -32602
        long = await page.ask("tools/call", name="unroll", arguments={"length": 5 * 2**20})
        assert "and a page gets at most 4194304" in long["problem"]
        failed = await page.ask("tools/call", name="send", arguments={})
        assert failed["result"]["isError"]


async def test_a_person_answers_a_form_and_declines_one() -> None:
    async with opened() as page:
        for answer, said in (
            ({"action": "accept", "content": {"name": "Ada", "age": 36}}, "Good day, Ada"),
            ({"action": "decline"}, "It is decline"),
            ({"action": "cancel"}, "It is cancel"),
        ):
            number = await call(page, "greet")
            question = await page.next("question", kind="form")
            assert question["schema"]["required"] == ["name", "age"]
            await page.do("answer", **answer, number=question["number"])
            assert (await page.next("closed"))["number"] == question["number"]
            answered = await page.next("answer", number=number)
            assert answered["result"]["content"][0]["text"] == said
            with pytest.raises(ControlRefused, match="waits no more"):
                await page.do("answer", action="accept", number=question["number"])


async def test_a_page_is_shown_with_warnings_and_only_if_it_is_one_of_the_web() -> None:
    async with opened() as page:
        number = await call(page, "pay", url="http://аpple.example/")
        question = await page.next("question", kind="page")
        assert "it may look like another host" in " ".join(question["warnings"])
        await page.do("answer", number=question["number"], action="accept")
        assert (await page.next("answer", number=number))["result"]["structuredContent"] == {"result": "accept"}
        paid = await page.ask("tools/call", name="pay", arguments={"url": "file:///etc/passwd"})
        assert paid["result"]["structuredContent"] == {"result": "decline"}


async def test_a_resource_is_watched() -> None:
    async with opened() as page:
        assert "result" in await page.ask("resources/subscribe", uri="desk://motto")
        desk.notify_resource_updated("desk://motto")
        assert (await page.next("notice", kind="ResourceUpdated"))["data"] == {"uri": "desk://motto"}
        assert "result" in await page.ask("resources/unsubscribe", uri="desk://motto")


async def test_a_person_is_the_model_or_refuses() -> None:
    async with opened() as page:
        number = await call(page, "think")
        question = await page.next("question", kind="sampling")
        assert question["params"]["messages"][0]["content"]["text"] == "What is the answer?"
        await page.do("answer", number=question["number"], text="42")
        assert (await page.next("answer", number=number))["result"]["structuredContent"] == {"result": "42"}
        number = await call(page, "think")
        question = await page.next("question", kind="sampling")
        await page.do("answer", number=question["number"], text=None)
        refused = await page.next("answer", number=number)
        assert "rejected" in str(refused)


async def test_roots_are_those_of_the_page() -> None:
    async with opened() as page:
        with pytest.raises(ControlRefused, match="give a folder"):
            await page.do("roots", folders=["https://example.com/x"])
        await page.do("roots", folders=["/srv/desk"])
        folders = await page.ask("tools/call", name="fold", arguments={})
        assert folders["result"]["structuredContent"] == {"result": ["file:///srv/desk"]}


async def test_a_call_shows_progress_and_is_cancelled() -> None:
    async with opened() as page:
        number = await call(page, "work")
        assert (await page.next("progress"))["message"] == "kneading"
        await page.do("cancel", number=number)
        assert (await page.next("answer", number=number))["problem"] == "Cancelled"
        with trio.fail_after(30):
            while [each for run in desk.tree() for s in run.sessions for each in s.requests if each.name == "work"]:
                await trio.sleep(0.01)


async def test_a_page_that_leaves_cancels_its_calls_and_a_reload_ends_them() -> None:
    async with opened() as page:
        number = await call(page, "work")
        await page.next("progress")
        page._clients.connect_again()
        assert "ended" in (await page.next("answer", number=number))["problem"]
        await page.next("connection", state="connected")
        await call(page, "work")
        await page.next("progress")
        page.gone()
        with trio.fail_after(30):
            while not page.is_over:
                await trio.sleep(0.01)
        await trio.testing.wait_all_tasks_blocked()
        assert not [run.sessions for run in desk.tree() if run.sessions]
        with pytest.raises(ControlRefused, match="no client any more"):
            await page.do("cancel", number=1)


async def test_calls_pages_and_methods_have_bounds() -> None:
    async with opened() as page:
        for _ in range(IN_FLIGHT):
            await call(page, "work")
        with pytest.raises(ControlRefused, match="16 calls are in flight"):
            await call(page, "work")
        with pytest.raises(ControlRefused, match="one of the methods"):
            await page.start("logging/setLevel", level="debug")
        with pytest.raises(ControlRefused, match="There is no 'explode'"):
            await page.do("explode")
        for _ in range(page_clients.MOST_CLIENTS - 1):
            assert page._clients.open(Page(page._clients))
        assert not page._clients.open(Page(page._clients))


async def test_a_page_that_reads_nothing_gets_the_newest_progress_or_is_dropped(nursery: trio.Nursery) -> None:
    page = Page(PageClients(ClientTarget(target=desk), nursery))
    scope = trio.CancelScope()
    events = outbox.PageOutbox(page, scope)
    page.is_stuck = True
    for progress in range(1000):
        events.post("progress", newest="p", progress=progress)
    events.post("answer", number=1)
    page.is_stuck = False
    assert page.on_clear is not None
    page.on_clear()
    assert (await page.next("progress"))["progress"] == 999
    await page.next("answer", number=1)
    page.is_stuck = True
    events.post("notice", data="x" * outbox.WAITING_BYTES)
    assert page.is_over
    assert scope.cancel_called


async def test_the_policy_asks_the_person_before_a_call(tmp_path: Any) -> None:
    async with opened(policy=PagePolicy(default="ask", directory=str(tmp_path))) as page:
        number = await call(page, "draw")
        question = await page.next("question", kind="consent")
        assert question["text"].startswith("Call the tool draw?")
        await page.do("answer", number=question["number"], choice="no")
        assert "refused" in (await page.next("answer", number=number))["problem"]
        number = await call(page, "draw")
        question = await page.next("question", kind="consent")
        await page.do("answer", number=question["number"], choice="yes")
        drawn = await page.next("answer", number=number)
        assert [block["type"] for block in drawn["result"]["content"]] == ["text", "image"]


async def test_a_revision_is_chosen_and_an_unreachable_server_is_named() -> None:
    async with opened() as page:
        await page.do("connect", revision="2025-06-18")
        assert (await page.next("connection", state="connected"))["revision"] == "2025-06-18"
        number = await call(page, "greet")
        question = await page.next("question", kind="form")
        await page.do("answer", number=question["number"], action="accept", content={"name": "Ada", "age": 3})
        assert "Good day" in str(await page.next("answer", number=number))
        with pytest.raises(ControlRefused, match="no revision"):
            await page.do("connect", revision="1999-01-01")
    async with trio.open_nursery() as nursery:
        clients = PageClients(ClientTarget(target="tcp://127.0.0.1:1"), nursery)
        page = Page(clients)
        clients.open(page)
        assert "127.0.0.1" in (await page.next("connection", state="failed"))["problem"]
        nursery.cancel_scope.cancel()


async def test_a_defect_ends_the_client_of_one_page_and_not_the_server() -> None:
    async with opened() as page:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(PageClient, "_show", lambda self, notice: 1 / 0)
            await page.ask("tools/call", name="note", arguments={})
            assert "see the log" in (await page.next("connection", state="failed"))["problem"]
        assert page.is_over
        assert page._clients.open(Page(page._clients))
