"""Cursors are the server's own: sealed with its keys, for one list."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from trio.testing import MockClock

import trimcp
from tests.server.reading import client_of, refusal
from trimcp.errors import InvalidParams
from trimcp.server.features.pagination import CURSOR_BYTES, Paginator
from trimcp.stores.memory import MemorySecretStore

OLD, NEW = b"o" * 16, b"n" * 16
ITEMS = {f"item-{n}": n for n in range(5)}


def pages(*secrets: bytes) -> Paginator:
    return Paginator(MemorySecretStore(secrets or None), 2)


def cursor_of(cut: Paginator, kind: str = "things") -> str:
    cursor = cut.page(ITEMS, None, label=kind).next_cursor
    assert cursor is not None
    return cursor


def test_processes_that_share_a_key_read_each_others_cursors() -> None:
    page = pages(NEW).page(ITEMS, cursor_of(pages(NEW)), label="things")
    assert page.items == [2, 3]


def test_a_key_that_was_rotated_still_reads_its_cursors() -> None:
    assert pages(NEW, OLD).page(ITEMS, cursor_of(pages(OLD)), label="things").items == [2, 3]
    with pytest.raises(InvalidParams):
        pages(OLD).page(ITEMS, cursor_of(pages(NEW, OLD)), label="things")


async def test_a_rotation_in_a_server_that_runs_reads_the_cursors_before() -> None:
    keys = MemorySecretStore([OLD])
    cut = Paginator(keys, 2)
    before = cursor_of(cut)
    await keys.rotate(NEW)
    assert cut.page(ITEMS, before, label="things").items == [2, 3]
    assert pages(NEW).page(ITEMS, cursor_of(cut), label="things").items == [2, 3]
    await keys.rotate()
    with pytest.raises(InvalidParams):
        cut.page(ITEMS, before, label="things")


def test_without_keys_each_process_has_its_own() -> None:
    with pytest.raises(InvalidParams):
        pages().page(ITEMS, cursor_of(pages()), label="things")


def test_a_cursor_belongs_to_its_list() -> None:
    with pytest.raises(InvalidParams):
        pages(NEW).page(ITEMS, cursor_of(pages(NEW), "others"), label="things")


def test_no_byte_of_a_cursor_can_be_changed() -> None:
    cut = pages(NEW)
    sealed = base64.urlsafe_b64decode(cursor_of(cut))
    for index in range(len(sealed)):
        changed = bytes([*sealed[:index], sealed[index] ^ 1, *sealed[index + 1 :]])
        for made_up in (changed, sealed[:index]):
            with pytest.raises(InvalidParams) as caught:
                cut.page(ITEMS, base64.urlsafe_b64encode(made_up).decode(), label="things")
            assert caught.value.data == {"problems": ["invalid @ $.cursor"]}


@pytest.mark.parametrize("cursor", ["", "=", "é", "\ud800", "a" * (CURSOR_BYTES + 1), "YQ==\n", "YQ"])
def test_what_never_was_a_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidParams):
        pages(NEW).page(ITEMS, cursor, label="things")


def test_the_cursor_of_the_longest_uri_is_read_again() -> None:
    items = {f"x:{'a' * 8000}{n}": n for n in range(3)}
    cut = Paginator(MemorySecretStore([NEW]), 1)
    first = cut.page(items, None, label="resources")
    assert cut.page(items, first.next_cursor, label="resources").items == [1]


@pytest.mark.parametrize("keys", [[], [b""], [b"short"], [NEW, b"short"]])
def test_keys_have_a_least_length(keys: list[bytes]) -> None:
    with pytest.raises(trimcp.UsageError, match="of 16 random bytes"):
        trimcp.Server("a", keys=keys)


@pytest.mark.parametrize("method", ["tools/list", "prompts/list", "resources/list", "resources/templates/list"])
async def test_two_servers_with_the_same_keys_go_on_with_each_others_lists(method: str, mock_clock: MockClock) -> None:
    def make(*keys: bytes) -> trimcp.Server:
        server = trimcp.Server("a", keys=keys, limits=trimcp.Limits(page=1))
        for n in range(2):
            server.tool(name=f"t{n}")(lambda: 1)
            server.prompt(name=f"p{n}")(lambda: "")
            server.add_resource(f"x:{n}", "")
            server.resource(f"y{n}:{{a}}", name=f"y{n}")(lambda a: a)
        return server

    async with client_of(make(OLD)) as one, client_of(make(NEW, OLD)) as two, client_of(make(NEW)) as stranger:
        first: dict[str, Any] = await one.request(method)
        params = {"cursor": first["nextCursor"]}
        second = await two.request(method, params)
        assert "nextCursor" not in second
        assert (await refusal(stranger, method, params)).code == -32602
