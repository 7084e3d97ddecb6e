"""`RunSnapshot`: one run of a server at one moment, for people."""

from __future__ import annotations

from collections.abc import Collection

import attrs

from trimcp.actors.snapshots import SupervisorSnapshot
from trimcp.server.features.subscriptions.snapshot import SubscriptionsSnapshot
from trimcp.session.session import Session
from trimcp.session.snapshot import SessionSnapshot


@attrs.frozen(kw_only=True, eq=False)
class RunSnapshot:
    """Shows one run of a server at one moment."""

    server: str
    draining: bool
    places: int
    """Admission: how many requests may run at once."""
    places_free: int
    session_places: int
    """Requests of one session that may run at once."""
    sessions_waiting: int
    """Admission: sessions that wait for a place."""
    tools: int
    resources: int
    """Resources and templates."""
    prompts: int
    providers: tuple[str, ...]
    """The names of the providers that were added, in their order."""
    tool_threads: int
    """Threads that run sync tools, abandoned ones included."""
    jobs: int
    tasks: int
    """Calls of tools that run as tasks in this process."""
    listens: int
    """SubscriptionBus: `subscriptions/listen` requests in flight."""
    subscriptions: int
    """SubscriptionBus: subscriptions to resources."""
    watched: SubscriptionsSnapshot
    """SubscriptionBus: which listens and subscriptions these are."""
    supervisor: SupervisorSnapshot
    """The actors and tasks of the run, which all its sessions share."""
    endpoints: tuple[SupervisorSnapshot, ...]
    """The actors and handler actors of its HTTP endpoints."""
    sessions: tuple[SessionSnapshot, ...]
    sessions_open: int
    """All of them, where `sessions` has only some."""
    callers: tuple[SessionSnapshot, ...]
    """Connections and principals that use 2026-07-28 over HTTP, without a session."""

    def __str__(self) -> str:
        lines = [
            f"server {self.server}{'  draining' if self.draining else ''}",
            f"├── admission  {self.places - self.places_free} of {self.places} places, {self.sessions_waiting} wait",
            f"├── tools  {self.tools}, {self.tool_threads} threads",
            *([f"├── resources  {self.resources}"] if self.resources else ()),
            *([f"├── prompts  {self.prompts}"] if self.prompts else ()),
            *([f"├── providers  {', '.join(self.providers)}"] if self.providers else ()),
            f"├── jobs  {self.jobs}",
            *([f"├── tasks  {self.tasks}"] if self.tasks else ()),
            f"├── subscriptions  {self.listens} listens, {self.subscriptions} to resources",
            *(f"├── {line}" for line in self.supervisor.render()),
            *(f"├── {endpoint.name}: {line}" for endpoint in self.endpoints for line in endpoint.render()),
            *([f"├── callers  {len(self.callers)} without a session"] if self.callers else ()),
            f"└── sessions  {len(self.sessions)}",
        ]
        for session in (*self.sessions, *(caller for caller in self.callers if caller.requests)):
            lines += ["    " + line for line in session.render().splitlines()]
        return "\n".join(lines)


def snapshots_of(sessions: Collection[Session], most: int | None) -> tuple[SessionSnapshot, ...]:
    """Return snapshots of sessions, in the order of their numbers; of at most that many, the busy ones first."""
    if most is not None and len(sessions) > most:
        sessions = sorted(sessions, key=lambda s: (not s.is_running or not len(s.requests.in_flight), s.number))[:most]
    return tuple(s.snapshot() for s in sorted(sessions, key=lambda s: s.number))
