"""Messages of HTTP+SSE that are posted to another node than the one that has the stream.

The bus loses messages. So the node with the stream confirms each post, and the other node sends the post again until it
is confirmed, or until it gives up.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from typing import Any, Final, Protocol

import attrs
import trio

from trimcp.actors.reply import Reply
from trimcp.stores.node_lease import NodeObserver
from trimcp.stores.node_messages import NodeMessages

POST: Final = "sse_post"
"""The kind of message that has a post for a stream of the receiver."""
CONFIRM: Final = "sse_confirm"
"""The kind of message that has the HTTP status for such a post."""
TRIES: Final = 3
SECONDS: Final = 1.0
"""Seconds to wait for the confirmation before the post is sent again."""
CONFIRMED: Final = 4096
"""Confirmations that a node remembers, for posts that are sent again."""
NOT_FOUND: Final = 404
UNAVAILABLE: Final = 503


@attrs.frozen
class SsePost:
    """Holds one posted message, and what is known of its sender."""

    session: str
    """The digest of the session's id."""
    sender: str | None
    """The key of the principal; None for an anonymous one."""
    scopes: frozenset[str]
    body: bytes


class SseStreams(Protocol):
    """The streams of this node."""

    def take(self, post: SsePost) -> int:
        """Hand a post to its session; return the HTTP status. Never waits."""
        ...

    def end_all(self) -> None:
        """End all streams at once. Never waits."""
        ...


class SsePosts(NodeObserver):
    """Passes posts on to the nodes that have their streams, and takes those for the streams of this node."""

    def __init__(self, messages: NodeMessages, streams: SseStreams) -> None:
        self._messages = messages
        self._streams = streams
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Reply[int]] = {}
        self._confirmed: OrderedDict[tuple[int, int], int] = OrderedDict()
        messages.add_taker((POST, CONFIRM), self)
        messages.lease.observe(self)

    def new_id(self, secret: str) -> str:
        """Return the id of a new session, which names this node."""
        return f"{self._messages.lease.incarnation}-{secret}"

    async def pass_on(self, id: str, post: SsePost) -> int:
        """Send a post to the node that has the stream of this session; return the HTTP status.

        Raises:
            StoreFailed: that node does not confirm, and the store does not tell whether it lives.
        """
        owner, dash, _ = id.partition("-")
        if not (dash and owner.isdecimal() and len(owner) < 19) or int(owner) == self._messages.lease.incarnation:
            return NOT_FOUND
        number, reply = next(self._numbers), Reply[int]()
        self._waiting[number] = reply
        content = (post.session, post.sender, sorted(post.scopes), post.body.decode("latin-1"))
        try:
            for _ in range(TRIES):
                self._messages.send(POST, number, *content, to=int(owner))
                with trio.move_on_after(SECONDS):
                    return await reply.wait()
                if not await self._messages.lease.is_alive(int(owner)):
                    return NOT_FOUND  # the stream has ended with its node
        finally:
            del self._waiting[number]
        return UNAVAILABLE

    # --- MessageTaker -----------------------------------------------------------------

    def take_message(self, sender: int, kind: str, content: list[Any]) -> None:
        """See `MessageTaker`."""
        if kind == CONFIRM:
            number, status = content
            if number in self._waiting:
                self._waiting[number].set(status)
            return
        number, session, key, scopes, body = content
        status = self._confirmed.get((sender, number))
        if status is None:
            status = self._streams.take(SsePost(session, key, frozenset(scopes), body.encode("latin-1")))
            self._confirmed[sender, number] = status
            if len(self._confirmed) > CONFIRMED:
                self._confirmed.popitem(last=False)
        self._messages.send(CONFIRM, number, status, to=sender)

    def take_gap(self) -> None:
        """See `MessageTaker`. Posts that are not confirmed are sent again anyway."""

    # --- NodeObserver -----------------------------------------------------------------

    def node_fenced(self, incarnation: int) -> None:
        """See `NodeObserver`. Other nodes count these streams as ended, so they end; clients connect again."""
        self._streams.end_all()

    def leave(self) -> None:
        """Take no more messages: the endpoint has ended."""
        self._messages.lease.forget(self)
        self._messages.remove_taker(self)
