"""A client of httpx2's that the user brings: what it is set to holds, where it does no harm."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio

import trimcp
from tests.http.client.eras import MODERN, Legacy, modern, text
from tests.http.client.scripted import Answer, Ask, scripted
from trimcp.errors import ExchangeFailed

httpx2 = pytest.importorskip("httpx2")
SHORT = 0.2


async def test_an_answer_may_take_longer_than_it_would_wait_for_bytes() -> None:
    async def call(ask: Ask, answer: Answer) -> None:
        await trio.sleep(2 * SHORT)
        await answer.result(text("late"))

    async with (
        httpx2.AsyncClient(timeout=httpx2.Timeout(5, read=SHORT)) as http,
        scripted(modern({"tools/call": call}), "tcp") as server,
        trimcp.connect(server.url, http_client=http) as client,
    ):
        assert (await client.call_tool("x")).text == "late"


@pytest.mark.parametrize("era", [MODERN, "2025-11-25"])
async def test_header_values_are_latin_1(era: str) -> None:
    script = Legacy() if era != MODERN else modern()
    async with (
        httpx2.AsyncClient() as http,
        scripted(script, "tcp") as server,
        trimcp.connect(server.url, revision=era, headers={"X-Name": "Jürgen"}, http_client=http) as client,
    ):
        await client.call_tool("x")
    assert {ask.fields.get("x-name") for ask in server.asks} == {"Jürgen"}


async def test_one_that_is_closed_too_early_fails_the_call() -> None:
    async with scripted(Legacy(), "tcp") as server:
        http = httpx2.AsyncClient()
        async with trimcp.connect(server.url, http_client=http) as client:
            await http.aclose()
            with pytest.raises(ExchangeFailed, match="is closed"):
                await client.call_tool("x")


async def test_an_error_of_its_users_fails_the_call_that_has_it() -> None:
    class Tired(httpx2.Auth):  # type: ignore[misc, name-defined]
        calls = 0

        def auth_flow(self, request: object) -> Iterator[object]:
            self.calls += 1
            if self.calls == 2:
                raise LookupError("no token today")
            yield request

    async with (
        httpx2.AsyncClient(auth=Tired()) as http,
        scripted(modern(), "tcp") as server,
        trimcp.connect(server.url, http_client=http) as client,
    ):
        with pytest.raises(ExchangeFailed, match="LookupError") as raised:
            await client.call_tool("x")
        assert isinstance(raised.value.__cause__, LookupError)
        await client.call_tool("x")
