"""What one legacy session shares with the other nodes: unique numbers, and the node that has its GET stream.

Every node serves a session from its stored record. Event streams and calls of the server belong to the node that made
them, so their numbers begin with its incarnation.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import time
from collections.abc import Iterable, Iterator
from typing import Final

from trimcp.codec.envelope import encode_error
from trimcp.stores.node_messages import NodeMessages
from trimcp.types.jsonrpc import NODE_LOST, RequestId

STREAMS: Final = 10**9
"""The number of an event stream is the incarnation times this, and a counter: odd for POST, even for GET streams.

The counter may begin anew: by then the events of the earlier stream with that number are long forgotten. A number fits
into 63 bits, since stores may count incarnations by the seconds of the clock."""
LISTENING: Final = "listening"
"""The kind of message that a client has opened a GET stream at the sender, and when."""
LISTENING_HERE: Final = "listening_here"
"""The kind of message that has many sessions at once for `LISTENING`, as pairs of the session and the time."""
WHO_LISTENS_WHERE: Final = "who_listens_where"
"""The kind of message that asks for `LISTENING_HERE`, after a gap."""
DEAF: Final = "deaf"
"""The kind of message that a client has no GET stream at the sender any more."""
WHO_LISTENS: Final = "who_listens"
"""The kind of message that asks for `LISTENING_HERE` of some sessions."""
PUSHED: Final = "pushed"
"""The kind of message that has frames for the GET stream of a session."""

_NEWEST: Final = 2**63 // STREAMS - 1
"""The highest incarnation whose streams have numbers."""
_numbers: Final = itertools.count(1)
"""Of streams and of calls: no call has the number of a stream."""
_OURS: Final = re.compile(r"([1-9][0-9]{0,17})-[1-9][0-9]{0,17}")


def digest_of(id: str) -> str:
    """Return the name of a session in messages between nodes: its id is a secret of its client."""
    return hashlib.blake2b(id.encode(), digest_size=16).hexdigest()


def writer_of(stream: int) -> int:
    """Return the incarnation that writes a stream."""
    return stream // STREAMS


def is_get_stream(stream: int) -> bool:
    """Whether a stream was opened by GET, and owes no answer."""
    return stream % 2 == 0


def caller_of(id: object) -> int | None:
    """Return the incarnation whose request has this id; None where it is no id that a node makes."""
    match = _OURS.fullmatch(id) if type(id) is str else None
    return None if match is None or int(match[1]) > _NEWEST else int(match[1])


def answer_stream_of(id: str) -> int:
    """Return the number of the stream that keeps the answer to a call, if another node has got it."""
    caller, _, number = id.partition("-")
    return int(caller) * STREAMS + 2 * int(number) % STREAMS


class SessionNode:
    """Links one session of this node to the same session at other nodes. Its methods never wait."""

    __slots__ = ("_messages", "digest", "listener", "opened_at", "will_ask")

    def __init__(self, digest: str, messages: NodeMessages) -> None:
        """`digest`: see `digest_of`."""
        self._messages = messages
        self.digest: Final = digest
        self.listener: int | None = None
        """The other node at which the client has opened its latest GET stream; None: this one, or none."""
        self.will_ask: bool = False
        """Whether the other nodes are about to be asked for the GET stream of the client: messages for it wait."""
        self.opened_at: float = 0.0
        """When the client opened a GET stream here, in seconds since the epoch."""

    @property
    def incarnation(self) -> int:
        """Of this node."""
        return self._messages.lease.incarnation

    def next_stream(self, *, is_get: bool) -> int:
        """Return the number of a new stream."""
        return self.incarnation * STREAMS + 2 * next(_numbers) % STREAMS + (not is_get)

    def call_ids(self) -> Iterator[RequestId]:
        """Return the ids of requests of this side, which no other node uses."""
        while True:
            yield f"{self.incarnation}-{next(_numbers)}"

    # --- the GET stream ---------------------------------------------------------------

    def opened_get_stream(self) -> None:
        """Tell the other nodes that messages to the client leave here."""
        self.listener = None
        self.opened_at = time.time()
        self._messages.send(LISTENING, self.digest, self.opened_at)

    def lost_get_stream(self) -> None:
        """Tell the other nodes that the client has no GET stream here any more."""
        if self.listener is None:
            self._messages.send(DEAF, self.digest)

    def confirm_listener(self, asker: int) -> None:
        """Tell a node, which knows of an older one, that the GET stream of the client is here."""
        self._messages.send(LISTENING, self.digest, self.opened_at, to=asker)

    def push(self, frames: Iterable[bytes]) -> None:
        """Send frames to the node that has the GET stream of the client."""
        if self.listener is not None:
            self._messages.send(PUSHED, self.digest, [frame.decode() for frame in frames], to=self.listener)


LOST: Final = "Node lost: the node that ran this request is gone; it may have done a part of it"


def lost_answer(id: RequestId) -> bytes:
    """Make the answer to a request whose node is dead or has lost its lease."""
    return encode_error(id, NODE_LOST, LOST, {"reason": "node_lost"}, null_id=True)
