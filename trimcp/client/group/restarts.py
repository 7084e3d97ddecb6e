"""When a member is connected again: pauses that double, with jitter, and a budget over time. Has no task."""

from __future__ import annotations

import random
from collections import deque

import attrs

from trimcp.errors import UsageError


@attrs.frozen(kw_only=True)
class Restarts:
    """How a group goes about connecting again to a server whose connection ended, or could not be made.

    The pause before a restart doubles with each restart that lies within the window, so that a server which
    dies now and then is back at once, and one that dies over and over is left alone for longer and longer;
    one that uses up the budget has failed.

    Raises:
        UsageError: a number makes no sense.
    """

    most: int = 10
    """Restarts within the window; where one more would be needed, the member has failed. 0: never restart."""
    window: float = 1800.0
    """Seconds after which a restart counts no more. Long, since attempts that hang take minutes each."""
    first: float = 0.5
    """Seconds before the first restart."""
    longest: float = 30.0
    """Seconds before any restart, at most."""
    jitter: float = 0.5
    """The part of a pause, from 0 to 1, that chance may take off: many clients do not come back all at once."""

    def __attrs_post_init__(self) -> None:
        if self.most < 0 or not self.window > 0:
            raise UsageError("Restarts: most is 0 or more, window is some seconds")
        if not 0 <= self.first <= self.longest or not 0 <= self.jitter <= 1:
            raise UsageError("Restarts: first is between 0 and longest, jitter between 0 and 1")


class Budget:
    """The restarts of one member that lie within the window."""

    __slots__ = ("_policy", "_taken")

    def __init__(self, policy: Restarts) -> None:
        self._policy = policy
        self._taken: deque[float] = deque()

    def take(self, now: float) -> float | None:
        """Seconds to wait before a restart that is due now; None where there is none left."""
        policy = self._policy
        while self._taken and self._taken[0] <= now - policy.window:
            self._taken.popleft()
        if len(self._taken) >= policy.most:
            return None
        # Doubling is stopped before it leaves the range of floats; `longest` holds by then.
        pause = min(policy.longest, policy.first * 2.0 ** min(len(self._taken), 64))
        self._taken.append(now)
        return pause * (1 - policy.jitter * random.random())  # noqa: S311 - chance, and no secret

    def refill(self) -> None:
        """Forget the restarts so far: somebody has asked for another beginning."""
        self._taken.clear()
