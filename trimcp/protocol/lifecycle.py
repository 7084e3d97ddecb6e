"""The legacy handshake as a table of transitions, for both roles.

basic/lifecycle of 2024-11-05 to 2025-11-25. It governs `initialize` and nothing else: a message of the modern era is
recognised from the message alone, and passes in any phase of the handshake.
"""

from __future__ import annotations

import enum
from typing import Final


class Phase(enum.Enum):
    """A phase of the handshake."""

    OPENING = "opening"
    """Before `initialize`: only `initialize` and `ping` may be sent."""
    INITIALIZED = "initialized"
    """`initialize` was answered; the client's notification that it has read it is still to come."""
    READY = "ready"
    """Normal operation."""


class Step(enum.Enum):
    """A step that takes the handshake to its next phase."""

    INITIALIZE = "initialize"
    """`initialize` was answered with a result."""
    INITIALIZED = "notifications/initialized"
    """The client sent that it is ready."""


TRANSITIONS: Final[dict[Phase, dict[Step, Phase]]] = {
    Phase.OPENING: {Step.INITIALIZE: Phase.INITIALIZED},
    Phase.INITIALIZED: {Step.INITIALIZED: Phase.READY},
    Phase.READY: {Step.INITIALIZED: Phase.READY},  # some hosts send it twice; it changes nothing
}
"""Phase and step to the next phase. A step that is not here is the peer's mistake."""


class Handshake:
    """Holds the phase of one session."""

    __slots__ = ("phase",)

    def __init__(self) -> None:
        self.phase: Phase = Phase.OPENING

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
