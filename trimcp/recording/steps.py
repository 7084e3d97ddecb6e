"""Sorts a recorded session into steps: a message of the client, and what the server sent for it.

Over HTTP the exchange says which those are. On a duplex connection ids and progress tokens do; all else counts to the
request that was begun last and is not answered, or to the last message of the client.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import attrs

from trimcp.recording.format import Entry
from trimcp.recording.messages import id_key, kind_of, params_of


@attrs.define(eq=False)
class Step:
    """One request or notification of the client, and what the server sent because of it."""

    sent: Entry
    replies: list[Entry] = attrs.field(factory=list)
    """In order: notifications, questions, and the answer at last, unless there was none."""
    is_answered: bool = False

    @property
    def message(self) -> dict[str, Any]:
        """The message of the client."""
        message: dict[str, Any] = self.sent.message
        return message

    @property
    def method(self) -> str:
        """Its method."""
        method: str = self.message["method"]
        return method

    @property
    def params(self) -> dict[str, Any]:
        """Its params."""
        return params_of(self.message)

    @property
    def is_request(self) -> bool:
        """Whether it wants an answer."""
        return "id" in self.message

    @property
    def token(self) -> Any:
        """Its progress token; None where it wants no progress."""
        return token_of(self.message)

    @property
    def answer(self) -> Entry | None:
        """The answer; None where none came."""
        return self.replies[-1] if self.is_answered else None


def token_of(message: Any) -> Any:
    """Return the progress token of a request; None where it has none."""
    meta = params_of(message).get("_meta")
    return meta.get("progressToken") if isinstance(meta, dict) else None


@attrs.frozen
class SessionSteps:
    """The steps of one session."""

    steps: list[Step]
    answers: dict[str, Entry]
    """The client's answers to questions of the server, by the key of the id."""


def flattened(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yield entries with one message each: those of a batch one by one. What is no message is left out."""
    for entry in entries:
        if isinstance(entry.message, list):
            yield from flattened(attrs.evolve(entry, message=each) for each in entry.message)
        elif entry.event is not None or entry.kind != "other":
            yield entry


def steps_of(entries: Iterable[Entry]) -> SessionSteps:
    """Sort the entries of one session."""
    sorting = _Sorting()
    for entry in flattened(entries):
        sorting.take(entry)
    return SessionSteps(sorting.steps, sorting.answers)


class _Sorting:
    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.answers: dict[str, Entry] = {}
        self._open: dict[tuple[str, int | None], Step] = {}
        """Requests without an answer, by id and exchange: some clients over HTTP give all requests the same id."""
        self._exchanges: dict[str, dict[int | None, None]] = {}
        """The exchanges of requests without an answer, by id, the oldest first."""
        self._by_token: dict[str, Step] = {}
        self._by_exchange: dict[int, Step] = {}
        self._notification: Step | None = None

    def take(self, entry: Entry) -> None:
        if entry.message is None:
            return
        kind = kind_of(entry.message)
        if entry.sender == "client":
            self._sent(entry, kind)
        else:
            self._received(entry, kind)

    def _sent(self, entry: Entry, kind: str) -> None:
        if kind in ("result", "error"):
            self.answers[id_key(entry.message.get("id"))] = entry
            return
        step = Step(entry)
        self.steps.append(step)
        if kind == "notification":
            self._notification = step
            return
        key = id_key(entry.message["id"])
        self._open[key, entry.exchange] = step
        self._exchanges.setdefault(key, {})[entry.exchange] = None
        if step.token is not None:
            self._by_token[id_key(step.token)] = step
        if entry.exchange is not None:
            self._by_exchange[entry.exchange] = step

    def _received(self, entry: Entry, kind: str) -> None:
        if kind in ("result", "error"):
            key = id_key(entry.message.get("id"))
            exchanges = self._exchanges.get(key)
            if exchanges:
                # A stream that was lost is resumed by another exchange.
                exchange = entry.exchange if entry.exchange in exchanges else next(iter(exchanges))
                del exchanges[exchange]
                step = self._open.pop((key, exchange))
                step.replies.append(entry)
                step.is_answered = True
            return
        found = self._owner(entry)
        # An answered request has got its last message.
        if found is not None and not found.is_answered:
            found.replies.append(entry)

    def _owner(self, entry: Entry) -> Step | None:
        if entry.message.get("method") == "notifications/progress":
            token = params_of(entry.message).get("progressToken")
            return self._by_token.get(id_key(token))
        if entry.exchange in self._by_exchange:
            return self._by_exchange[entry.exchange]
        return next(reversed(self._open.values()), self._notification)
