"""Resources of a server: how they are declared and listed, in every revision."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

import trimcp
from tests.server.reading import NOT_FOUND, client_of, every_revision, refusal, settings_server
from trimcp.types.metadata import Annotations, Icon

# --- lists ----------------------------------------------------------------------------


@every_revision
async def test_a_resource_is_listed_as_it_was_declared(version: str, mock_clock: MockClock) -> None:
    server = settings_server()
    server.add_resource(
        "doc://a/b%20c.md",
        "hello",
        title="B",
        description="a text",
        annotations=Annotations(audience=["user"], priority=0.5, last_modified="2026-01-01T00:00:00Z"),
        icons=[Icon("https://example.org/i.png")],
        meta={"k": 1},
    )
    async with client_of(server, version) as client:
        config, doc = (await client.request("resources/list", {}))["resources"]
    titled = version >= "2025-06-18"
    assert config == {
        "uri": "config://app",
        "name": "config",
        "description": "What the program is set to.",
        "mimeType": "application/json",
        **({"title": "Settings"} if titled else {}),
    }
    assert doc == {
        "uri": "doc://a/b%20c.md",
        "name": "b c.md",
        "description": "a text",
        "mimeType": "text/plain",
        "size": 5,
        "annotations": {
            "audience": ["user"],
            "priority": 0.5,
            **({"lastModified": "2026-01-01T00:00:00Z"} if titled else {}),
        },
        **({"title": "B", "_meta": {"k": 1}} if titled else {}),
        **({"icons": [{"src": "https://example.org/i.png"}]} if version >= "2025-11-25" else {}),
    }


@every_revision
async def test_resources_come_in_pages_in_the_order_of_declaration(version: str, mock_clock: MockClock) -> None:
    server = trimcp.Server("a", limits=trimcp.Limits(page=3))
    for n in (3, 1, 4, 15, 9, 2, 6):
        server.add_resource(f"n://{n}", str(n))
        server.resource(f"t{n}://{{a}}", name=f"t{n}")(lambda a: a)
    async with client_of(server, version) as client:
        first = await client.resources_page()
        assert [resource.uri for resource in first.resources] == ["n://3", "n://1", "n://4"]
        assert first.next_cursor is not None
        listed = [resource.name for resource in await client.list_resources()]
        assert listed == ["3", "1", "4", "15", "9", "2", "6"]
        templates = await client.list_resource_templates()
        assert [template.name for template in templates] == [f"t{n}" for n in (3, 1, 4, 15, 9, 2, 6)]
        # A cursor belongs to its list.
        error = await refusal(client, "resources/templates/list", {"cursor": first.next_cursor})
        assert error.code == -32602


@every_revision
async def test_the_capability_follows_from_what_is_declared(version: str, mock_clock: MockClock) -> None:
    async with client_of(settings_server(), version) as client:
        declared = client.server_capabilities.resources
        assert declared is not None
        assert declared.list_changed is True
        assert client.server_capabilities.prompts is None
    async with client_of(trimcp.Server("bare"), version) as client:
        assert client.server_capabilities.resources is None
        assert (await refusal(client, "resources/list", {})).code == -32601
        assert (await refusal(client, "resources/read", {"uri": "x:y"})).code == -32601


# --- changes --------------------------------------------------------------------------


@every_revision
async def test_declaring_and_removing_while_it_runs_changes_the_list(version: str, mock_clock: MockClock) -> None:
    server = settings_server()
    async with client_of(server, version) as client:
        await client.ping()  # the session is open on the server's side too
        async with client.listen(resources=True) as notices:
            server.add_resource("x:new", "new")
            await anext(notices)
            assert [r.uri for r in await client.list_resources()] == ["config://app", "x:new"]
            server.remove_resource("config://app")
            await anext(notices)
            assert [r.uri for r in await client.list_resources()] == ["x:new"]
            assert (await refusal(client, "resources/read", {"uri": "config://app"})).code == NOT_FOUND[version]


async def test_the_first_resource_must_be_there_before_the_server_runs(mock_clock: MockClock) -> None:
    server = trimcp.Server("a")
    async with client_of(server):
        with pytest.raises(trimcp.UsageError, match="first resource before"):
            server.add_resource("x:y", "")
        with pytest.raises(trimcp.UsageError, match="first resource before"):
            server.resource("x:y", name="y")(lambda: "")
    server.add_resource("x:y", "")


async def test_a_server_that_lost_its_last_resource_still_answers(mock_clock: MockClock) -> None:
    server = settings_server()
    async with client_of(server) as client:
        server.remove_resource("config://app")
        assert await client.list_resources() == []
        assert await client.list_resource_templates() == []


# --- what cannot be declared ----------------------------------------------------------


@pytest.mark.parametrize("uri", ["", "x", "/a", "x y:z", "x:a b", "x:%zz"])
def test_what_is_no_uri_is_no_resource(uri: str) -> None:
    server = trimcp.Server("a")
    with pytest.raises(trimcp.UsageError, match="Invalid URI"):
        server.add_resource(uri, "")
    with pytest.raises(trimcp.UsageError, match="Invalid URI"):
        server.resource(uri, name="a")(lambda: "")


def test_a_uri_stands_for_one_resource() -> None:
    server = trimcp.Server("a")
    server.add_resource("x:é", "")
    server.resource("x:{a}", name="a")(lambda a: a)
    for uri in ("x:é", "x:%C3%A9", "x:%c3%a9"):
        with pytest.raises(trimcp.UsageError, match=r"Duplicate resource|same URI"):
            server.add_resource(uri, "")
    with pytest.raises(trimcp.UsageError, match="Duplicate resource"):
        server.resource("x:{a}", name="a")(lambda a: a)


def test_a_mistake_in_a_declaration_is_told_at_once() -> None:
    server = trimcp.Server("a")
    with pytest.raises(trimcp.UsageError, match="needs a function"):
        server.add_resource("x:{a}", "")
    with pytest.raises(trimcp.UsageError, match=r"needs 'a', which 'x:y' does not have"):
        server.resource("x:y", name="n")(lambda a: a)
    with pytest.raises(trimcp.UsageError, match="ttl_ms"):
        server.resource("x:y", ttl_ms=-1)
    with pytest.raises(trimcp.UsageError, match="cache_scope"):
        server.add_resource("x:y", "", cache_scope="everybody")  # type: ignore[arg-type]
    with pytest.raises(trimcp.UsageError, match="Unknown resource 'x:y'"):
        server.remove_resource("x:y")
    assert not server._declarations.has("resources")
