"""A client of a server in the same process, in one line."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from trimcp.client.client import Client
from trimcp.client.connect import connect
from trimcp.observability import events, log
from trimcp.observability.tracebacks import format_failure
from trimcp.testing.wire import Serves


@asynccontextmanager
async def open_client(server: Serves, *, raise_failures: bool = True, **options: Any) -> AsyncIterator[Client]:
    """Connect to a server in this process, and fail with the exceptions that its handlers hide from clients.

        async with open_client(server) as client:
            assert await client.call_tool("add", {"a": 1, "b": 2}, returns=int) == 3

    A client gets an unexpected exception of a tool as a line of text. Here it is raised, with its traceback, when the
    block has ended; if the block failed, it is a note of that exception.

    Args:
        server: a `trimcp.Server`, a `Wire` in front of one, or a `FakeServer`.
        raise_failures: whether to raise them.
        options: as of `trimcp.connect`, such as `revision`.

    Raises:
        ExceptionGroup: handlers raised exceptions that are neither `ToolError` nor `RequestFailed`.
    """
    with log.captured() as lines:
        try:
            async with connect(server, **options) as client:
                yield client
        except Exception as exc:
            for failure in _failures(lines):
                exc.add_note(f"a handler of the server failed: {format_failure(failure)}")
            raise
    failures = _failures(lines)
    if raise_failures and failures:
        raise ExceptionGroup("handlers of the server failed", failures)


def _failures(lines: Iterable[log.LogLine]) -> list[Exception]:
    return [
        line.keys["exc_info"]
        for line in lines
        if line.event == events.HANDLER_FAILED and isinstance(line.keys.get("exc_info"), Exception)
    ]
