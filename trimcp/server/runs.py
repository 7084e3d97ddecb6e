"""The runs of a server: what it is made with, and what is shared by everything that serves it at one time."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import trio

from trimcp.errors import UsageError
from trimcp.observability.instruments import Instruments, Meter
from trimcp.server.caching import Caching
from trimcp.server.declarations import Declarations
from trimcp.server.features.kinds import KINDS
from trimcp.server.keys import Keys
from trimcp.server.memory import memory_bound
from trimcp.server.running import Running, RunSnapshot, run_of
from trimcp.session.limits import Limits
from trimcp.session.session import DrainReport
from trimcp.types.metadata import Icon, Implementation
from trimcp.types.revisions import BY_VERSION, REVISIONS

if TYPE_CHECKING:
    from trimcp.server.app import Server
    from trimcp.server.extension import ServerExtension
    from trimcp.transports.http.limits import HttpLimits

Lifespan = Callable[["Server"], AbstractAsyncContextManager[Any]]


class Runs(Declarations):
    """What `Server` inherits beside its declarations: to run, to stop, and to be looked at."""

    def __init__(
        self,
        name: str,
        *,
        version: str = "0",
        title: str | None = None,
        description: str | None = None,
        instructions: str | None = None,
        website_url: str | None = None,
        icons: Sequence[Icon] | None = None,
        lifespan: Lifespan | None = None,
        limits: Limits | None = None,
        revisions: Sequence[str] | None = None,
        show_errors: bool = False,
        keys: Sequence[bytes] | None = None,
        logging: bool = True,
        caching: Caching | None = None,
        extensions: Sequence[ServerExtension] = (),
    ) -> None:
        """
        Args:
            name: what the server calls itself to programs.
            version: of the server, not of the protocol.
            title: what it is called to people.
            description: what it is, in a sentence.
            instructions: how a model should use it.
            website_url: where people read more.
            icons: pictures for it.
            lifespan: an async context manager function, called with the server, that is entered
                before the first request of a run and left after the last; what it yields is `ctx.state`.
            limits: every bound there is; see `Limits`.
            revisions: those to speak, such as `["2025-11-25"]`; all five if not given.
            show_errors: whether the text of a tool's unexpected exception goes to the client.
                By default only that of `ToolError` does.
            keys: secrets of 16 random bytes or more, the newest first, for what clients keep for
                the server (cursors, request states); processes that serve the same clients share
                them. One for this process alone, if not given.
            logging: whether the server may send log messages (`ctx.log`), and declares it.
            caching: how long clients may keep lists and contents (2026-07-28); not at all, if not given.
            extensions: those that the server offers, as `use` takes them.

        Raises:
            UsageError: a revision that does not exist; extensions that do not go together.
        """
        unknown = [version for version in revisions or () if version not in BY_VERSION]
        if unknown or revisions == []:
            raise UsageError(f"no revision {', '.join(unknown) or 'given'}; there are {', '.join(BY_VERSION)}")
        self.name = name
        self.info = Implementation(
            name=name,
            version=version,
            title=title,
            description=description,
            website_url=website_url,
            icons=None if icons is None else list(icons),
        )
        self.instructions = instructions
        self.lifespan = lifespan
        super().__init__(Limits() if limits is None else limits, Keys(keys), show_errors=show_errors)
        self.revisions = tuple(r for r in REVISIONS if revisions is None or r.version in revisions)
        self.logging = logging
        self.caching = Caching() if caching is None else caching
        self.instruments = Instruments()
        self._shared: Running | None = None
        for extension in extensions:
            self.use(extension)

    # --- running ----------------------------------------------------------------------

    @property
    def shared_run(self) -> Running | None:
        """The run that `running` has entered, if it has."""
        return self._shared

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Running]:
        """Enter one run of the server, which everything served inside of it shares.

            async with server.running(), trio.open_nursery() as nursery:
                await nursery.start(server.serve_stdio)
                await nursery.start(server.serve_unix, "/run/adder.sock")

        Without it each `serve_…` is a run of its own, with its own lifespan and places.

        Raises:
            UsageError: a run is shared already.
        """
        if self._shared is not None:
            raise UsageError("the server is inside of running() already")
        async with self._run() as running:
            self._shared = running
            try:
                yield running
            finally:
                self._shared = None

    @asynccontextmanager
    async def run_or_join(self) -> AsyncIterator[Running]:
        """The run that `running` shares, or one of its own."""
        if self._shared is not None:
            yield self._shared
            return
        async with self._run() as running:
            yield running

    @asynccontextmanager
    async def _run(self) -> AsyncIterator[Running]:
        async with run_of(cast("Server", self)) as running:
            self._began_with = frozenset(kind for kind in KINDS if self.offers(kind))
            self._runs.append(running)
            try:
                yield running
            finally:
                self._runs.remove(running)

    async def drain(self, deadline: float | None = None) -> DrainReport:
        """Stop in good order: refuse new work, let what is in flight finish, flush, close.

        Every `serve_…` then returns.

        Args:
            deadline: seconds until what still runs is cancelled; `Limits.grace` if not given.

        Returns:
            What became of the requests in flight.
        """
        reports: list[DrainReport] = []

        async def drain_one(running: Running) -> None:
            reports.append(await running.drain(self.limits.grace if deadline is None else deadline))

        async with trio.open_nursery() as nursery:
            for running in self._runs:
                nursery.start_soon(functools.partial(drain_one, running))
        return sum(reports, DrainReport())

    # --- a look at it -----------------------------------------------------------------

    def tree(self) -> tuple[RunSnapshot, ...]:
        """What every run of the server does now: actors, how full they are, requests with their age.

        Print one to see it drawn. It costs nothing while nobody asks.
        """
        return tuple(running.snapshot() for running in self._runs)

    def measure(self) -> AbstractContextManager[Meter]:
        """Count requests for as long as the context lasts: by method and outcome, with durations and cancels.

            with server.measure() as meter:
                ...
                print(meter.read().requests)

        Nothing is counted, and nothing costs anything, while no such context is open.
        """
        return self.instruments.open_meter()

    def memory_bound(self, http: HttpLimits | None = None) -> int:
        """The most that trimcp's own buffers can hold in one run, in bytes of wire text.

        The sum, over the sessions allowed, of what is being read, what waits to run, and what
        waits to leave; answers are counted for the places that the server has. What handlers
        hold themselves, and the objects that text becomes while it is handled, come on top.

        Args:
            http: the limits of a direct listener that it is served by, if it is: adds what its connections read,
                the answer that may wait on each of them, what is kept for clients that lose one, and what waits on
                the streams of requests.
        """
        return memory_bound(self.limits, http, batches=any(r.batches for r in self.revisions))
