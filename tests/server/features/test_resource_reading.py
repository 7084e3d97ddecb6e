"""Resources of a server: how they are read, and what their functions return, in every revision."""

from __future__ import annotations

import base64
import pathlib
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

import trimcp
from tests.server.reading import NOT_FOUND, client_of, every_revision, refusal, settings_server
from tests.session.peer import ERAS, Logged
from trimcp.types.content import BlobResourceContents, TextResourceContents
from trimcp.types.resources import ReadResourceResult


@attrs.define
class Settings:
    colour: str
    size: int


class Database:
    """What a provider gives."""


async def raw_read(server: trimcp.Server, uri: str, version: str = "2026-07-28") -> list[dict[str, Any]]:
    """The contents of a resource as they are on the wire."""
    async with client_of(server, version) as client:
        contents: list[dict[str, Any]] = (await client.request("resources/read", {"uri": uri}))["contents"]
        return contents


# --- reading --------------------------------------------------------------------------


@every_revision
async def test_a_resource_is_read_by_its_uri(version: str, mock_clock: MockClock) -> None:
    contents = await raw_read(settings_server(), "config://app", version)
    assert contents == [{"uri": "config://app", "mimeType": "application/json", "text": f'{{"revision":"{version}"}}'}]


@pytest.mark.parametrize("uri", ["config://nothing", "config:", "", "no uri", "config://app?", "config://app/", "é"])
@every_revision
async def test_what_there_is_not_is_answered_with_the_code_of_the_revision(
    version: str, uri: str, mock_clock: MockClock
) -> None:
    async with client_of(settings_server(), version) as client:
        error = await refusal(client, "resources/read", {"uri": uri})
    assert (error.code, error.message, error.data) == (NOT_FOUND[version], "Resource not found", {"uri": uri})


@every_revision
@pytest.mark.parametrize("params", [{}, {"uri": 3}, {"uri": None}])
async def test_a_read_without_a_uri_is_refused(version: str, params: dict[str, Any], mock_clock: MockClock) -> None:
    async with client_of(settings_server(), version) as client:
        assert (await refusal(client, "resources/read", params)).code == -32602


RETURNED: list[tuple[Any, dict[str, Any]]] = [
    ("text", {"text": "text", "mimeType": "text/plain"}),
    ("", {"text": "", "mimeType": "text/plain"}),
    (b"\x00\xff", {"blob": "AP8=", "mimeType": "application/octet-stream"}),
    (bytearray(b"a"), {"blob": "YQ==", "mimeType": "application/octet-stream"}),
    ({"a": [1, None]}, {"text": '{"a":[1,null]}', "mimeType": "application/json"}),
    ([1, "x"], {"text": '[1,"x"]', "mimeType": "application/json"}),
    ([], {"text": "[]", "mimeType": "application/json"}),
    (3, {"text": "3", "mimeType": "application/json"}),
    (Settings("red", 3), {"text": '{"colour":"red","size":3}', "mimeType": "application/json"}),
    (trimcp.Image(b"\x89PNG\r\n\x1a\n"), {"blob": "iVBORw0KGgo=", "mimeType": "image/png"}),
    (trimcp.File(b"a", "x:other"), {"blob": "YQ==", "mimeType": "application/octet-stream"}),
]


@pytest.mark.parametrize(("value", "expected"), RETURNED, ids=lambda value: type(value).__name__)
async def test_what_a_function_returns_becomes_contents(
    value: Any, expected: dict[str, Any], mock_clock: MockClock
) -> None:
    server = trimcp.Server("a")
    server.resource("x:y", name="y")(lambda: value)
    assert await raw_read(server, "x:y") == [{"uri": "x:y", **expected}]


async def test_the_declared_media_type_comes_before_what_the_value_is(mock_clock: MockClock) -> None:
    server = trimcp.Server("a")
    server.resource("x:text", name="text", mime_type="text/markdown")(lambda: "# a")
    server.resource("x:bytes", name="bytes", mime_type="image/png")(lambda: b"a")
    server.resource("x:json", name="json", mime_type="application/geo+json")(lambda: {"type": "Point"})
    for uri, mime_type in (("text", "text/markdown"), ("bytes", "image/png"), ("json", "application/geo+json")):
        assert (await raw_read(server, f"x:{uri}"))[0]["mimeType"] == mime_type


