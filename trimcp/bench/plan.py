"""`Plan`: the load that is made, for how long, and on how many sessions."""

from __future__ import annotations

import math
from typing import Final

import attrs

from trimcp.bench.schedule import ALL, Arrivals, Schedule, Share
from trimcp.errors import UsageError

WARMUP: Final = 5.0
DURATION: Final = 30.0
IN_FLIGHT: Final = 256
"""Requests of an open loop in flight at once, by default."""
WAITING: Final = 10_000
"""Requests of an open loop that may wait for a place, by default."""
PATIENCE: Final = 10.0
"""Seconds that the run waits for answers after its end, by default."""


@attrs.frozen(kw_only=True)
class Closed:
    """A closed loop: callers that make a request, wait for the answer, and make the next."""

    callers: int = 1


@attrs.frozen(kw_only=True)
class Open:
    """An open loop: requests are due at times that do not depend on the answers."""

    schedule: Schedule
    arrivals: Arrivals = "constant"
    in_flight: int = IN_FLIGHT
    """Requests in flight at once. Further requests wait, and their time from due goes on."""
    waiting: int = WAITING
    """Requests that may wait for a place. Further requests are dropped, and counted."""


@attrs.frozen(kw_only=True)
class Plan:
    """What a run does."""

    load: Closed | Open = attrs.field(factory=Closed)
    sessions: int = 1
    connect_rate: float | None = None
    """Sessions opened each second; None opens some at once, as fast as the server takes them."""
    churn: float | None = None
    """Seconds after which a session is closed and another takes its place."""
    listens: int = 0
    """Streams of notices, spread over the sessions."""
    uris: tuple[str, ...] = ()
    """Resources whose changes the streams ask for, beside those of lists."""
    warmup: float = WARMUP
    duration: float = DURATION
    requests: int | None = None
    """The number of requests after which the window ends; None: it ends with its duration."""
    patience: float = PATIENCE
    """Seconds that the run waits for answers after the window."""
    seed: int | None = None
    """Makes the arrivals and the mix repeatable."""

    def __attrs_post_init__(self) -> None:
        if self.requests is None and not 0 < self.duration < math.inf:
            raise UsageError("the duration must be above 0")
        if self.load == Closed(callers=0) and not self.listens:
            raise UsageError("there is nothing to do: add a request or a stream")

    @property
    def is_open(self) -> bool:
        """Whether the load is an open loop."""
        return isinstance(self.load, Open)

    def share(self, share: Share) -> Plan:
        """Return the part of the plan that one of several processes does. The schedule divides itself.

        Raises:
            UsageError: there is too little of something for so many processes.
        """
        if share == ALL:
            return self
        load = self.load
        if isinstance(load, Closed):
            load = attrs.evolve(load, callers=share.part(load.callers))
        else:
            load = attrs.evolve(load, in_flight=share.part(load.in_flight), waiting=share.part(load.waiting))
        sessions = share.part(self.sessions)
        if sessions == 0 or (load.callers if isinstance(load, Closed) else load.in_flight) == 0:
            raise UsageError(
                f"{share.of} workers need as many sessions, and as many requests at once: "
                "raise --sessions and --concurrency or --in-flight, or lower --workers"
            )
        return attrs.evolve(
            self,
            load=load,
            sessions=sessions,
            connect_rate=None if self.connect_rate is None else self.connect_rate / share.of,
            listens=share.part(self.listens),
            requests=None if self.requests is None else share.part(self.requests),
            seed=None if self.seed is None else self.seed + share.number,
        )
