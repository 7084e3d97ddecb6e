"""Replays the messages of a recorded client to a server, and collects what the server sends.

The order of the recording is kept where it matters: what the recorded client sent after an answer is sent after the
answer to the replay. Questions of the server get the answers that they got when they were recorded.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable
from typing import Any, Final

import attrs
import trio

from trimcp.errors import ConnectionEnded
from trimcp.recording.connections import Arrival, ReplayConnection
from trimcp.recording.differences import Comparison, Difference
from trimcp.recording.filling import masks_in
from trimcp.recording.format import Entry
from trimcp.recording.matching import same_params
from trimcp.recording.messages import id_key, kind_of, params_of
from trimcp.recording.server import Timing
from trimcp.recording.steps import SessionSteps, Step, flattened, steps_of
from trimcp.types.jsonrpc import INTERNAL_ERROR

MOST_COLLECTED: Final = 100_000
"""Messages of a session beyond which notifications of the server are not compared."""
PATIENCE: Final = 2.0
"""Seconds to wait for a notification that came at this point when it was recorded."""


@attrs.define(eq=False)
class ReplayedStep:
    """One message of the client, and how its replay went."""

    recorded: Step
    replayed: Step | None = None
    """None where it was not sent, since the connection was over."""
    has_timed_out: bool = False
    differences: list[Difference] = attrs.field(factory=list)

    @property
    def masks(self) -> list[str]:
        """Where the message has a mask, so that the server got something else than when it was recorded."""
        return [*masks_in(self.recorded.params, "$.params")]

    @property
    def problem(self) -> str | None:
        """Why there is no answer to compare, where there should be one."""
        if self.recorded.is_request and self.recorded.answer is not None:
            if self.replayed is None:
                return "not sent: the server has ended the connection"
            if self.replayed.answer is None:
                return "no answer in time" if self.has_timed_out else "no answer: the server has ended the connection"
        return None

    @property
    def is_same(self) -> bool:
        """Whether the server did the same as when it was recorded."""
        return self.problem is None and not self.differences


@attrs.define(eq=False)
class _Call:
    """A request that was sent."""

    result: ReplayedStep
    message: dict[str, Any]
    reports: int = 0
    is_answered: bool = False

    def has_reported(self, times: int) -> bool:
        """Return whether so many reports of progress have come, or no more can come."""
        return self.is_answered or self.reports >= times


class Replay:
    """Replays one session."""

    def __init__(
        self, entries: Iterable[Entry], comparison: Comparison, *, timing: Timing = "fast", timeout: float = 30.0
    ) -> None:
        """
        Args:
            entries: those of the session.
            comparison: knows the handles.
            timing: `as-recorded` sends as slowly as the recorded client did.
            timeout: seconds to wait for an answer, beside the time that it took when it was recorded.
        """
        self._entries = list(flattened(entries))
        self._session: SessionSteps = steps_of(self._entries)
        self._comparison = comparison
        self._timing: Timing = timing
        self._timeout = timeout
        self.steps: list[ReplayedStep] = [ReplayedStep(step) for step in self._session.steps]
        self.masked_answers: list[str] = []
        """Questions of the server whose answer was sent with a mask: the method, and where."""
        self._by_entry = {id(step.recorded.sent): step for step in self.steps}
        self._questions = [e for e in self._entries if e.sender == "server" and e.kind == "request"]
        self._ids = itertools.count(1)
        self._calls: dict[tuple[str, int | None], _Call] = {}
        """By the recorded id and exchange."""
        self._by_own_id: dict[int, _Call] = {}
        self._calls_of: dict[int, _Call] = {}
        """By the recorded step."""
        self._sent: dict[int, Entry] = {}
        self._reports: dict[int, tuple[Step, int]] = {}
        """The recorded reports of progress: the step, and which report of it."""
        for step in self._session.steps:
            reports = [entry for entry in step.replies if _is_report(entry)]
            self._reports |= {id(entry): (step, number) for number, entry in enumerate(reports, 1)}
        self._counts: dict[str, int] = {}
        """Notifications that arrived, by method."""
        self._awaited: dict[str, int] = {}
        self._missed: set[tuple[str, int | None]] = set()
        self._collected: list[Entry] = []
        self._is_over = False
        self._news = trio.Event()

    async def run(self, connection: ReplayConnection) -> list[ReplayedStep]:
        """Replay the session; return its steps, with the differences."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._receive, connection, nursery)
            began = trio.current_time() - (self._entries[0].at if self._entries else 0.0)
            for entry in self._entries:
                if self._is_over:
                    break
                if self._timing == "as-recorded" and entry.sender == "client":
                    await trio.sleep_until(began + entry.at)
                try:
                    await self._follow(entry, connection)
                except ConnectionEnded:
                    self._is_over = True
            nursery.cancel_scope.cancel()
        self._compare()
        return self.steps

    def _compare(self) -> None:
        collected = {id(step.sent): step for step in steps_of(self._collected).steps}
        for step in self.steps:
            sent = self._sent.get(id(step.recorded))
            step.replayed = None if sent is None else collected.get(id(sent))
            if step.replayed is not None:
                step.differences = self._comparison.of_steps(step.recorded, step.replayed)

    async def _follow(self, entry: Entry, connection: ReplayConnection) -> None:
        """Do what the recorded client did, or wait for what it had got by then."""
        if entry.event == "left":
            call = next((c for (_, exchange), c in self._calls.items() if exchange == entry.exchange), None)
            if call is not None and not call.is_answered:
                await connection.leave(call.message)
        elif entry.sender == "client":
            if kind_of(entry.message) in ("request", "notification"):
                await self._send(entry, connection)
        elif entry.kind in ("result", "error"):
            await self._wait_answer(entry)
        elif entry.kind == "notification":
            await self._wait_notification(entry)

    # --- out --------------------------------------------------------------------------

    async def _send(self, entry: Entry, connection: ReplayConnection) -> None:
        message = self._comparison.translated(entry.message)
        if "id" in message:
            message = self._with_own_ids(message)
        elif message["method"] == "notifications/cancelled":
            call = self._call_of(params_of(message).get("requestId"), entry.exchange)
            if call is None or call.is_answered:
                return  # it is no longer to be cancelled
            message = {**message, "params": {**params_of(message), "requestId": call.message["id"]}}
        sent = attrs.evolve(entry, message=message)
        step = self._by_entry[id(entry)]
        self._sent[id(step.recorded)] = sent
        if "id" in message:
            call = _Call(step, message)
            self._calls[id_key(entry.message["id"]), entry.exchange] = call
            self._by_own_id[message["id"]] = call
            self._calls_of[id(step.recorded)] = call
        self._collected.append(sent)
        await connection.send(message, entry.exchange)

    def _with_own_ids(self, message: dict[str, Any]) -> dict[str, Any]:
        own = next(self._ids)
        params = params_of(message)
        meta = params.get("_meta")
        if isinstance(meta, dict) and "progressToken" in meta:
            return {**message, "id": own, "params": {**params, "_meta": {**meta, "progressToken": own}}}
        return {**message, "id": own}

    def _call_of(self, recorded_id: Any, exchange: int | None) -> _Call | None:
        key = id_key(recorded_id)
        found = self._calls.get((key, exchange))
        return found or next((call for (id, _), call in reversed(self._calls.items()) if id == key), None)

    # --- waiting ----------------------------------------------------------------------

    async def _wait(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until something is so, or the connection is over; return whether it is so."""
        with trio.move_on_after(seconds):
            while not condition() and not self._is_over:
                await self._news.wait()
        return condition()

    async def _wait_answer(self, entry: Entry) -> None:
        call = self._call_of(entry.message.get("id"), entry.exchange)
        if call is None or call.result.has_timed_out:
            return
        took = max(0.0, entry.at - call.result.recorded.sent.at)
        if not await self._wait(lambda: call.is_answered, self._timeout + took) and not self._is_over:
            call.result.has_timed_out = True

    async def _wait_notification(self, entry: Entry) -> None:
        """Wait for a notification that came at this point. One that has not come is not waited for again."""
        method = entry.message["method"]
        step, wanted = self._reports.get(id(entry), (None, 0))
        if step is None:
            self._awaited[method] = wanted = self._awaited.get(method, 0) + 1
            is_there = functools.partial(self._has_come, method, wanted)
        else:
            call = self._calls_of.get(id(step))
            if call is None:
                return
            is_there = functools.partial(call.has_reported, wanted)
        missed = (method, None if step is None else id(step))
        if missed not in self._missed and not await self._wait(is_there, PATIENCE):
            self._missed.add(missed)

    def _has_come(self, method: str, times: int) -> bool:
        return self._counts.get(method, 0) >= times

    # --- in ---------------------------------------------------------------------------

    async def _receive(self, connection: ReplayConnection, nursery: trio.Nursery) -> None:
        began = trio.current_time()
        async for arrival in connection.arrivals:
            kind = kind_of(arrival.message)
            if kind == "notification" and len(self._collected) >= MOST_COLLECTED:
                continue
            self._collected.append(
                Entry(
                    at=trio.current_time() - began,
                    session=0,
                    sender="server",
                    message=arrival.message,
                    exchange=arrival.exchange,
                )
            )
            if kind == "request":
                nursery.start_soon(self._answer, arrival, connection)
            elif kind == "notification":
                self._note(arrival.message)
            else:
                self._answered(arrival.message)
            self._wake()
        self._is_over = True
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = trio.Event()

    def _note(self, message: dict[str, Any]) -> None:
        method = str(message["method"])
        self._counts[method] = self._counts.get(method, 0) + 1
        call = self._own_call(params_of(message).get("progressToken"))
        if call is not None and method == "notifications/progress":
            call.reports += 1

    def _answered(self, message: dict[str, Any]) -> None:
        call = self._own_call(message.get("id"))
        if call is not None and not call.is_answered:
            call.is_answered = True
            recorded = call.result.recorded.answer
            if recorded is not None:
                self._comparison.learn(recorded.message, message)

    def _own_call(self, id: Any) -> _Call | None:
        return self._by_own_id.get(id) if type(id) is int else None

    async def _answer(self, arrival: Arrival, connection: ReplayConnection) -> None:
        """Give a question of the server the answer that the same question got when it was recorded."""
        question = arrival.message
        same = [each for each in self._questions if each.message["method"] == question["method"]]
        recorded = next((each for each in same if same_params(params_of(each.message), params_of(question))), None)
        recorded = recorded or (same[0] if same else None)
        answer: dict[str, Any]
        if recorded is None:
            problem = f"the recorded client was not asked for {question['method']} at this point"
            answer = {"jsonrpc": "2.0", "error": {"code": INTERNAL_ERROR, "message": problem}}
        else:
            self._questions.remove(recorded)
            given = self._session.answers.get(id_key(recorded.message["id"]))
            if given is None:
                return
            if self._timing == "as-recorded":
                await trio.sleep(max(0.0, given.at - recorded.at))
            answer = self._comparison.translated(given.message)
            masks = ", ".join(masks_in(answer))
            if masks:
                self.masked_answers.append(f"{question['method']}: {masks}")
        try:
            await connection.send({**answer, "id": question["id"]}, None)
        except ConnectionEnded:
            return  # the reader sees its end


def _is_report(entry: Entry) -> bool:
    return entry.kind == "notification" and entry.message["method"] == "notifications/progress"
