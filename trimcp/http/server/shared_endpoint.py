"""The parts of an endpoint whose store is shared by several nodes."""

from __future__ import annotations

from trimcp.actors.supervisor import Supervisor
from trimcp.http.server.event_log import open_event_log
from trimcp.http.server.followed_streams import FollowedStreams
from trimcp.http.server.served_run import ServedRun
from trimcp.http.server.session_places import SessionPlaces
from trimcp.http.server.shared_session_table import SharedSessionTable
from trimcp.http.server.shared_sessions import SharedSessions
from trimcp.http.server.sse_2024 import Sse2024
from trimcp.http.server.sse_posts import SsePosts
from trimcp.http.server.stored_answers import StoredAnswers
from trimcp.http.server.stream_writer import StreamWriter
from trimcp.session.handler_actors import HandlerActors
from trimcp.stores.contained import (
    MOST_SHARED_CALLS,
    ContainedSharedEventStore,
    ContainedSharedSessionStore,
    ContainedSubscriptionStore,
    StoreCalls,
    open_calls,
)


def open_shared_sessions(
    served: ServedRun,
    supervisor: Supervisor,
    actors: HandlerActors,
    writer: StreamWriter,
) -> SharedSessions:
    """Make the sessions of an endpoint of a node, with the actors that keep what they store.

    The parameters are those of `LegacySessions`.
    """
    store, messages, limits = served.store, served.messages, served.service.limits
    assert store is not None
    assert messages is not None

    def calls(part: object, name: str) -> StoreCalls:
        return open_calls(part, name, supervisor, MOST_SHARED_CALLS)

    event_store = ContainedSharedEventStore(store.events, calls(store.events, "event store"))
    event_log = open_event_log(supervisor, event_store, limits, messages)
    table = supervisor.add(
        SharedSessionTable(
            supervisor,
            ContainedSharedSessionStore(store, calls(store, "session store")),
            ContainedSubscriptionStore(store.subscriptions, calls(store.subscriptions, "subscription store")),
            limits,
            messages,
            served,
        )
    )
    sessions = SharedSessions(served, table, event_log, supervisor.nursery, actors, writer)
    answers = StoredAnswers(event_store, table, messages)
    supervisor.nursery.start_soon(answers.run, name="trimcp answers of other nodes")
    places = SessionPlaces(store.admission, calls(store.admission, "admission store"), limits)
    sessions.share(messages, FollowedStreams(event_store, messages, limits, served), answers, places)
    return sessions


def share_sse(sse: Sse2024, served: ServedRun) -> None:
    """Have the streams of HTTP+SSE take messages that are posted to other nodes."""
    assert served.messages is not None
    sse.share(SsePosts(served.messages, sse))
