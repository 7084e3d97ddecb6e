"""Tasks: calls of tools that outlive their request, in both dialects, over one engine.

The core feature of 2025-11-25 and the extension `io.modelcontextprotocol/tasks` of 2026-07-28 keep their tasks in one
store, by one set of rules. `lifecycle` has these rules as pure steps; `running_task` is the actor of one task that
runs; `manager` is the actor that knows all of them; `core` and `feature` have the two dialects.

A server loads this package when its first tool with `task=` is declared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trimcp.extensions.tasks.feature import Tasks


def make_tasks() -> Tasks:
    """Make the tasks of a server. See `trimcp.server.features.task_support`."""
    from trimcp.extensions.tasks.feature import Tasks

    return Tasks()
