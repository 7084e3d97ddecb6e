"""Snapshots of the event streams of a legacy HTTP session."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from trimcp.http.server.legacy_get_stream import LegacyGetStream
from trimcp.http.server.legacy_streams import LegacyPostStream, ResumableStream
from trimcp.http.server.sse_stream import SseStream
from trimcp.session.register import Register
from trimcp.session.request import InboundRequest
from trimcp.session.snapshot import StreamSnapshot
from trimcp.types.jsonrpc import RequestId


def stream_snapshots(
    get_stream: LegacyGetStream, posts: Iterable[LegacyPostStream], requests: Register[InboundRequest]
) -> Iterator[StreamSnapshot]:
    """Take a snapshot of each stream of a session that is open, or can be resumed.

    Args:
        get_stream: what waits in it leaves by the latest GET stream.
        posts: the streams of POSTs.
        requests: of the session.
    """
    for sse in get_stream.numbered:
        yield _snapshot(get_stream, sse, "GET", (), is_elsewhere=get_stream.is_elsewhere)
    for post in posts:
        mine = (request for request in requests.in_flight if request.reply_stream is post)
        owed = tuple(request.id for request in mine if requests.owes_answer(request))
        yield _snapshot(post, post.sse, "POST", owed, is_elsewhere=post.is_followed)


def _snapshot(
    stream: ResumableStream, sse: SseStream, kind: str, owed: tuple[RequestId, ...], *, is_elsewhere: bool
) -> StreamSnapshot:
    return StreamSnapshot(
        number=sse.number,
        kind=kind,
        is_attached=sse.response is not None,
        is_elsewhere=is_elsewhere,
        sent=sse.sent,
        owed=owed,
        waiting=stream.outbox.waiting,
        waiting_bytes=stream.outbox.waiting_bytes,
        detached_at=sse.detached_at if sse.response is None else None,
    )
