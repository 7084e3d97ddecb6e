"""Batches: arrays of messages, which 2025-03-26 has and no other revision (basic of that revision)."""

from __future__ import annotations

from typing import Any, Final

from trimcp.codec.envelope import InvalidMessage, read_message
from trimcp.limits import Limits
from trimcp.session.reply_stream import SessionStream, SharedReplyStream
from trimcp.types.jsonrpc import INVALID_REQUEST, Message
from trimcp.types.metadata import PROTOCOL_VERSION
from trimcp.types.revisions import Revision

IN_A_BATCH: Final = "initialize must not be part of a batch: send it alone"


def batch_refusal(values: list[Any], revision: Revision | None, limits: Limits, *, under_way: int = 0) -> str | None:
    """Return why a whole array is refused with one error; None where it is not.

    Args:
        values: the members of the array.
        revision: of the session; None before `initialize`.
        limits: of the session.
        under_way: batches of the session that are not answered yet.
    """
    if revision is None or not revision.batches:
        spoken = "before initialize" if revision is None else f"in {revision.version}"
        return f"A message must be a JSON object: there are no batches {spoken}"
    if not values:
        return "A batch must not be empty"
    if len(values) > limits.batch_length:
        return f"A batch must not have more than {limits.batch_length} members"
    for value in values:
        params = value.get("params") if type(value) is dict else None
        meta = params.get("_meta") if type(params) is dict else None
        if type(meta) is dict and PROTOCOL_VERSION in meta:
            return f"A message that carries {PROTOCOL_VERSION} must not be part of a batch"
    if under_way >= limits.batches:
        return f"Busy: {limits.batches} batches of this session are under way"
    return None


def is_owed(value: Any) -> bool:
    """Whether a member of a batch gets an answer: a request does, and an invalid message gets an error."""
    if type(value) is not dict:
        return True
    return ("id" in value and "method" in value) or not ("method" in value or "result" in value or "error" in value)


def is_initialize(value: Any) -> bool:
    """Whether a member is an `initialize` request, which no batch may have."""
    return type(value) is dict and value.get("method") == "initialize" and "id" in value


def read_member(value: Any) -> Message:
    """Read a member of a batch.

    Raises:
        InvalidMessage: the member is invalid, or is `initialize`.
    """
    if is_initialize(value):
        id = value.get("id")
        raise InvalidMessage(INVALID_REQUEST, IN_A_BATCH, "$.method", id if type(id) in (int, str) else None, "request")
    return read_message(value)


class Batch(SharedReplyStream):
    """Collects the answers to the members of one batch into one array: the reply stream of those requests.

    Members that are cancelled are left out; a batch without an answer writes nothing. Notifications do not wait for
    the array.
    """

    __slots__ = ("_answers", "_owed")

    room: int

    def __init__(self, stream: SessionStream, room: int) -> None:
        """
        Args:
            stream: the stream of the session.
            room: bytes that all answers together may have; a member beyond is answered with an error.
        """
        super().__init__(stream, room)
        self._answers: list[bytes] = []
        self._owed = 1  # held by the Router until it has taken every member

    @property
    def is_complete(self) -> bool:
        """Whether all members are answered or withdrawn."""
        return self._owed == 0

    def expect(self) -> None:
        """Take note that one more member will be answered or withdrawn."""
        self._owed += 1

    def answer(self, frame: bytes) -> None:
        """See `ReplyStream`."""
        self._answers.append(frame)
        self.room -= len(frame)
        self.withdraw()

    def refuse(self, frame: bytes, code: int, *, unfit: bool = False) -> None:
        """See `ReplyStream`."""
        self.answer(frame)

    def withdraw(self) -> None:
        """Take note that one member fewer is owed; the last one sends the array."""
        self._owed -= 1
        if self._owed == 0 and self._answers:
            self.post(b"[" + b",".join(self._answers) + b"]")
