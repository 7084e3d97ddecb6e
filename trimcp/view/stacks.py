"""Stacks: where each task and each thread of the server is at this moment, and for which request it works."""

from __future__ import annotations

import linecache
from collections.abc import Iterator, Sequence
from typing import Any, Final

import trio

from trimcp.actors.tasks import FrameSnapshot, Task, TaskSnapshot, all_tasks, snapshot_of, threads
from trimcp.server.run import ServerRun
from trimcp.server.run_registry import RunRegistry
from trimcp.session.session import Session
from trimcp.view.masking import cut, mask_text

MOST_TASKS: Final = 500
"""Tasks whose stacks are shown, those that work for a request first; of the others the number."""
MOST_FRAMES: Final = 40
"""Frames of one stack that are shown, the innermost."""
PORTION: Final = 50
"""Stacks that are taken at once, before other tasks get a turn."""


class Stacks:
    """Takes the stacks of one server."""

    def __init__(self, runs: RunRegistry) -> None:
        self._runs = runs

    async def taken(self) -> dict[str, Any]:
        """Return the stacks of all tasks and threads."""
        works = self.works()
        found = sorted(all_tasks(), key=lambda pair: pair[0] not in works)  # stable: the tree stays in order
        stacks: list[TaskSnapshot] = []
        for at, (task, depth) in enumerate(found[:MOST_TASKS], 1):
            stacks.append(snapshot_of(task, depth, MOST_FRAMES))
            if at % PORTION == 0:
                await trio.lowlevel.checkpoint()
        others = threads(MOST_FRAMES)
        # The lines of the code are read from files.
        lines = await trio.to_thread.run_sync(_code, list(_all_frames(stacks, others)))
        return {
            "tasks": [
                {
                    "name": cut(stack.name),
                    "depth": stack.depth,
                    **works.get(stack.task, {"session": None, "request": None, "title": None}),
                    "frames": [lines[frame] for frame in stack.frames],
                }
                for stack in stacks
            ],
            "threads": [{"name": cut(name), "frames": [lines[frame] for frame in frames]} for name, frames in others],
            "more": max(0, len(found) - MOST_TASKS),
        }

    def works(self) -> dict[Task, dict[str, Any]]:
        """Return the requests that tasks work for, by the task."""
        found: dict[Task, dict[str, Any]] = {}
        for run in self._runs.runs:
            for session in (*run.sessions, *run.callers):
                for request in session.requests.in_flight:
                    task = None if request.scope is None else _worker(run, session, request.scope)
                    if task is not None:
                        title = f"{cut(request.method)} {cut(_name(request.params)) or ''}".rstrip()
                        found[task] = {"session": session.number, "request": request.serial, "title": title}
        return found


def _name(params: Any) -> str | None:
    name = params.get("name") if isinstance(params, dict) else None
    return name if isinstance(name, str) else None


def _worker(run: ServerRun, session: Session, scope: trio.CancelScope) -> Task | None:
    """Return the task that works in the scope of a request: a worker of its session, or of an endpoint."""
    supervisors = run.endpoints if session.is_stateless else (session.supervisor, *run.endpoints)
    return next((task for each in supervisors if (task := each.worker_in(scope)) is not None), None)


def _all_frames(
    stacks: Sequence[TaskSnapshot], others: Sequence[tuple[str, tuple[FrameSnapshot, ...]]]
) -> Iterator[FrameSnapshot]:
    for stack in stacks:
        yield from stack.frames
    for _, frames in others:
        yield from frames


def _code(frames: Sequence[FrameSnapshot]) -> dict[FrameSnapshot, dict[str, Any]]:
    """Return each frame with its line of code. Runs in a thread, since it reads files."""
    return {
        frame: {
            "file": mask_text(frame.file),
            "line": frame.line,
            "function": frame.function,
            "code": mask_text(linecache.getline(frame.file, frame.line).strip()),
        }
        for frame in dict.fromkeys(frames)
    }
