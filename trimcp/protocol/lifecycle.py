"""The legacy handshake as a table of transitions, the same for both roles.

basic/lifecycle of 2024-11-05 to 2025-11-25. It governs `initialize` and nothing else: whether a
message is of the modern era is decided from the message alone, and such a message passes
whatever the state of the handshake.
"""

from __future__ import annotations

import enum
from typing import Final


class Phase(enum.Enum):
    """Where the handshake stands."""

    OPENING = "opening"
    """Nothing yet: only `initialize` and `ping` may be asked."""
    INITIALIZED = "initialized"
    """`initialize` was answered; the client's notification that it has read it is still to come."""
    READY = "ready"
    """Normal operation."""


class Step(enum.Enum):
    """What moves the handshake."""

    INITIALIZE = "initialize"
    """`initialize` was answered with a result."""
    INITIALIZED = "notifications/initialized"
    """The client said that it is ready."""


TRANSITIONS: Final[dict[Phase, dict[Step, Phase]]] = {
    Phase.OPENING: {Step.INITIALIZE: Phase.INITIALIZED},
    Phase.INITIALIZED: {Step.INITIALIZED: Phase.READY},
    Phase.READY: {Step.INITIALIZED: Phase.READY},  # said twice by some hosts; it changes nothing
}
"""Phase and step to the next phase. A step that is not here is the peer's mistake."""


class Handshake:
    """The phase of one session."""

    __slots__ = ("phase",)

    def __init__(self) -> None:
        self.phase = Phase.OPENING

    def allows(self, step: Step) -> bool:
        """Whether the step may be taken now."""
        return step in TRANSITIONS[self.phase]

    def take(self, step: Step) -> bool:
        """Take the step, or return False where the table has no such transition."""
        following = TRANSITIONS[self.phase].get(step)
        if following is None:
            return False
        self.phase = following
        return True
