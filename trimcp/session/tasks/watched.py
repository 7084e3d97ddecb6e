"""Hands the notifications about tasks to the pollers that wait for them."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trimcp.session.tasks.poller import TaskPoller
    from trimcp.session.tasks.state import TaskState


class WatchedTasks:
    """Knows the pollers that wait for tasks, by a key of the task."""

    def __init__(self) -> None:
        self._pollers: dict[Hashable, list[TaskPoller]] = {}

    def __bool__(self) -> bool:
        """Whether any poller waits."""
        return bool(self._pollers)

    @contextmanager
    def watched(self, key: Hashable, poller: TaskPoller) -> Iterator[None]:
        """Hand notifications about a task to its poller, while the block runs."""
        self._pollers.setdefault(key, []).append(poller)
        try:
            yield
        finally:
            left = [one for one in self._pollers[key] if one is not poller]
            if left:
                self._pollers[key] = left
            else:
                del self._pollers[key]

    def told(self, key: Hashable, state: TaskState) -> None:
        """Take the state of a notification. Never waits."""
        for poller in self._pollers.get(key, ()):
            poller.notified(state)
