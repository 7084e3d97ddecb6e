"""`check_server` finds each kind of fault, and nothing in a server without one."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any

import pytest
import trio
from hypothesis import strategies as st

import trimcp
from trimcp.testing import check_server
from trimcp.testing.server_checks.faults import FaultsFound, ServerFault
from trimcp.types.tools import Tool, ToolAnnotations

READ_ONLY = ToolAnnotations(read_only_hint=True)


def make_server(*functions: Callable[..., Any], **options: Any) -> trimcp.Server:
    server = trimcp.Server("test", limits=trimcp.Limits(cleanup=0.5), **options)
    for function in functions:
        server.tool(annotations=READ_ONLY)(function)
    return server


def faults_of(server: trimcp.Server, **options: Any) -> list[ServerFault]:
    with pytest.raises(FaultsFound) as caught:
        check_server(server, **options)
    for fault in caught.value.faults:
        assert str(fault) in str(caught.value)
    return caught.value.faults


async def wait(number: int) -> str:
    """Wait, in order."""
    await trio.sleep(0.1)
    return "done"


def test_a_server_without_faults_passes_and_the_report_says_what_was_done() -> None:
    async def find(
        word: Annotated[str, trimcp.JsonSchema({"type": "string", "maxLength": 3})], most: int = 3
    ) -> list[str]:
        """Find words."""
        if not word:
            raise trimcp.ToolError("the word is empty: give one letter or more")
        return [word] * min(most, 10)

    server = make_server(find, wait)

    @server.tool
    async def delete(name: str) -> None:
        """Delete; must not be called unless it is named."""
        deleted.append(name)

    deleted: list[str] = []
    found, waited = check_server(server, examples=12)
    assert (found.name, found.calls) == ("find", 12)
    assert found.refusals >= 1
    assert (found.cancelled, found.drained) == (0, 0), "it never waits"
    assert waited.cancelled
    assert waited.drained
    assert not deleted
    reports = check_server(server, arguments={"delete": st.just({"name": "x"})}, examples=1)
    assert "delete" in [report.name for report in reports]
    assert set(deleted) == {"x"}
    with pytest.raises(trimcp.UsageError, match="no tool 'remove'"):
        check_server(server, tools=["remove"])


def test_an_exception_on_valid_arguments_is_found_with_the_smallest_ones() -> None:
    async def root(number: int) -> int:
        """Compute something, but not of large numbers."""
        if number > 1000:
            raise OverflowError("too large")
        return number

    (fault,) = faults_of(make_server(root), examples=100)
    assert (fault.name, fault.check) == ("root", "call")
    assert "OverflowError" in fault.problem
    assert '{"number":1001}' in fault.problem


def test_a_result_that_breaks_its_schema_is_found() -> None:
    async def level() -> Annotated[int, trimcp.JsonSchema({"type": "integer", "maximum": 5})]:
        """Return a level from 0 to 5."""
        return 6

    (fault,) = faults_of(make_server(level), examples=2)
    assert (fault.name, fault.check) == ("level", "call")
    assert "5" in fault.problem


async def swallow() -> str:
    """Go on when cancelled."""
    with suppress(BaseException):
        await trio.sleep(0.2)
    return "done"


def test_a_tool_that_swallows_cancelled_is_found() -> None:
    (fault,) = faults_of(make_server(swallow), examples=2)
    assert (fault.name, fault.check) == ("swallow", "cancel")
    assert "after its cancel" in fault.problem


def test_a_tool_that_hangs_is_found_at_cancel_and_at_drain_and_the_others_are_checked() -> None:
    async def cling(seconds: Annotated[int, trimcp.JsonSchema({"type": "integer", "minimum": 0, "maximum": 9})]) -> str:
        """Shield the end against cancels."""
        try:
            await trio.sleep(0.2)
        finally:
            if trio.current_effective_deadline() < trio.current_time():
                with trio.CancelScope(shield=True):
                    await trio.sleep_forever()
        return "done"

    faults = faults_of(make_server(cling, swallow), examples=2)
    assert [(fault.name, fault.check) for fault in faults] == [
        ("cling", "cancel"),
        ("cling", "drain"),
        ("swallow", "cancel"),
    ]
    assert "still runs 0.5 seconds" in faults[1].problem


def test_a_tool_that_is_too_slow_is_called_once() -> None:
    calls = []

    async def slow(number: int) -> None:
        """Take long."""
        calls.append(number)
        await trio.sleep(60)

    faults = faults_of(make_server(slow), timeout=0.1)
    assert [(fault.check, fault.problem.split(",")[0]) for fault in faults] == [("call", "no result after 0.1 seconds")]
    assert len(calls) == 3, "one call, one cancel, one drain"


class Shelf(trimcp.Provider):
    """Provides one tool, with any definition."""

    features = frozenset({"tools"})

    def __init__(self, tool: Tool, value: Any = None) -> None:
        self.tool = tool
        self.value = value

    async def list_tools(self, ctx: trimcp.Context, cursor: str | None) -> list[Tool]:
        return [self.tool]

    async def find_tool(self, ctx: trimcp.Context, name: str) -> trimcp.ProvidedTool | None:
        return trimcp.ProvidedTool(self.tool, self.call)

    async def call(self, ctx: trimcp.Context, arguments: Mapping[str, Any]) -> Any:
        return self.value


@pytest.mark.parametrize(
    ("schemas", "check", "words"),
    [
        ({"input_schema": {"type": "object", "properties": {"a": {"type": "word"}}}}, "schema", "input schema"),
        ({"output_schema": {"type": "object", "required": 1}}, "schema", "output schema"),
        ({"input_schema": {"type": "object", "required": ["a"], "properties": {"a": False}}}, "schema", "no arguments"),
        ({"output_schema": {"type": "object", "required": ["x"]}}, "call", "x"),
    ],
)
def test_the_schemas_of_a_provider_are_checked(schemas: dict[str, Any], check: str, words: str) -> None:
    definition = Tool(**{"name": "odd", "input_schema": {"type": "object"}, "annotations": READ_ONLY, **schemas})
    server = make_server()
    server.add_provider(Shelf(definition, {"y": 1}))
    (fault,) = faults_of(server, examples=2)
    assert (fault.name, fault.check) == ("odd", check)
    assert words in fault.problem


def test_a_lifespan_that_never_ends_is_found() -> None:
    release = threading.Event()

    @asynccontextmanager
    async def lifespan(server: trimcp.Server) -> AsyncIterator[None]:
        try:
            yield
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(release.wait)

    server = trimcp.Server("test", limits=trimcp.Limits(cleanup=0.1), lifespan=lifespan)
    server.tool(wait)
    (fault,) = faults_of(server)
    release.set()
    assert "does not end" in fault.problem
