"""What a session looks like at one moment: frozen data, made only when somebody asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import trio

from trimcp.actors.supervisor import SupervisorSnapshot
from trimcp.types.jsonrpc import RequestId

if TYPE_CHECKING:
    from trimcp.session.session import Session


@attrs.frozen(kw_only=True, eq=False)
class RequestSnapshot:
    """One request of the peer's."""

    serial: int
    id: RequestId
    method: str
    revision: str
    age: float
    """Seconds since it was read."""
    state: str
    """`waiting` for its turn, `running`, or `cancelled: REASON` and unwinding."""


@attrs.frozen(kw_only=True, eq=False)
class SessionSnapshot:
    """One session: its actors, how full they are, and what waits."""

    number: int
    peer: str
    principal: str | None
    phase: str
    """Of the legacy handshake."""
    revision: str | None
    requests: tuple[RequestSnapshot, ...]
    waiting: int
    """Router: requests that wait for a place."""
    refused: int
    """Router: requests refused as busy, so far."""
    calls: int
    """Calls: our requests that wait for the peer."""
    out_bytes: int
    """Writer: bytes that wait to leave."""
    read: int
    """Reader: frames, so far."""
    written: int
    """Writer: messages, so far."""
    tasks: int
    """Tasks of the session, the Reader's included."""
    supervisor: SupervisorSnapshot | None
    """The actors and the handler actors of the session; None where they are the endpoint's, or the session is over."""

    def render(self) -> str:
        """The session as indented lines, for people."""
        spoken = "no handshake" if self.revision is None else f"{self.revision}, {self.phase}"
        lines = [
            f"session {self.number}  {self.peer}  {spoken}  {self.tasks} tasks",
            f"├── reader  {self.read} frames",
            *(f"├── {line}" for line in (() if self.supervisor is None else self.supervisor.render())),
            f"├── register  {len(self.requests)} requests, {self.waiting} of them wait, {self.refused} refused",
            *(f"│   ├── {r.method}  id {r.id!r}  {r.age:.3f} s  {r.state}" for r in self.requests),
            f"├── written  {self.written} messages, {self.out_bytes} bytes wait",
            f"└── calls  {self.calls} wait for the peer",
        ]
        return "\n".join(lines)


def snapshot_of(session: Session, tasks: int, *, is_alive: bool) -> SessionSnapshot:
    """What a session does now. One that is not alive has no actors to ask."""
    now = trio.current_time()
    # A stateless peer that is over may have handlers that have not ended: nothing waited for them.
    in_flight = session.requests.in_flight if is_alive or session.is_stateless else ()
    requests = [
        RequestSnapshot(
            serial=request.serial,
            id=request.id,
            method=request.method,
            revision=request.revision.version,
            age=now - request.received_at,
            state=request.state,
        )
        for request in in_flight
    ]
    return SessionSnapshot(
        number=session.number,
        peer=session.description,
        principal=None if session.principal is None else str(session.principal),
        phase=session.handshake.phase.value,
        revision=None if session.revision is None else session.revision.version,
        requests=tuple(requests),
        waiting=len(session.requests.waiting) if is_alive else 0,
        refused=session.requests.refused if is_alive else 0,
        calls=len(session.calls) if is_alive else 0,
        out_bytes=session.writer.waiting_bytes if is_alive else 0,
        read=session.messages_read if is_alive else 0,
        written=session.writer.posted if is_alive else 0,
        tasks=tasks,
        supervisor=session.supervisor.snapshot() if is_alive and not session.is_stateless else None,
    )
