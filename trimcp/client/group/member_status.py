"""The state of a member, and the status that its actor publishes through the group's."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from trimcp.client.group.events import Failure
    from trimcp.client.group.lists import Lists


class MemberState(enum.Enum):
    """How it stands with a member."""

    CONNECTING = "connecting"
    """A connection is being made."""
    READY = "ready"
    """There is a client to be used."""
    WAITING = "waiting"
    """The connection ended, or could not be made; the next attempt comes after a pause."""
    FAILED = "failed"
    """It is not tried again, unless `Member.restart` asks for it."""
    CLOSED = "closed"
    """It was closed: nothing of it can be used, and soon nothing will be left."""


@attrs.frozen
class MemberStatus:
    """A member at one moment. Its actor makes one at each change; everything else only reads it."""

    state: MemberState
    restarts: int = 0
    """Restarts that the program had asked for, as far as the actor knows of them."""
    lists: Lists | None = None
    """What the server offers over the connection, in the state `READY`."""
    failure: Failure | None = None
    """Why it has failed, in the state `FAILED`."""
    error: Exception | None = None
    """What the last connection, or attempt at one, ended with."""
    connections: int = 0
    """Connections that were made so far."""
    is_attempted: bool = False
    """Whether the first attempt since the last restart has come to something."""
