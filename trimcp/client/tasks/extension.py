"""The extension `io.modelcontextprotocol/tasks` as a client declares it with every request: `connect(tasks=True)`.

Extensions are off unless the program wants them (SEP-2133). `call_tool(task=True)` declares it with that call alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trimcp.client.extension import ClientExtension, UnfinishedCall
from trimcp.types.task_extension import CANCEL, CREATED, GET, IDENTIFIER, REVISIONS, STATUS, UPDATE, CreatedTask

if TYPE_CHECKING:
    from trimcp.client.client import Client


def tasks_extension() -> ClientExtension:
    """Return the extension: a call that the server answers with a task returns when the task has ended."""
    extension = ClientExtension(IDENTIFIER, revisions=REVISIONS, sends=[GET, UPDATE, CANCEL], receives=[STATUS])

    @extension.finishes(CREATED)
    async def finish(client: Client, call: UnfinishedCall, created: CreatedTask) -> dict[str, Any]:
        run = client._run
        return await run.tasks.finish_created(created, call.timeout, run.reach_tasks)

    return extension
