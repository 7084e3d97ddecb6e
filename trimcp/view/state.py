"""The state of a server for the page: named sections of JSON, made from snapshots.

A section is small and stands for one thing (the server, a session, a tool), so that a delta can name those that have
changed. Times are absolute, so that a section that waits does not change.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs
import trio

import trimcp
from trimcp.actors.snapshots import SupervisorSnapshot
from trimcp.actors.steps import StepWatch
from trimcp.server.features.subscriptions.snapshot import SubscriptionsSnapshot
from trimcp.server.run_registry import RunRegistry
from trimcp.server.run_snapshot import RunSnapshot
from trimcp.session.drain_report import DrainReport
from trimcp.session.snapshot import RequestSnapshot, SessionSnapshot
from trimcp.view.figures import Figures
from trimcp.view.masking import cut, mask_text
from trimcp.view.stacks import Stacks
from trimcp.view.waits import Wait, waits_of

MOST_SESSIONS: Final = 200
"""Sessions that are shown, the busy ones first; of the others the number."""
MOST_REQUESTS: Final = 50
"""Requests and streams of one session that are shown, the oldest first; of the others the number."""
MOST_WAITS: Final = 200
"""Waits that are shown; of the others the number."""
Sections = dict[str, dict[str, Any]]


class State:
    """Makes the sections of one server."""

    def __init__(self, runs: RunRegistry, figures: Figures, *, control: bool) -> None:
        """`control`: whether the page may cancel, close and drain."""
        self._runs = runs
        self._figures = figures
        self._control = control
        self._began = trio.current_time()
        self.is_recording: bool = False
        """Whether messages and logs are recorded."""
        self.dropped: int = 0
        """Viewers that were dropped, since they did not read."""
        self.steps: StepWatch = StepWatch()
        """Measures the steps of tasks while a page shows them."""
        self.stacks: Stacks = Stacks(runs)
        self._clients: dict[str, str] = {}
        """The names of clients, by the section of their session: from 2026-07-28 on only requests carry them."""

    def process(self) -> dict[str, Any]:
        """Return what tells this process from others; `path`: where its page is, below that of the list."""
        return {"pid": os.getpid(), "name": cut(self._runs.declarations.info.name), "path": ""}

    def sections(self) -> Sections:
        """Return all sections of this moment."""
        info = self._runs.declarations.info
        reports = [run.report for run in self._runs.runs if run.drained.is_set()]
        found: Sections = {
            "server": {
                "name": cut(info.name),
                "version": cut(info.version),
                "trimcp": trimcp.__version__,
                "pid": os.getpid(),
                "began": self._began,
                "control": self._control,
                "client": self._control,
                "recording": self.is_recording,
                "refused": self._figures.refusals,
                "viewers_dropped": self.dropped,
                "drain": attrs.asdict(sum(reports, DrainReport())) if reports else None,
            }
        }
        waits: list[Wait] = []
        for at, run in enumerate(self._runs.runs):
            snapshot = run.snapshot(MOST_SESSIONS)
            found.update(_run_sections(at, snapshot))
            waits += waits_of(snapshot)
        self._keep_names(found)
        waits.sort(key=lambda wait: wait.since or 0.0)
        found["waits"] = {
            "waits": [wait.shown() for wait in waits[:MOST_WAITS]],
            "more": max(0, len(waits) - MOST_WAITS),
        }
        if self.steps.since is not None:
            found["steps"] = _steps(self.steps, self.stacks.works())
        for name, figures in self._figures.shown().items():
            found[f"tool:{cut(name)}"] = {**figures, "name": cut(figures["name"])}
        return found

    def _keep_names(self, sections: Sections) -> None:
        """Show the name of a client also while none of its requests is in flight."""
        sessions = {name: section for name, section in sections.items() if name.startswith("session:")}
        for name, section in sessions.items():
            section["client"] = section["client"] or self._clients.get(name)
        self._clients = {name: section["client"] for name, section in sessions.items() if section["client"]}


def _run_sections(at: int, run: RunSnapshot) -> Iterator[tuple[str, dict[str, Any]]]:
    yield (
        f"run:{at}",
        {
            "draining": run.draining,
            "places": run.places,
            "running": run.places - run.places_free,
            "sessions_waiting": run.sessions_waiting,
            "sessions": run.sessions_open,
            "callers": len(run.callers),
            "threads": run.tool_threads,
            "jobs": run.jobs,
            "listens": run.listens,
            "subscriptions": run.subscriptions,
        },
    )
    yield f"watched:{at}", _watched(run.watched)
    for supervisor in (run.supervisor, *run.endpoints):
        yield f"actors:{at}:{supervisor.name}", _supervisor(supervisor)
    for kind, sessions in (("session", run.sessions), ("caller", run.callers)):
        for session in sessions:
            yield f"session:{session.number}", _session(kind, session)
            if session.streams:
                yield f"streams:{session.number}", _streams(session)
            if session.supervisor is not None:
                yield f"actors:{session.number}:{session.supervisor.name}", _supervisor(session.supervisor)


def _session(kind: str, session: SessionSnapshot) -> dict[str, Any]:
    return {
        "number": session.number,
        "kind": kind,
        "peer": cut(session.peer),
        "principal": cut(session.principal),
        "client": cut(session.client or next((request.client for request in session.requests), None)),
        "phase": session.phase,
        "revision": session.revision,
        "requests": [_request(request) for request in session.requests[:MOST_REQUESTS]],
        "more": max(0, len(session.requests) - MOST_REQUESTS),
        "waiting": session.waiting,
        "refused": session.refused,
        "calls": session.calls,
        "out_bytes": session.out_bytes,
        "read": session.read,
        "written": session.written,
    }


def _request(request: RequestSnapshot) -> dict[str, Any]:
    progress = request.progress
    return {
        "serial": request.serial,
        "id": cut(str(request.id)),
        "method": cut(request.method),
        "name": cut(request.name),
        "began": round(request.received_at, 3),
        "state": request.state,
        "progress": None if progress is None else [progress[0], progress[1], cut(progress[2])],
    }


def _streams(session: SessionSnapshot) -> dict[str, Any]:
    return {
        "session": session.number,
        "client": cut(session.client),
        "streams": [
            {
                "number": stream.number,
                "kind": stream.kind,
                "carried": "here" if stream.is_attached else "at another node" if stream.is_elsewhere else "no",
                "sent": stream.sent,
                "owed": [cut(str(id)) for id in stream.owed[:MOST_REQUESTS]],
                "waiting": stream.waiting,
                "bytes": stream.waiting_bytes,
                "detached": None if stream.detached_at is None else round(stream.detached_at, 3),
            }
            for stream in session.streams[:MOST_REQUESTS]
        ],
        "more": max(0, len(session.streams) - MOST_REQUESTS),
    }


def _watched(watched: SubscriptionsSnapshot) -> dict[str, Any]:
    return {
        "listens": [
            {
                "session": listen.session,
                "request": listen.request,
                "id": cut(str(listen.id)),
                "since": round(listen.since, 3),
                "granted": listen.is_granted,
                "lists": listen.lists,
                "uris": [cut(uri) for uri in listen.uris[:MOST_REQUESTS]],
                "topics": [cut(f"{topic} {key}") for topic, key in listen.topics[:MOST_REQUESTS]],
                "more": max(0, len(listen.uris) - MOST_REQUESTS) + max(0, len(listen.topics) - MOST_REQUESTS),
            }
            for listen in watched.listens
        ],
        "listens_open": watched.listens_open,
        "uris": [
            {"uri": cut(uri), "sessions": sessions[:MOST_REQUESTS], "more": max(0, len(sessions) - MOST_REQUESTS)}
            for uri, sessions in watched.uris
        ],
        "uris_watched": watched.uris_watched,
    }


def _steps(steps: StepWatch, works: Mapping[Any, dict[str, Any]]) -> dict[str, Any]:
    return {
        "since": steps.since,
        "count": steps.count,
        "seconds": round(steps.seconds, 4),
        "longest": [
            {
                "task": cut(step.task.name),
                "ms": round(step.seconds * 1000, 3),
                "at": round(step.at, 3),
                "place": mask_text(step.place),
                "request": works.get(step.task, {}).get("request"),
            }
            for step in steps.longest
        ],
    }


def _supervisor(supervisor: SupervisorSnapshot) -> dict[str, Any]:
    return {
        "name": supervisor.name,
        "actors": [
            {
                "name": actor.name,
                "state": actor.state,
                "waiting": actor.mailbox.waiting,
                "bytes": actor.mailbox.waiting_bytes,
                "capacity": actor.mailbox.capacity,
                "told": actor.mailbox.told,
                "peak": actor.mailbox.peak,
                "facts": actor.facts,
            }
            for actor in supervisor.actors
        ],
        "pools": [
            {
                "name": pool.name.rpartition(": ")[2],
                "waiting": pool.waiting,
                "workers": pool.workers,
                "idle": pool.idle,
                "done": pool.done,
            }
            for pool in supervisor.pools
        ],
        "tasks": len(supervisor.tasks),
    }
