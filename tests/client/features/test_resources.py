"""A client's calls of resources, and what it makes of a server's answers."""

from __future__ import annotations

from typing import Any

import pytest
from trio.testing import MockClock

import trimcp
from tests.client.answering import HINTS, answering
from tests.server.reading import client_of, every_revision
from tests.session.peer import ERAS, error, result
from trimcp.types.content import BlobResourceContents, TextResourceContents
from trimcp.types.resources import ReadResourceResult


def make_server(**limits: int) -> trimcp.Server:
    server = trimcp.Server("a", limits=trimcp.Limits(**limits))
    for n in range(7):
        server.add_resource(f"n:{n}", str(n))
        server.resource(f"t{n}:{{a}}", name=f"t{n}")(lambda a: a)
    return server


# --- lists ----------------------------------------------------------------------------


@every_revision
async def test_lists_are_read_page_after_page(version: str, mock_clock: MockClock) -> None:
    async with client_of(make_server(page=3), version) as client:
        assert [resource.uri for resource in await client.list_resources()] == [f"n:{n}" for n in range(7)]
        names = [template.uri_template for template in await client.list_resource_templates()]
        assert names == [f"t{n}:{{a}}" for n in range(7)]
        assert [resource.name async for resource in client.iter_resources()] == [str(n) for n in range(7)]
        assert [template.name async for template in client.iter_resource_templates()] == [f"t{n}" for n in range(7)]
        page = await client.resource_templates_page((await client.resource_templates_page()).next_cursor)
        assert [template.name for template in page.resource_templates] == ["t3", "t4", "t5"]


async def test_a_loop_may_be_left_and_reads_no_more_than_it_needs(mock_clock: MockClock) -> None:
    server = make_server(page=2)
    asked: list[Any] = []

    @server.middleware
    async def note(ctx: trimcp.Context, params: Any, proceed: trimcp.Proceed) -> Any:
        asked.append(ctx.method)
        return await proceed(params)

    async with client_of(server) as client:
        listing = client.iter_resources()
        async for resource in listing:
            if resource.uri == "n:2":
                break
        assert asked == ["resources/list"] * 2
        assert len([resource async for resource in listing]) == 7  # each loop begins anew


async def test_an_empty_cursor_leads_to_a_page_like_any_other(mock_clock: MockClock) -> None:
    def answer(request: Any) -> Any:
        last = request["params"].get("cursor") == ""
        more = {} if last else {"nextCursor": ""}
        return result(request["id"], {**HINTS, "resources": [{"uri": f"x:{last}", "name": "x"}], **more})

    async with trimcp.connect(answering({"resources/list": answer})) as client:
        assert [resource.uri for resource in await client.list_resources()] == ["x:False", "x:True"]


async def test_a_list_that_changed_under_way_is_begun_again(mock_clock: MockClock) -> None:
    asked: list[Any] = []

    def answer(request: Any) -> Any:
        cursor = request["params"].get("cursor")
        asked.append(cursor)
        if cursor is None:
            page = {"resources": [{"uri": "x:1", "name": "x"}], "nextCursor": "good" if len(asked) > 2 else "gone"}
        elif cursor == "gone":
            return error(request["id"], -32602, "Invalid cursor")
        else:
            page = {"resources": [{"uri": "x:2", "name": "x"}]}
        return result(request["id"], {**HINTS, **page})

    async with trimcp.connect(answering({"resources/list": answer})) as client:
        assert [resource.uri for resource in await client.list_resources()] == ["x:1", "x:2"]
    assert asked == [None, "gone", None, "good"]


async def test_a_list_that_changes_all_the_time_is_given_up(mock_clock: MockClock) -> None:
    asked: list[Any] = []

    def answer(request: Any) -> Any:
        asked.append(request["params"].get("cursor"))
        if asked[-1] is not None:
            return error(request["id"], -32602, "Invalid cursor")
        return result(request["id"], {**HINTS, "resources": [], "nextCursor": "gone"})

    async with trimcp.connect(answering({"resources/list": answer})) as client:
        with pytest.raises(trimcp.RequestFailed, match="Invalid cursor"):
            await client.list_resources()
    assert asked == [None, "gone"] * 4


async def test_a_first_page_that_is_refused_is_not_asked_for_again(mock_clock: MockClock) -> None:
    asked: list[Any] = []

    def answer(request: Any) -> Any:
        asked.append(request)
        return error(request["id"], -32602, "no")

    async with trimcp.connect(answering({"resources/list": answer})) as client:
        with pytest.raises(trimcp.RequestFailed):
            await client.list_resources()
    assert len(asked) == 1


# --- reading --------------------------------------------------------------------------


