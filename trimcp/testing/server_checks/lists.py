"""Reads every list of a server, page by page, and finds what a client would stumble over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, TypeVar

import attrs
import trio

from trimcp.client.client import Client
from trimcp.client.listing import LISTS, PAGES, Items
from trimcp.errors import RequestFailed, TrimcpError
from trimcp.observability import events, log
from trimcp.testing.server_checks.faults import Kind
from trimcp.testing.server_checks.steps import Over, Steps, told
from trimcp.types.jsonrpc import INVALID_PARAMS, METHOD_NOT_FOUND
from trimcp.types.prompts import Prompt
from trimcp.types.resources import Resource, ResourceTemplate
from trimcp.types.tools import Tool

T = TypeVar("T")
CURSOR: Final = "no cursor of this server"
KINDS: Final[dict[str, Kind]] = {
    "tools/list": "tool",
    "prompts/list": "prompt",
    "resources/list": "resource",
    "resources/templates/list": "template",
}
"""By method the kind of the items."""


@attrs.define
class Lists:
    """The definitions of a server."""

    tools: list[Tool] = attrs.field(factory=list)
    prompts: list[Prompt] = attrs.field(factory=list)
    resources: list[Resource] = attrs.field(factory=list)
    templates: list[ResourceTemplate] = attrs.field(factory=list)
    can_subscribe: bool = False


def read_lists(steps: Steps) -> Lists:
    """Read all lists; each mistake in them is a fault."""
    lists = Lists()

    async def read(over: Over) -> None:
        async with steps.connect() as client:
            resources = client.server_capabilities.resources
            lists.can_subscribe = resources is not None and resources.subscribe is True
            for method in KINDS:
                declared = getattr(client.server_capabilities, LISTS[method].feature)
                if declared is None or not await _check_pages(steps, client, method):
                    continue
                if method == "tools/list":
                    lists.tools = _usable(steps, method, await client.list_tools())
                elif method == "prompts/list":
                    lists.prompts = _usable(steps, method, await client.list_prompts())
                elif method == "resources/list":
                    lists.resources = _usable(steps, method, await client.list_resources())
                else:
                    lists.templates = _usable(steps, method, await client.list_resource_templates())
            over()

    steps.run("list", "of each feature", "list", read)
    return lists


def _usable(steps: Steps, method: str, items: list[T]) -> list[T]:
    """Return the items. A definition that no client can use is a fault."""
    if isinstance(items, Items):
        for name, problem in items.left_out.items():
            steps.found(KINDS[method], name, "schema", problem)
    return items


async def _check_pages(steps: Steps, client: Client, method: str) -> bool:
    """Read a list to its end: no page fails or comes again, no item is there twice. Return whether it can be read."""
    seen: set[str] = set()
    cursors: list[str] = []
    number = 0
    second: list[Any] = []
    problem: str | None = f"it has more than {PAGES} pages"
    with log.captured() as lines:
        try:
            while number < PAGES:
                page = await _page(steps, client, method, cursors[-1] if cursors else None)
                number += 1
                second = page[LISTS[method].wire] if number == 2 else second
                for name in _twice(page[LISTS[method].wire], method, seen):
                    steps.found("list", method, "list", f"{name} is there twice")
                cursor = page.get("nextCursor")
                if cursor is None or cursor in cursors:
                    problem = cursor and f"page {number} leads to a page before it: the list has no end"
                    break
                cursors.append(cursor)
            if problem is None and cursors:
                again = await _page(steps, client, method, cursors[0])
                if again[LISTS[method].wire] != second:
                    problem = "page 2 has other items when it is read again"
            problem = problem or await _wrong_cursor(steps, client, method)
        except trio.TooSlowError:
            problem = f"page {number + 1} has not come after {steps.timeout:g} seconds"
        except TrimcpError as exc:
            # A feature may lack one of its lists.
            is_missing = not number and isinstance(exc, RequestFailed) and exc.code == METHOD_NOT_FOUND
            problem = None if is_missing else f"page {number + 1} fails: {told(exc, lines)}"
    shadowed = {line.keys["name"]: line.keys["by"] for line in lines if line.event == events.DEFINITION_SHADOWED}
    for name, by in shadowed.items():
        steps.found("list", method, "list", f"{name} is left out, since {by or 'the server'} has another of that name")
    if problem:
        steps.found("list", method, "list", problem)
    return not problem


async def _wrong_cursor(steps: Steps, client: Client, method: str) -> str | None:
    """Return the problem if a cursor that the server did not give is not refused."""
    try:
        await _page(steps, client, method, CURSOR)
    except RequestFailed as exc:
        return None if exc.code == INVALID_PARAMS else f"a wrong cursor must be refused as InvalidParams, not by {exc}"
    return "a wrong cursor is accepted: refuse it as InvalidParams"


async def _page(steps: Steps, client: Client, method: str, cursor: str | None) -> dict[str, Any]:
    with trio.fail_after(steps.timeout):
        return await client.request(method, None if cursor is None else {"cursor": cursor})


def _twice(items: list[Any], method: str, seen: set[str]) -> Iterator[str]:
    """Yield the names that were there before, and add all of them."""
    for item in items:
        name = str(item.get(LISTS[method].key))
        if name in seen:
            yield name
        seen.add(name)
