"""`Restarts`: when a member of a group is connected again: pauses that double, with jitter, and a budget over time."""

from __future__ import annotations

from collections import deque

import attrs

from trimcp.actors.backoff import doubled_pause
from trimcp.errors import UsageError


@attrs.frozen(kw_only=True)
class Restarts:
    """When a group connects again to a server whose connection ended, or could not be made.

    The pause before a restart doubles with each restart within the window: a server that dies now and then is back at
    once, and the pauses for a server that dies again and again grow longer. A member that uses up the budget has
    failed.

    Raises:
        UsageError: a number is out of its range.
    """

    most: int = 10
    """Restarts within the window; a member that needs more has failed. 0: never restart."""
    window: float = 1800.0
    """Seconds after which a restart no longer counts. Long, since attempts that hang take minutes each."""
    first: float = 0.5
    """Seconds before the first restart."""
    longest: float = 30.0
    """Seconds before any restart, at most."""
    jitter: float = 0.5
    """The part of a pause, from 0 to 1, that is cut at random, so that many clients do not come back at once."""

    def __attrs_post_init__(self) -> None:
        if self.most < 0 or not self.window > 0:
            raise UsageError(
                f"invalid Restarts(most={self.most}, window={self.window}): most is 0 or more, window above 0"
            )
        if not 0 <= self.first <= self.longest or not 0 <= self.jitter <= 1:
            raise UsageError(
                f"invalid Restarts(first={self.first}, longest={self.longest}, jitter={self.jitter}): first is between "
                "0 and longest, jitter between 0 and 1"
            )


class RestartBudget:
    """Counts the restarts of one member within the window."""

    __slots__ = ("_policy", "_taken")

    def __init__(self, policy: Restarts) -> None:
        self._policy = policy
        self._taken: deque[float] = deque()

    def take(self, now: float) -> float | None:
        """Return the seconds to wait before a restart that is due now; None if the budget is used up."""
        policy = self._policy
        while self._taken and self._taken[0] <= now - policy.window:
            self._taken.popleft()
        if len(self._taken) >= policy.most:
            return None
        self._taken.append(now)
        return doubled_pause(len(self._taken), first=policy.first, longest=policy.longest, jitter=policy.jitter)

    def refill(self) -> None:
        """Forget the restarts so far: the program has restarted the member."""
        self._taken.clear()
