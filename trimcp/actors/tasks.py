"""The tasks of the run, for people: where each waits, by the frames of its coroutines."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import TypeAlias

import attrs
import trio

Task: TypeAlias = trio.lowlevel.Task


@attrs.frozen
class FrameSnapshot:
    """One function on a stack, and the line at which it waits."""

    file: str
    line: int
    function: str


@attrs.frozen
class TaskSnapshot:
    """One task, at one moment."""

    task: trio.lowlevel.Task
    name: str
    depth: int
    """How many tasks own the nurseries around it."""
    frames: tuple[FrameSnapshot, ...]
    """The outermost first. The task that takes the snapshot runs, and has none."""


def all_tasks() -> Iterator[tuple[trio.lowlevel.Task, int]]:
    """Yield every task of the run with its depth, each behind the task that owns its nursery."""
    root = trio.lowlevel.current_root_task()
    waiting = [] if root is None else [(root, 0)]
    while waiting:
        task, depth = waiting.pop()
        yield task, depth
        children = [child for nursery in task.child_nurseries for child in nursery.child_tasks]
        children.sort(key=lambda child: child.name, reverse=True)
        waiting += [(child, depth + 1) for child in children]


def snapshot_of(task: trio.lowlevel.Task, depth: int, most: int) -> TaskSnapshot:
    """Take a snapshot of a task, with at most that many frames: the innermost."""
    frames: list[FrameSnapshot] = []
    if task is not trio.lowlevel.current_task():
        for frame, line in task.iter_await_frames():
            code = frame.f_code
            frames.append(FrameSnapshot(code.co_filename, line, code.co_qualname))
    return TaskSnapshot(task, task.name, depth, tuple(frames[-most:]))


def threads(most: int) -> list[tuple[str, tuple[FrameSnapshot, ...]]]:
    """Return the other threads of the process with what they run: at most that many frames, the innermost."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    found: list[tuple[str, tuple[FrameSnapshot, ...]]] = []
    for number, innermost in sys._current_frames().items():
        if number == threading.get_ident():
            continue
        frames: list[FrameSnapshot] = []
        frame: FrameType | None = innermost
        while frame is not None and len(frames) < most:
            frames.append(FrameSnapshot(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname))
            frame = frame.f_back
        found.append((names.get(number, f"thread {number}"), tuple(frames[::-1])))
    return sorted(found)
