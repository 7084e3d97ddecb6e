"""A cork: what is posted to several streams in one turn of a crew leaves each of them in one write."""

from __future__ import annotations

from typing import Protocol

import trio

from trimcp.actors.crew import Crew


class Corked(Protocol):
    """A stream under a cork."""

    def move(self) -> None:
        """Write what leaves without waiting. Must not wait, nor raise."""
        ...


class Cork:
    """Keeps streams from writing while somebody runs who may post more. Never held across a wait."""

    __slots__ = ("_held", "_touched")

    def __init__(self) -> None:
        self._held = 0
        self._touched: list[Corked] = []

    def press(self) -> None:
        """Hold back what is posted until `release`."""
        self._held += 1

    def release(self) -> None:
        """Undo one `press`; the last one lets everything go that was held back."""
        self._held -= 1
        if self._touched and not self._held:
            touched, self._touched = self._touched, []
            for stream in touched:
                stream.move()

    def touch(self, stream: Corked) -> None:
        """Have a stream write: now, or when the cork is out."""
        if self._held:
            self._touched.append(stream)
        else:
            stream.move()

    def later(self, stream: Corked) -> None:
        """Have a stream write at the end of the next turn at the latest: somebody may post to it until then."""
        self._touched.append(stream)


class CorkedCrew(Crew):
    """The crew of an endpoint, for all its sessions and exchanges, with a cork on what is posted in its turns.

    One for all, since many sessions with a little to do each would wake as many tasks, where one can do it all in
    a turn.
    """

    __slots__ = ("cork",)

    def __init__(self, nursery: trio.Nursery) -> None:
        """Its members live in `nursery`."""
        self.cork = Cork()
        super().__init__(nursery, on_turn_start=self.cork.press, on_turn_end=self.cork.release)
