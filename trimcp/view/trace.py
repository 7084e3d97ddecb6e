"""The trace: the last messages of a server, in a ring with bounds. It records only while it is open.

Recording keeps references and counts bytes. Masks and JSON come later, when a person looks at a record.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import attrs
import trio

from trimcp.codec.jsontext import InvalidJson, dumps, loads
from trimcp.framing.headers import named_param
from trimcp.observability.instruments import EndedRequest, outcome_of
from trimcp.types.jsonrpc import ErrorResponse, Notification, Response
from trimcp.types.tools import Tool
from trimcp.view.logs import Logs
from trimcp.view.masking import Mask, cut
from trimcp.view.ring import Ring

MOST_RECORDS: Final = 2000
"""Records that are kept. Beyond it the oldest are removed."""
MOST_BYTES: Final = 16 * 2**20
"""Bytes of the messages of all records. Beyond it the oldest are removed."""
LONGEST: Final = 256 * 2**10
"""Bytes of a message that is kept. Of a longer one the record has the size alone."""
GUESSED: Final = 256
"""Bytes that a message without a known size counts as."""

ToolOf = Callable[[str], Tool | None]
"""Returns the definition of a tool, whose schemas say what is secret; None where there is none."""


@attrs.frozen(kw_only=True)
class Record:
    """One message, or a request with its answer."""

    number: int
    kind: str
    """`request` and `question` (of this side), `answer` (to a question), `notification`, `message` or `refused`."""
    session: int | None
    request: int | None
    """The serial of the request that it belongs to."""
    id: Any
    method: str
    name: str | None
    outcome: str
    at: float
    """By Trio's clock: when the request was read, or the message seen."""
    seconds: float | None
    size: int
    params: Any
    answer: Any
    """The frame, or what was read."""

    def brief(self) -> dict[str, Any]:
        """Return the record for a list, without its messages."""
        return {
            "number": self.number,
            "kind": self.kind,
            "session": self.session,
            "request": self.request,
            "id": cut(None if self.id is None else str(self.id)),
            "method": cut(self.method),
            "name": cut(self.name),
            "outcome": self.outcome,
            "at": round(self.at, 4),
            "ms": None if self.seconds is None else round(self.seconds * 1000, 3),
            "size": self.size,
        }

    def full(self, tool_of: ToolOf, mask: Mask) -> dict[str, Any]:
        """Return the whole record, masked. `mask`: see `Trace.mask_of`."""
        tool = tool_of(self.name) if self.method == "tools/call" and self.name is not None else None
        parts: dict[tuple[str, ...], Any] = {}
        if tool is not None:
            # A schema each, since a reference within one is a path from its own root.
            parts = {
                ("params", "arguments"): tool.input_schema,
                ("answer", "structuredContent"): tool.output_schema,
            }
        whole = mask.copy().masked({"params": self.params, "answer": _read(self.answer)}, parts=parts)
        return {**self.brief(), **whole}


def _read(answer: Any) -> Any:
    if not isinstance(answer, bytes):
        return answer
    try:
        message = loads(answer)
    except InvalidJson:
        return None
    return message.get("result", message.get("error", message)) if isinstance(message, dict) else message


_Raw = tuple[str, int | None, int | None, Any, str, str | None, str, float, float | None, int, Any, Any]
"""The fields of a record without its number, as they are recorded. A plain tuple: a class costs each call more."""


def _record_of(number: int, raw: _Raw) -> Record:
    kind, session, request, id, method, name, outcome, at, seconds, size, params, answer = raw
    if kind == "request" and outcome == "ok" and isinstance(answer, bytes) and b'"isError":true' in answer:
        outcome = "tool error"
    return Record(
        number=number,
        kind=kind,
        session=session,
        request=request,
        id=id,
        method=method,
        name=named_param(method, params) if name is None else name,
        outcome=outcome,
        at=at,
        seconds=seconds,
        size=size,
        params=params,
        answer=answer,
    )


