"""What waits for what: requests for places, handlers for clients, sessions for peers that do not read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from trimcp.server.run_snapshot import RunSnapshot
from trimcp.session.snapshot import RequestSnapshot, SessionSnapshot
from trimcp.view.masking import cut


@attrs.frozen(kw_only=True)
class Wait:
    """One thing that waits for another."""

    who: str
    waits_for: str
    session: int | None = None
    request: int | None = None
    """The serial of the request that waits."""
    since: float | None = None
    """By Trio's clock; None where that is not known."""

    def shown(self) -> dict[str, Any]:
        """Return it for the page."""
        since = None if self.since is None else round(self.since, 3)
        return {**attrs.asdict(self), "since": since}


def waits_of(run: RunSnapshot) -> Iterator[Wait]:
    """Yield what waits in a run. A handler that only computes, or waits for its own work, is not among it."""
    peers = (*run.sessions, *run.callers)
    if run.draining:
        left = sum(len(peer.requests) for peer in peers)
        yield Wait(who="the drain", waits_for=f"{left} requests to end" if left else "answers to leave")
    for peer in peers:
        yield from _of_session(peer, run)
    for supervisor in (*run.endpoints, *(peer.supervisor for peer in run.sessions if peer.supervisor is not None)):
        for pool in supervisor.pools:
            if pool.waiting:
                yield Wait(who=f"{pool.waiting} requests", waits_for=f"a worker of {pool.name}")
            if pool.parked:
                who = f"{pool.parked} workers of {pool.name}"
                yield Wait(who=who, waits_for="nurseries that handlers have left open")


def _of_session(peer: SessionSnapshot, run: RunSnapshot) -> Iterator[Wait]:
    by_serial = {request.serial: request for request in peer.requests}
    for call in peer.asked:
        request = None if call.request is None else by_serial.get(call.request)
        yield Wait(
            who=f"session {peer.number}" if request is None else _title(request),
            waits_for=f"the client's answer to {cut(call.title)}, id {call.id!r}",
            session=peer.number,
            request=call.request,
            since=call.since,
        )
    for request in peer.requests:
        waits_for = _place(peer, run) if request.state == "waiting" else ""
        if request.state.startswith("cancelled"):
            waits_for = f"its handler to clean up ({request.state})"
        if waits_for:
            yield Wait(
                who=_title(request),
                waits_for=waits_for,
                session=peer.number,
                request=request.serial,
                since=request.received_at,
            )
    if peer.is_blocked:
        waits_for = f"its client to read: {peer.out_bytes} bytes wait to leave"
        yield Wait(who=f"session {peer.number}", waits_for=waits_for, session=peer.number)
    for stream in peer.streams:
        if not stream.is_attached and not stream.is_elsewhere and (stream.owed or stream.waiting):
            yield Wait(
                who=f"{stream.kind} stream {stream.number} of session {peer.number}",
                waits_for=f"its client to come back behind event {stream.sent}",
                session=peer.number,
                since=stream.detached_at,
            )


def _title(request: RequestSnapshot) -> str:
    return f"request {request.serial} {cut(request.method)} {cut(request.name) or ''}".rstrip()


def _place(peer: SessionSnapshot, run: RunSnapshot) -> str:
    """Return what a request waits for that has no place."""
    taken = sum(request.state not in ("waiting", "long-lived") for request in peer.requests)
    if taken >= run.session_places:
        return f"a place of its session: {taken} of {run.session_places} are taken"
    if not run.places_free:
        return f"a place of the server: all {run.places} are taken"
    return "its turn among the sessions that wait"
