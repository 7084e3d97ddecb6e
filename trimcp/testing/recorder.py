"""The record of a wire: what was sent, by which side, in which order; with assertions on it."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from typing import Any, Literal

import attrs
import trio

from trimcp.recording.messages import Kind, Sender, id_key, kind_of, other_side

MOST_OPEN = 10_000
"""Requests whose methods are remembered for their responses."""


@attrs.define(eq=False)
class Recorded:
    """One message on the wire.

    Attributes:
        sender: the side that sent it.
        message: the message; a list for a batch, and the bytes where they are no JSON.
        method: of a request or a notification; of a response, the method of its request.
        time: when it passed, on the clock of the test.
        fate: `passed`, or what a fault did to it: `dropped`, `overtaken`, `cut`.
    """

    sender: Sender
    message: Any
    method: str | None
    time: float
    fate: Literal["passed", "dropped", "overtaken", "cut"] = "passed"

    @property
    def kind(self) -> Kind:
        """The kind of the message."""
        return kind_of(self.message)

    def __str__(self) -> str:
        arrow = "→" if self.sender == "client" else "←"
        fate = "" if self.fate == "passed" else f" ({self.fate})"
        return f"{arrow} {self.kind} {self.method or ''}{fate}: {_shown(self.message)}"


class Recorder:
    """The messages of a wire, in order. `print` it to see them; an assertion that fails shows them."""

    def __init__(self, keep: int) -> None:
        """`keep`: how many messages are kept, the newest."""
        self._messages: deque[Recorded] = deque(maxlen=keep)
        self._methods: dict[tuple[Sender, Any], str] = {}
        self._news = trio.Event()

    def take(self, sender: Sender, frame: bytes) -> Recorded:
        """Record a message that passes. Called by the wire."""
        try:
            message = json.loads(frame)
        except ValueError:
            message = frame
        recorded = Recorded(sender, message, self._method(sender, message), trio.current_time())
        self._messages.append(recorded)
        self._news.set()
        self._news = trio.Event()
        return recorded

    def _method(self, sender: Sender, message: Any) -> str | None:
        if not isinstance(message, dict):
            return None
        method = message.get("method")
        if method is None:
            return self._methods.pop((other_side(sender), id_key(message.get("id"))), None)
        if "id" in message:
            self._methods[sender, id_key(message["id"])] = method
            if len(self._methods) > MOST_OPEN:
                del self._methods[next(iter(self._methods))]
        return str(method)

    # --- what there is ----------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._messages)

    def __str__(self) -> str:
        return "\n".join(map(str, self._messages)) or "(no message)"

    def of(self, method: str | None = None, *, sender: Sender | None = None, kind: str | None = None) -> list[Recorded]:
        """Return the messages that match, in order."""
        return [
            each
            for each in self._messages
            if method in (None, each.method) and sender in (None, each.sender) and kind in (None, each.kind)
        ]

    def clear(self) -> None:
        """Forget all messages so far."""
        self._messages.clear()

    async def wait_for(self, method: str, *, sender: Sender | None = None, kind: str | None = None) -> Recorded:
        """Wait until a message that matches has passed; return the first."""
        while not (found := self.of(method, sender=sender, kind=kind)):
            await self._news.wait()
        await trio.lowlevel.checkpoint()
        return found[0]

    # --- assertions -------------------------------------------------------------------

    def assert_sent(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        sender: Sender | None = None,
        times: int | None = None,
    ) -> Recorded:
        """Assert that a request or a notification was sent; return the first.

        Args:
            method: its method.
            params: what its params contain, at least.
            sender: the side that sent it.
            times: how often exactly; once or more, if not given.
        """
        found = [
            each
            for each in self.of(method, sender=sender)
            if each.kind in ("request", "notification") and _contains(each.message.get("params", {}), params or {})
        ]
        if not found or times not in (None, len(found)):
            wanted = "" if params is None else f" with {_shown(params)}"
            self._fail(f"{method}{wanted} was sent {len(found)} times, not {times or 'at least once'}")
        return found[0]

    def assert_not_sent(self, method: str, *, sender: Sender | None = None) -> None:
        """Assert that no request and no notification of this method was sent."""
        if any(each.kind in ("request", "notification") for each in self.of(method, sender=sender)):
            self._fail(f"{method} was sent")

    def assert_order(self, *steps: str) -> None:
        """Assert that these messages passed in this order, with any others between them.

        Args:
            steps: a method for a request or a notification, `result METHOD` or `error METHOD` for a response.
        """
        wanted = deque(steps)
        for each in self._messages:
            name = f"{each.kind} {each.method}" if each.kind in ("result", "error") else each.method
            if wanted and name == wanted[0]:
                wanted.popleft()
        if wanted:
            self._fail(f"{wanted[0]} did not come in its place in {', '.join(steps)}")

    def assert_answered(self) -> None:
        """Assert that each request has one response, or none where it was cancelled, and no response is left over."""
        open_requests: dict[tuple[Sender, str], Recorded] = {}
        for each in self._messages:
            asker = other_side(each.sender)
            if each.kind == "request":
                open_requests[each.sender, id_key(each.message["id"])] = each
            elif each.method == "notifications/cancelled":
                open_requests.pop((each.sender, id_key(each.message.get("params", {}).get("requestId"))), None)
            elif each.kind in ("result", "error") and each.method is None:
                self._fail(f"a response answers no open request: {each}")
            elif each.kind in ("result", "error"):
                open_requests.pop((asker, id_key(each.message["id"])), None)
        if open_requests:
            self._fail("no response: " + "; ".join(map(str, open_requests.values())))

    def _fail(self, problem: str) -> None:
        raise AssertionError(f"{problem}. What passed:\n{self}")


def _contains(value: Any, part: Any) -> bool:
    """Whether a JSON value has at least these members, at every depth."""
    if isinstance(part, Mapping):
        return isinstance(value, dict) and all(key in value and _contains(value[key], part[key]) for key in part)
    return bool(value == part)


def _shown(message: Any, most: int = 300) -> str:
    text = repr(message) if isinstance(message, bytes) else json.dumps(message, ensure_ascii=False)
    return text if len(text) <= most else text[:most] + "…"
