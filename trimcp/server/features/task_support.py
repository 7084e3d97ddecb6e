"""Tasks as the server sees them: protocols, and the loading of the package that implements them.

Tools that run as tasks are in `trimcp.extensions.tasks`, a layer above the server. It is loaded by its name when the
first tool with `task=` is declared; a server without such a tool never loads it.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from trimcp.server.middleware import Handle, Middleware

if TYPE_CHECKING:
    from trimcp.server.server_extension import ServerExtension
    from trimcp.session.delivery import Delivery
    from trimcp.types.capabilities import ServerTasksCapability

TaskMode = Literal["forbidden", "optional", "required"]
"""Whether a call of a tool may be a task, must be one, or is never one."""
OnLost = Literal["fail", "rerun"]
"""What becomes of a task whose node has died: it fails, or another node runs the tool again."""


class TaskTool(Protocol):
    """A tool, as far as its calls may be tasks."""

    @property
    def name(self) -> str:
        """The name of the tool."""
        ...

    @property
    def task(self) -> TaskMode:
        """Whether a call may be a task."""
        ...

    @property
    def on_lost(self) -> OnLost:
        """What becomes of a task whose node has died."""
        ...


PACKAGE: Final = "trimcp.extensions.tasks"


class TaskRun(Protocol):
    """The tasks of one run of a server."""

    def core_handlers(self) -> Mapping[str, Handle]:
        """Return the handlers of the requests of 2025-11-25 about tasks, by method."""
        ...

    @property
    def core_middleware(self) -> Middleware:
        """The middleware around `tools/call` in a revision whose core has tasks."""
        ...

    def core_capability(self, delivery: Delivery) -> ServerTasksCapability:
        """Return the capability that the server declares to the sender of `initialize` in 2025-11-25."""
        ...

    @property
    def running(self) -> int:
        """The number of tasks that run."""
        ...

    async def drain(self, deadline: float) -> None:
        """Take no new tasks, let those that run finish, and settle the others after `deadline` seconds."""
        ...


class TaskFeature(Protocol):
    """The tasks of a server."""

    extension: ServerExtension
    """Serves tasks in 2026-07-28."""

    def open(self, run: Any, declarations: Any) -> TaskRun:
        """Make the tasks of one run, a `ServerRun`, of a server with these declarations."""
        ...


def load_tasks() -> TaskFeature:
    """Load the package of tasks."""
    feature: TaskFeature = importlib.import_module(PACKAGE).make_tasks()
    return feature