@every_revision
async def test_text_and_bytes_are_at_hand(version: str, mock_clock: MockClock) -> None:
    server = trimcp.Server("a")

    @server.resource("x:both")
    async def both() -> list[Any]:
        return [
            TextResourceContents("x:1", "one", "text/markdown"),
            BlobResourceContents("x:2", "AP8="),
            TextResourceContents("x:3", "three"),
        ]

    async with client_of(server, version) as client:
        read = await client.read_resource("x:both", meta={"com.example/k": 1})
    assert read.text == "one\nthree"
    assert read.blob == b"\x00\xff"
    assert read.mime_type == "text/markdown"
    assert [contents.uri for contents in read.contents] == ["x:1", "x:2", "x:3"]
    assert (read.ttl_ms, read.cache_scope) == (0, "private")


def test_a_result_without_contents_has_nothing_at_hand() -> None:
    read = trimcp.ResourceResult.of(ReadResourceResult([], meta={"k": 1}, ttl_ms=5, cache_scope="public"))
    assert (read.text, read.blob, read.mime_type, read.meta) == ("", None, None, {"k": 1})
    assert (read.ttl_ms, read.cache_scope) == (5, "public")


@pytest.mark.parametrize("blob", ["a", "é", "a b="])
def test_a_blob_that_is_no_base64_is_the_servers_mistake(blob: str) -> None:
    read = trimcp.ResourceResult.of(ReadResourceResult([BlobResourceContents("x:y", blob)]))
    with pytest.raises(trimcp.InvalidResult, match="the blob of x:y is not base64"):
        _ = read.blob


@every_revision
async def test_what_there_is_not_raises_the_same_in_every_revision(version: str, mock_clock: MockClock) -> None:
    async with client_of(make_server(), version) as client:
        with pytest.raises(trimcp.ResourceNotFound) as caught:
            await client.read_resource("n:8")
    assert caught.value.uri == "n:8"
    assert caught.value.code == (-32602 if version == "2026-07-28" else -32002)


@pytest.mark.parametrize(
    ("code", "data", "found"),
    [
        (-32002, None, False),  # a modern server may still use the old code
        (-32602, {"uri": "x:y"}, False),
        (-32602, {"uri": "x:other"}, True),
        (-32602, None, True),
        (-32603, {"uri": "x:y"}, True),
    ],
)
async def test_not_found_is_told_from_other_errors(code: int, data: Any, found: bool, mock_clock: MockClock) -> None:
    def answer(request: Any) -> Any:
        more = {} if data is None else {"data": data}
        return error(request["id"], code, "no", **more)

    async with trimcp.connect(answering({"resources/read": answer})) as client:
        with pytest.raises(trimcp.RequestFailed) as caught:
            await client.read_resource("x:y")
    assert caught.value.code == code
    assert isinstance(caught.value, trimcp.ResourceNotFound) is not found


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"contents": None},
        {"contents": [{}]},
        {"contents": [{"uri": "x:y"}]},
        {"contents": [{"uri": "x:y", "text": 3}]},
    ],
)
async def test_an_answer_that_breaks_the_schema_is_refused(answer: dict[str, Any], mock_clock: MockClock) -> None:
    async with trimcp.connect(answering({"resources/read": {**HINTS, **answer}})) as client:
        with pytest.raises(trimcp.InvalidResult):
            await client.read_resource("x:y")


@pytest.mark.parametrize("version", ERAS)
async def test_what_may_be_kept_is_read_once(version: str, mock_clock: MockClock) -> None:
    reads: list[str] = []
    server = trimcp.Server("a")

    @server.resource("x:{name}", ttl_ms=1000)
    async def kept(name: str) -> str:
        reads.append(name)
        return name

    async with client_of(server, version) as client:
        for name in ("a", "a", "b", "a"):
            assert (await client.read_resource(f"x:{name}")).text == name
        assert reads == (["a", "b"] if version == "2026-07-28" else ["a", "a", "b", "a"])
        reads.clear()
        await client.read_resource("x:a", fresh=True)
        mock_clock.jump(2)
        await client.read_resource("x:a")
        assert reads == ["a", "a"]


@pytest.mark.parametrize("version", ERAS)
async def test_a_read_reports_its_progress(version: str, mock_clock: MockClock) -> None:
    server = trimcp.Server("a")

    @server.resource("x:y")
    async def slow(ctx: trimcp.Context) -> str:
        await ctx.progress(1, 2, "half")
        return ""

    seen: list[Any] = []

    def note(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total, message))

    async with client_of(server, version) as client:
        await client.read_resource("x:y", on_progress=note)
    assert seen == [(1, 2, "half")]
