"""Actors that note what they handle, for the tests of the kernel."""

from __future__ import annotations

import contextvars
from collections.abc import Callable

from trimcp.actors.actor import Actor, Owner
from trimcp.actors.mailbox import Mailbox

where: contextvars.ContextVar[str] = contextvars.ContextVar("where", default="nowhere")


class Notebook(Actor[str]):
    """Notes the messages that it handles. `on` is called with each; the message "fail" raises."""

    name = "notebook"

    def __init__(
        self,
        owner: Owner,
        *,
        capacity: int = 100,
        in_turn: bool = False,
        on: Callable[[str], None] = lambda _: None,
        notes: list[str] | None = None,
    ) -> None:
        super().__init__(owner, Mailbox(capacity), in_turn=in_turn)
        self.notes: list[str] = [] if notes is None else notes
        self._on = on
        self._is_handling = False

    def handle(self, message: str) -> None:
        assert not self._is_handling, "one message at a time"
        self._is_handling = True
        try:
            self.notes.append(message)
            if message == "fail":
                raise ValueError(message)
            self._on(message)
        finally:
            self._is_handling = False
