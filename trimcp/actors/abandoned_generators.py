"""Abandoned async generators: closed when the work that left them has ended, and not in the middle of it.

Trio closes an async generator that was dropped before it was exhausted in a task of its own. If the
generator has a nursery open, that task waits in the nursery of another task, the worker, and Trio then
wakes the wrong one of the two: the whole run crashes, or never ends. So what a worker drops while it has
nurseries open is kept until its work has ended and these nurseries are marked as closed.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncGenerator, Callable
from typing import Any

import trio


class AbandonedGenerators:
    """Keeps the generators that the workers of one run of Trio have dropped, by worker."""

    __slots__ = ("_close", "kept", "workers")

    def __init__(self, close: Callable[[AsyncGenerator[Any, Any]], None]) -> None:
        self._close = close  # Trio's hook
        self.workers: set[trio.lowlevel.Task] = set()
        self.kept: dict[trio.lowlevel.Task, list[AsyncGenerator[Any, Any]]] = {}

    def drop(self, generator: AsyncGenerator[Any, Any]) -> None:
        """Keep a generator that may have a nursery open in a worker; let Trio close any other. Called by Python."""
        try:
            task = trio.lowlevel.current_task()
        except RuntimeError:  # dropped in another thread, or between two steps of tasks
            self._close(generator)
            return
        if task in self.workers and task.child_nurseries:
            self.kept.setdefault(task, []).append(generator)
        else:
            self._close(generator)

    def release(self, task: trio.lowlevel.Task) -> None:
        """Let Trio close the generators that were kept for a worker."""
        for generator in self.kept.pop(task, ()):
            with contextlib.suppress(ResourceWarning):  # where warnings are errors
                self._close(generator)


def abandoned_generators() -> AbandonedGenerators:
    """Return the keeper of this run of Trio; the first call sets the hook of the run."""
    hook = sys.get_asyncgen_hooks().finalizer
    known = getattr(hook, "__self__", None)
    if isinstance(known, AbandonedGenerators):
        return known
    assert hook is not None, "called outside of a run of Trio"
    generators = AbandonedGenerators(hook)
    sys.set_asyncgen_hooks(finalizer=generators.drop)
    return generators