async def test_contents_and_lists_of_them_pass_as_they_are(mock_clock: MockClock) -> None:
    server = trimcp.Server("a")
    one, two = TextResourceContents("x:1", "1"), BlobResourceContents("x:2", "Mg==", "image/png", meta={"k": 1})

    @server.resource("x:one")
    async def one_of_them() -> TextResourceContents:
        return one

    @server.resource("x:both")
    async def both() -> list[TextResourceContents | BlobResourceContents | str]:
        return [one, two, "3"]

    @server.resource("x:none")
    async def none() -> list[TextResourceContents]:
        return []

    @server.resource("x:whole")
    async def whole() -> ReadResourceResult:
        return ReadResourceResult([one], ttl_ms=5, cache_scope="public")

    assert await raw_read(server, "x:one") == [{"uri": "x:1", "text": "1"}]
    assert await raw_read(server, "x:both") == [
        {"uri": "x:1", "text": "1"},
        {"uri": "x:2", "blob": "Mg==", "mimeType": "image/png", "_meta": {"k": 1}},
        {"uri": "x:both", "text": "3", "mimeType": "text/plain"},
    ]
    # There is such a resource, and nothing is in it.
    assert await raw_read(server, "x:none") == []
    assert await raw_read(server, "x:whole") == [{"uri": "x:1", "text": "1"}]


@every_revision
async def test_a_function_says_that_there_is_nothing_by_none_or_by_an_exception(
    version: str, mock_clock: MockClock
) -> None:
    server = trimcp.Server("a")

    @server.resource("none://{name}")
    async def none(name: str) -> str | None:
        return None

    @server.resource("raises://{name}")
    async def raises(name: str) -> str:
        raise trimcp.ResourceNotFound(f"raises://{name}")

    async with client_of(server, version) as client:
        for uri in ("none://a", "raises://a"):
            error = await refusal(client, "resources/read", {"uri": uri})
            assert (error.code, error.data) == (NOT_FOUND[version], {"uri": uri})


@every_revision
async def test_what_goes_wrong_in_a_function_is_kept_from_the_client(
    version: str, mock_clock: MockClock, logged: Logged
) -> None:
    server = trimcp.Server("a")

    @server.resource("x:raises")
    async def raises() -> str:
        raise OSError("the password is 12345")

    @server.resource("x:unsendable")
    async def unsendable() -> Any:
        return object()

    @server.resource("x:says")
    async def says() -> str:
        raise trimcp.RequestFailed(-31999, "out of order", {"until": "noon"})

    async with client_of(server, version) as client:
        for uri in ("x:raises", "x:unsendable"):
            error = await refusal(client, "resources/read", {"uri": uri})
            assert (error.code, error.message, error.data) == (-32603, "Internal error", None)
        error = await refusal(client, "resources/read", {"uri": "x:says"})
        assert (error.code, error.message, error.data) == (-31999, "out of order", {"until": "noon"})
    assert len(logged.of("handler.failed")) == 2


# --- what is there already ------------------------------------------------------------


@every_revision
async def test_a_ready_value_is_a_resource(version: str, mock_clock: MockClock, tmp_path: pathlib.Path) -> None:
    page, data = tmp_path / "page.html", tmp_path / "data.bin"
    page.write_text("<b>hé</b>")
    data.write_bytes(b"\x00\x01")
    server = trimcp.Server("a")
    server.add_resource("x:text", "hi")
    server.add_resource("x:bytes", b"hi", name="bytes", mime_type="text/x-odd")
    server.add_resource("x:json", {"a": 1})
    server.add_resource("x:page", page)
    server.add_resource("x:data", data)
    async with client_of(server, version) as client:
        listed = {resource.uri: (resource.mime_type, resource.size) for resource in await client.list_resources()}
        assert listed["x:text"] == ("text/plain", 2)
        assert listed["x:bytes"] == ("text/x-odd", 2)
        assert listed["x:json"] == ("application/json", None)
        assert listed["x:page"] == ("text/html", None)
        assert (await client.read_resource("x:text")).text == "hi"
        assert (await client.read_resource("x:bytes")).blob == b"hi"
        assert (await client.read_resource("x:json")).text == '{"a":1}'
        read = await client.read_resource("x:page")
        assert (read.text, read.mime_type, read.blob) == ("<b>hé</b>", "text/html", None)
        assert (await client.read_resource("x:data")).blob == b"\x00\x01"
        page.write_text("new")
        assert (await client.read_resource("x:page")).text == "new"