class Trace:
    """Records the messages of a server while it is open. A request is recorded when it has ended."""

    def __init__(self) -> None:
        self._ring: Ring[_Raw] = Ring(MOST_RECORDS, MOST_BYTES)
        self.logs: Logs = Logs()
        """Takes the log messages to clients."""
        self.room: int = sys.maxsize
        """How many more messages are recorded. Further ones are counted, until there is room again."""
        self.passed: int = 0
        """Messages that were counted alone."""

    # --- what was recorded ------------------------------------------------------------

    @property
    def last(self) -> int:
        """The number of the newest record; 0 before the first."""
        return self._ring.last

    def since(self, number: int, most: int) -> list[Record]:
        """Return the newest records after a number, at most so many, the oldest first."""
        return [_record_of(at, raw) for at, raw in self._ring.since(number, most)]

    def record(self, number: int) -> Record | None:
        """Return the record with a number; None where it was removed, or never was."""
        raw = self._ring.item(number)
        return None if raw is None else _record_of(number, raw)

    def mask_of(self, session: int | None) -> Mask:
        """Return a mask that knows the secrets in what the client of a session has answered to questions.

        The tool that asked may repeat them, and its request is a record of its own.
        """
        mask = Mask()
        for _, (kind, of_session, *_, answer) in self._ring.all():
            if kind == "answer" and of_session == session:
                mask.masked(answer)
        return mask

    def __iter__(self) -> Iterator[Record]:
        return (_record_of(at, raw) for at, raw in self._ring.all())

    # --- RequestObserver --------------------------------------------------------------

    def ended(self, request: EndedRequest, now: float) -> None:
        """See `RequestObserver`."""
        if self.room <= 0:
            self.passed += 1
            return
        self.room -= 1
        answer, method, params = request.answer, request.method, request.params
        size = request.size if answer is None else request.size + len(answer)
        name = None
        if size > LONGEST:
            name, params, answer = named_param(method, params), None, None
        # In the order of `_Raw`: this is in the path of each call while a page looks.
        raw = (
            *("request", request.session_number, request.serial, request.id, method, name),
            *(outcome_of(request), request.received_at, now - request.received_at),
            *(size, params, answer),
        )
        self._ring.add(raw, size if size <= LONGEST else 0)

    def refused(self, method: str, reason: str) -> None:
        """See `RequestObserver`."""
        self._add("refused", None, method=method, outcome=reason)

    # --- MessageObserver --------------------------------------------------------------

    def answered_at_once(self, request: EndedRequest) -> None:
        """See `MessageObserver`."""
        self.ended(request, trio.current_time())

    def asked(self, session: int, id: Any, method: str, params: dict[str, Any] | None) -> None:
        """See `MessageObserver`."""
        self._add("question", session, id=id, method=method, params=params)

    def received(self, session: int, message: Any) -> None:
        """See `MessageObserver`."""
        kind = type(message)
        if kind is Notification:
            self._add("notification", session, method=message.method, params=message.params)
        elif kind is Response:
            self._add("answer", session, id=message.id, answer=message.result, outcome="ok")
        elif kind is ErrorResponse:
            error = {"code": message.error.code, "message": message.error.message}
            self._add("answer", session, id=message.id, answer=error, outcome="error")

    def posted(self, session: int, request: int, frame: bytes) -> None:
        """See `MessageObserver`."""
        self._add("message", session, request=request, answer=frame, size=len(frame))
        self.logs.posted(session, request, frame)

    def _add(
        self,
        kind: str,
        session: int | None,
        *,
        request: int | None = None,
        id: Any = None,
        method: str = "",
        outcome: str = "",
        size: int = GUESSED,
        params: Any = None,
        answer: Any = None,
    ) -> None:
        if self.room <= 0:
            self.passed += 1
            return
        self.room -= 1
        answer = answer if size <= LONGEST else None
        now = trio.current_time()
        raw = (kind, session, request, id, method, None, outcome, now, None, size, params, answer)
        self._ring.add(raw, size if size <= LONGEST else 0)


def as_ndjson(records: Iterable[Record], tool_of: ToolOf, mask_of: Callable[[int | None], Mask]) -> bytes:
    """Return records as lines of JSON, masked. `mask_of`: see `Trace.mask_of`."""
    return b"".join(dumps(record.full(tool_of, mask_of(record.session))) + b"\n" for record in records)
