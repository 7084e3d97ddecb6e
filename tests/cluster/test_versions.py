"""Two versions of trimcp on one store: a record of the other version is served, or refused in clear words."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.cluster.nodes import Node, at
from tests.cluster.stores import LinkedStore
from tests.http.clients import Legacy
from tests.session.peer import Logged
from trimcp.observability import events
from trimcp.stores.failures import RecordUnreadable
from trimcp.stores.session_store import decode_record
from trimcp.stores.sqlite.store import SQLite
from trimcp.stores.task_store import decode_task, encode_task
from trimcp.testing.store_checks.tasks import task

LEASE = 60.0
Change = Callable[[dict[str, Any]], object]


@asynccontextmanager
async def rewritten(path: Path, change: Change) -> AsyncIterator[tuple[Legacy, Node]]:
    """Open a session at one node, change its record as another version would have written it; another node."""
    nodes = [Node(LinkedStore(SQLite(path, lease=LEASE)), {}, {}) for _ in range(2)]
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            for node in nodes:
                await nursery.start(node.serve)
            client = await Legacy.open(nodes[0].http)
            with sqlite3.connect(path, timeout=10) as connection:
                (text,) = connection.execute("SELECT record FROM sessions").fetchone()
                record = json.loads(text)
                change(record)
                connection.execute("UPDATE sessions SET record = ?", (json.dumps(record).encode(),))
            connection.close()
            yield at(client, nodes[1]), nodes[1]
            for node in nodes:
                await node.leave()
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.update(addedLater={"a": [1]}),
        lambda record: record["client"].update(addedLater=1),
        lambda record: record["client"]["capabilities"].update(addedLater={}),
        lambda record: record.pop("hasPosted"),
        lambda record: record.pop("nextStream"),
        lambda record: record["client"].pop("logLevel"),
        lambda record: record["client"].pop("info"),
    ],
)
async def test_a_session_of_another_version_is_served(change: Change, tmp_path: Path) -> None:
    async with rewritten(tmp_path / "state.db", change) as (client, _):
        assert await (await client.call("add", {"a": 1, "b": 1})).text() == "2"


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.pop("principal"),
        lambda record: record.pop("phase"),
        lambda record: record.update(phase="a later phase"),
        lambda record: record["client"].update(revision="2030-01-01"),
    ],
)
async def test_a_session_that_this_version_cannot_read_is_left_to_other_nodes(
    change: Change, tmp_path: Path, logged: Logged
) -> None:
    async with rewritten(tmp_path / "state.db", change) as (client, _):
        answer = await (await client.call("add", {"a": 1, "b": 1})).ended()
        assert answer.status == 503  # not 404: the session lives
        assert "retry-after" in answer.fields
    (failed,) = logged.of(events.REQUEST_FAILED)
    assert "another version of trimcp wrote it" in failed["why"]


def test_what_is_no_record_is_refused_as_unavailable() -> None:
    for text in (b"{}", b"[]", b"", b"7", b'{"principal": 7}'):
        with pytest.raises(RecordUnreadable, match="of a session cannot be read"):
            decode_record("s", text)
        with pytest.raises(RecordUnreadable, match="of a task cannot be read"):
            decode_task(text)
    members = json.loads(encode_task(task("t")))
    del members["id"]
    with pytest.raises(RecordUnreadable):
        decode_task(json.dumps(members).encode())
