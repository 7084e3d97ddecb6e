"""Scheme and host of a URI may be in lower case: it is found, if that is unique (RFC 3986, section 6.2.2.1)."""

from __future__ import annotations

import pytest
from trio.testing import MockClock

import trimcp
from tests.session.peer import ERAS


def make_server() -> trimcp.Server:
    server = trimcp.Server("a")

    @server.resource("KBInfo://Main/Page")
    async def page() -> str:
        return "page"

    @server.resource("KBInfo://Items/{Name}")
    async def item(Name: str) -> str:
        return Name

    @server.resource("Two://x")
    async def upper() -> str:
        return "Two"

    @server.resource("two://x")
    async def lower() -> str:
        return "two"

    return server


@pytest.mark.parametrize("version", ERAS)
@pytest.mark.parametrize(
    ("uri", "text"),
    [
        ("KBInfo://Main/Page", "page"),
        ("kbinfo://main/Page", "page"),
        ("KBINFO://MAIN/Page", "page"),
        ("kbinfo://items/Kept", "Kept"),
        ("Two://x", "Two"),
        ("two://x", "two"),
    ],
)
async def test_scheme_and_host_are_compared_without_case(
    uri: str, text: str, version: str, autojump_clock: MockClock
) -> None:
    async with trimcp.connect(make_server(), revision=version) as client:
        assert (await client.read_resource(uri)).text == text


@pytest.mark.parametrize("uri", ["kbinfo://main/page", "TWO://x", "kbinfo://other/Page"])
async def test_the_rest_is_compared_with_case_and_two_that_fit_are_none(uri: str, autojump_clock: MockClock) -> None:
    async with trimcp.connect(make_server()) as client:
        with pytest.raises(trimcp.ResourceNotFound):
            await client.read_resource(uri)
