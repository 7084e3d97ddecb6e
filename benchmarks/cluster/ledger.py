"""The ledger: every call with its outcome, what clients were told, and the invariants that must hold at the end."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import trio

REFUSALS: Final = {-31001, -31002, -31003, -31004}
"""Codes of errors that say that the request was not run."""
UNAVAILABLE: Final = {*REFUSALS, -31011}
"""Codes of errors that say nothing about a task: the request may be sent again."""


NOTES: Final = 20
"""Notes of a call that are kept."""


class Outcome(enum.Enum):
    """How a call ended for its client."""

    PENDING = "no answer"
    ANSWERED = "answered"
    NODE_LOST = "told node_lost"
    REFUSED = "refused, not run"
    UNKNOWN = "connection lost before the first event"
    GONE = "told that the stream cannot be resumed"
    FAILED = "another error"


NODE_LOST: Final = -31010
"""The code of an error of a request or of a task whose node is gone."""


@attrs.frozen
class Answer:
    """What came of one request about a task. Without members, the connection was lost."""

    result: dict[str, Any] | None = None
    error: dict[str, Any] | None = None
    is_refused: bool = False
    """Whether the server said that it did nothing."""

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> Answer:
        """Read a response."""
        error = message.get("error")
        if error is not None and error["code"] == NODE_LOST and "this request" in error["message"]:
            return cls()  # the request was lost, and not the task
        is_refused = error is not None and error["code"] in UNAVAILABLE
        return cls(message.get("result"), None if is_refused else error, is_refused)


EFFECTS: Final = {
    Outcome.PENDING: (0, 1),
    Outcome.ANSWERED: (1, 1),
    Outcome.NODE_LOST: (0, 1),
    Outcome.REFUSED: (0, 0),
    Outcome.UNKNOWN: (0, 1),
    Outcome.GONE: (0, 1),
    Outcome.FAILED: (0, 1),
}
"""How often the bell may have rung, at least and at most, by outcome. Each call has a key of its own."""


@attrs.define(eq=False)
class Call:
    """One call with a counted effect."""

    key: str
    kind: str
    began: float
    outcome: Outcome = Outcome.PENDING
    answers: int = 0
    """Responses with its id, over all streams."""
    resumed: int = 0
    """How often its stream was opened again."""
    seconds: float = 0.0
    detail: str = ""
    notes: list[str] = attrs.field(factory=list)
    """What its client saw, with the seconds since it began. Shown where the call was never answered."""

    def note(self, text: str) -> None:
        """Add a note; the first ones are dropped."""
        self.notes = [*self.notes[-NOTES:], f"{trio.current_time() - self.began:.1f} {text}"]

    @property
    def is_open(self) -> bool:
        """Whether it has no outcome yet."""
        return self.outcome is Outcome.PENDING

    def end(self, outcome: Outcome, detail: str = "") -> None:
        """Note the outcome; the first one counts."""
        if self.is_open:
            self.outcome, self.detail = outcome, detail
            self.seconds = trio.current_time() - self.began

    def answer(self, message: dict[str, Any]) -> None:
        """Note a response."""
        self.answers += 1
        error = message.get("error")
        if error is None:
            failed = message["result"].get("isError")
            self.end(Outcome.FAILED if failed else Outcome.ANSWERED, str(message["result"]) if failed else "")
            return
        data = error.get("data")
        why = data.get("reason") if isinstance(data, dict) else None
        if why == "node_lost":
            self.end(Outcome.NODE_LOST)
        elif error["code"] in REFUSALS:
            self.end(Outcome.REFUSED, error["message"])
        else:
            self.end(Outcome.FAILED, f"{error['code']} {error['message']}")


@attrs.define
class Ledger:
    """Collects what all clients see."""

    calls: list[Call] = attrs.field(factory=list)
    counts: Counter[str] = attrs.field(factory=Counter)
    broken: list[str] = attrs.field(factory=list)
    """Violations that clients have seen at once, such as a 404 for a session that lives."""

    def begin(self, kind: str, client: str) -> Call:
        """Begin a call with a key of its own."""
        call = Call(f"{client}-{len(self.calls)}", kind, trio.current_time())
        self.calls.append(call)
        return call

    def violate(self, text: str) -> None:
        """Note a violation."""
        self.broken.append(text)

    def violations(self, effects: Sequence[str]) -> list[str]:
        """Compare what clients were told with what has happened; return what must not be."""
        rung = Counter(effects)
        found = list(self.broken)
        for call in self.calls:
            least, most = EFFECTS[call.outcome]
            if call.is_open:
                found.append(f"{call.kind} {call.key} was never answered: {', '.join(call.notes)}")
            if call.answers > 1:
                found.append(f"{call.kind} {call.key} was answered {call.answers} times")
            if not least <= rung[call.key] <= most:
                found.append(f"{call.kind} {call.key}: {call.outcome.value}, and the bell rang {rung[call.key]} times")
            if call.outcome in (Outcome.FAILED, Outcome.GONE):
                found.append(f"{call.kind} {call.key} failed: {call.outcome.value} {call.detail}")
        unknown = set(rung) - {call.key for call in self.calls}
        found += [f"the bell rang for {key}, which no client asked for" for key in sorted(unknown)]
        return found
