"""Snapshots: a session and its requests at one moment, as frozen data that is made on demand."""

from __future__ import annotations

import attrs

from trimcp.actors.snapshots import SupervisorSnapshot
from trimcp.framing.headers import named_param
from trimcp.session.call import Call
from trimcp.session.request import InboundRequest
from trimcp.types.jsonrpc import RequestId


@attrs.frozen(kw_only=True, eq=False)
class RequestSnapshot:
    """One request of the peer, at one moment."""

    serial: int
    id: RequestId
    method: str
    revision: str
    received_at: float
    """When it was read, by Trio's clock."""
    age: float
    """Seconds since it was read."""
    client: str | None
    """The name and the version that the client gives itself, with this request or at the handshake."""
    name: str | None
    """The tool, prompt or URI that it is for."""
    progress: tuple[float, float | None, str | None] | None
    """The last report of its handler: progress, total and message."""
    state: str
    """`waiting` for a place, `running`, `long-lived`, or `cancelled: REASON`, where its handler has not ended."""

    @classmethod
    def of(cls, request: InboundRequest, now: float) -> RequestSnapshot:
        """Take a snapshot of a request."""
        return cls(
            serial=request.serial,
            id=request.id,
            method=request.method,
            revision=request.revision.version,
            received_at=request.received_at,
            age=now - request.received_at,
            client=None if request.profile is None else request.profile.name,
            name=named_param(request.method, request.params),
            progress=request.progress,
            state=_state_of(request),
        )


def _state_of(request: InboundRequest) -> str:
    if request.cancel_reason is not None:
        return f"cancelled: {request.cancel_reason.value}"
    if request.route.keeper is not None:
        return "long-lived"
    return "running" if request.scope is not None else "waiting"


@attrs.frozen(kw_only=True, eq=False)
class CallSnapshot:
    """One request of this side that waits for the peer, at one moment."""

    id: RequestId
    title: str
    """The method, and the name or URI that it is for."""
    since: float
    """When it was made, by Trio's clock."""
    request: int | None
    """The serial of the request whose handler makes it."""

    @classmethod
    def of(cls, call: Call) -> CallSnapshot:
        """Take a snapshot of a call."""
        request = call.via.serial if isinstance(call.via, InboundRequest) else None
        return cls(id=call.id, title=call.title, since=call.began, request=request)


@attrs.frozen(kw_only=True, eq=False)
class StreamSnapshot:
    """One event stream of a legacy HTTP session, at one moment."""

    number: int
    kind: str
    """`GET` or `POST`."""
    is_attached: bool
    """Whether a connection carries it now. One without can be resumed."""
    is_elsewhere: bool
    """Whether the client reads it at another node of a shared store."""
    sent: int
    """The number of its last event, from which a client resumes it."""
    owed: tuple[RequestId, ...]
    """The ids of the requests that it still owes answers to."""
    waiting: int
    """Messages that have not left."""
    waiting_bytes: int
    detached_at: float | None
    """When its last connection was lost, by Trio's clock."""


@attrs.frozen(kw_only=True, eq=False)
class SessionSnapshot:
    """One session at one moment: its actors, how full they are, and what waits."""

    number: int
    peer: str
    principal: str | None
    client: str | None
    """The name and the version that the client gives itself."""
    phase: str
    """Of the legacy handshake."""
    revision: str | None
    requests: tuple[RequestSnapshot, ...]
    waiting: int
    """Router: requests that wait for a place."""
    refused: int
    """Router: requests refused as busy so far."""
    asked: tuple[CallSnapshot, ...]
    """Calls: our requests that wait for the peer."""
    out_bytes: int
    """Writer: bytes that wait to leave."""
    is_blocked: bool
    """Writer: whether more waits than should, since the peer does not read."""
    streams: tuple[StreamSnapshot, ...] = ()
    """The event streams of a legacy session over HTTP."""
    read: int
    """Reader: frames so far."""
    written: int
    """Writer: messages so far."""
    tasks: int
    """The tasks of the session, with the Reader's."""
    supervisor: SupervisorSnapshot | None
    """The actors and the handler actors of the session; None where they are the endpoint's, or the session is over."""

    @property
    def calls(self) -> int:
        """How many of our requests wait for the peer."""
        return len(self.asked)

    def render(self) -> str:
        """Return the session as indented lines, for people."""
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
