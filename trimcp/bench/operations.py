"""`Operation`: a request that is made again and again, and `Mix`: several of them, by weight."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, cycle
from typing import TYPE_CHECKING, Any, Final

import attrs

from trimcp.errors import (
    ConnectionEnded,
    ExchangeFailed,
    InvalidPayload,
    RequestFailed,
    RequestTimedOut,
    TrimcpError,
)

if TYPE_CHECKING:
    from trimcp.client.client import Client

TOOL_ERROR: Final = "tool error"
"""The tool answered with `isError`."""
INPUT_REQUIRED: Final = "input required"
"""The server answered with questions, which the load generator does not answer."""
TIMED_OUT: Final = "timed out"
NO_SESSION: Final = "no session"
"""No session was open for the request, and none could be opened."""
UNANSWERED: Final = "unanswered at the end"
"""The run has waited for the answer, and ended without it."""


@attrs.frozen
class Operation:
    """One kind of request.

    It is made by `Client.request`, so its result is not made into objects, and not checked against the schema of the
    tool: that would cost as much again as the request.
    """

    name: str
    """Its name in reports."""
    method: str
    params: Mapping[str, Any] | None = None
    weight: float = 1.0
    """How often it is made, beside the weights of the others."""
    wants_progress: bool = False

    async def send(self, client: Client, tally: ProgressTally) -> str | None:
        """Make the request; return None after a result, and the name of the error otherwise."""
        on_progress = tally.reported if self.wants_progress else None
        method = "server/discover" if self.method == "ping" and client.protocol_version >= "2026" else self.method
        try:
            result = await client.request(method, self.params, on_progress=on_progress)
        except TrimcpError as exc:
            return error_name(exc)
        if "isError" in result and result["isError"] is True:
            return TOOL_ERROR
        return INPUT_REQUIRED if result.get("resultType") == "input_required" else None


class ProgressTally:
    """Counts reports of progress."""

    reports: int = 0

    def reported(self, progress: float, total: float | None, message: str | None) -> None:
        """Count a report; has the signature of `on_progress`."""
        self.reports += 1


def error_name(exc: TrimcpError) -> str:
    """Return a short name of an error, under which it is counted."""
    match exc:
        case RequestFailed():
            return f"code {exc.code}"
        case RequestTimedOut():
            return TIMED_OUT
        case ExchangeFailed(status=int(status)):
            return f"HTTP {status}"
        case ExchangeFailed():
            return "exchange failed"
        case ConnectionEnded():
            return "connection lost"
        case InvalidPayload():
            return "invalid result"
    return type(exc).__name__


class Mix:
    """Chooses operations at random, by their weights."""

    def __init__(self, operations: Sequence[Operation], seed: int | None = None) -> None:
        """`seed` makes the choice repeatable."""
        self._operations = list(operations)
        self._weights = list(accumulate(operation.weight for operation in operations))
        self._chance = random.Random(seed)  # noqa: S311 - no secret

    def __iter__(self) -> Iterator[int]:
        """Yield the indices of operations, without end."""
        if len(self._operations) == 1:
            yield from cycle((0,))
        indices = range(len(self._operations))
        while True:
            yield from self._chance.choices(indices, cum_weights=self._weights, k=256)