async def test_a_file_is_text_where_its_type_or_its_bytes_say_so(mock_clock: MockClock, tmp_path: pathlib.Path) -> None:
    files = {
        "a.txt": (b"text", "text/plain", True),
        "b.unheard-of": (b"text", "text/plain", True),
        "c.unheard-of": (b"a\0b", "application/octet-stream", False),
        "d.unheard-of": (b"\xff", "application/octet-stream", False),
        "e.txt": (b"\xff", "text/plain", False),
        "f.json": (b"{}", "application/json", True),
        "g.png": (b"text", "image/png", False),
        "h.svg": (b"<svg/>", "image/svg+xml", True),
    }
    server = trimcp.Server("a")

    @server.resource("file:///{+path}")
    async def file(path: str) -> trio.Path:
        return trio.Path(tmp_path, path)

    for name, (data, mime_type, is_text) in files.items():
        (tmp_path / name).write_bytes(data)
        (contents,) = await raw_read(server, f"file:///{name}")
        assert contents["mimeType"] == mime_type
        assert contents.get("text") == (data.decode() if is_text else None)
        assert contents.get("blob") == (None if is_text else base64.b64encode(data).decode())


async def test_a_file_that_is_missing_or_a_directory_is_not_found(
    mock_clock: MockClock, tmp_path: pathlib.Path
) -> None:
    server = trimcp.Server("a")
    server.add_resource("x:missing", tmp_path / "missing")
    server.add_resource("x:directory", tmp_path)
    async with client_of(server) as client:
        for uri in ("x:missing", "x:directory"):
            assert (await refusal(client, "resources/read", {"uri": uri})).data == {"uri": uri}


async def test_no_more_of_a_file_is_read_than_the_server_sends(
    mock_clock: MockClock, tmp_path: pathlib.Path, logged: Logged
) -> None:
    (tmp_path / "long").write_bytes(b"a" * 2000)
    server = trimcp.Server("a", limits=trimcp.Limits(result_bytes=1000))
    server.add_resource("x:long", tmp_path / "long")
    async with client_of(server) as client:
        assert (await refusal(client, "resources/read", {"uri": "x:long"})).code == -32603
    (line,) = logged.of("handler.failed")
    assert "at most 1000 bytes" in str(line["exc_info"])


# --- injection, threads, middleware ---------------------------------------------------


@pytest.mark.parametrize("version", ERAS)
async def test_a_function_gets_what_it_asks_for_and_may_block(version: str, mock_clock: MockClock) -> None:
    server = trimcp.Server("a")
    threads = []

    @server.provider
    async def database() -> Database:
        return Database()

    @server.resource("sync://{name}")
    def sync(name: str, ctx: trimcp.Context, found: Database) -> str:
        threads.append(trio.lowlevel.in_trio_task())
        return f"{name} {type(found).__name__} {ctx.method}"

    async with client_of(server, version) as client:
        assert (await client.read_resource("sync://a")).text == "a Database resources/read"
    assert threads == [False]


@pytest.mark.parametrize("version", ERAS)
async def test_middleware_stands_around_reads(version: str, mock_clock: MockClock) -> None:
    server = settings_server()
    seen = []

    @server.middleware
    async def note(ctx: trimcp.Context, params: Any, proceed: trimcp.Proceed) -> Any:
        seen.append((ctx.method, params.uri))
        return await proceed(params)

    async with client_of(server, version) as client:
        await client.read_resource("config://app")
    assert seen == [("resources/read", "config://app")]
