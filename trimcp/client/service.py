"""`ClientService`: the client as its session sees it: the requests that it answers, and the notifications it takes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

from trimcp.client.features.client_features import ClientFeatures
from trimcp.client.run import ClientRun, GivenExtensions
from trimcp.codec.revisions import codec_for
from trimcp.limits import Limits
from trimcp.observability import events, log
from trimcp.observability.instruments import Instruments
from trimcp.observability.telemetry import Telemetry
from trimcp.observability.wire_tap import WireTap
from trimcp.session.peer import Peer
from trimcp.session.request import InboundRequest, Route, never, pong
from trimcp.session.session import Service, Session
from trimcp.types.methods import methods_of
from trimcp.types.revisions import Revision

if TYPE_CHECKING:
    from trimcp.client.tasks.receiver import ReceivedTasks

TASKS: Final = frozenset(("tasks/get", "tasks/result", "tasks/list", "tasks/cancel"))
"""The requests about tasks that this client runs (2025-11-25)."""


class ClientService(Service):
    """Answers `ping` and the requests for which the client has functions, in revisions where servers make requests."""

    role: Literal["server", "client"] = "client"

    def __init__(
        self,
        limits: Limits,
        revisions: Sequence[Revision],
        features: ClientFeatures,
        extensions: GivenExtensions | None = None,
        telemetry: Telemetry | None = None,
        tap: WireTap | None = None,
    ) -> None:
        self.run: ClientRun | None = None
        """Gets the notifications, and the end of the session; None until a revision is agreed upon."""
        self.limits: Limits = limits
        self.instruments: Instruments = Instruments(telemetry, tap)
        self.revisions: Sequence[Revision] = revisions
        self._features = features
        self._offered = features.methods()
        self._extensions = extensions
        self._routes: dict[str, dict[str, Route]] = {}
        self._received: ReceivedTasks | None = None

    def routes(self, revision: Revision) -> Mapping[str, Route]:
        """See `Service`."""
        routes = self._routes.get(revision.version)
        if routes is None:
            routes = self._routes[revision.version] = self._compile(revision)
        return routes

    def _compile(self, revision: Revision) -> dict[str, Route]:
        codec = codec_for(revision)
        routes: dict[str, Route] = {}
        for name, method in methods_of(revision, "server").items():
            if name == "ping":
                handle, at_once = never, pong
            elif name in self._offered:
                handle, at_once = self._answer, None
            elif name in TASKS and self._features.runs_tasks:
                handle, at_once = self._about_task, None
            else:
                continue
            routes[name] = Route(method, codec.params_decoder(name), handle, codec.result_encoder(name), at_once)
        if self._extensions is not None:
            routes |= self._extensions.routes(revision)
        return routes

    async def _answer(self, request: InboundRequest, params: Any) -> Any:
        """Answer a request of a legacy server, in the request's own task; or make it a task of 2025-11-25."""
        if self._features.runs_tasks and getattr(params, "task", None) is not None:
            return self._received_tasks().create(request.method, params, params.task)
        return await self._features.answer(request.method, params)

    async def _about_task(self, request: InboundRequest, params: Any) -> Any:
        """Answer a request about a task that this client runs."""
        answer = getattr(self._received_tasks(), request.method.partition("/")[2])(params)
        return await answer if inspect.isawaitable(answer) else answer

    def _received_tasks(self) -> ReceivedTasks:
        if self._received is None:
            from trimcp.client.tasks.receiver import ReceivedTasks  # late: few servers have clients run tasks

            self._received = ReceivedTasks(self._features, self)
        return self._received

    def notify(self, method: str, params: dict[str, Any]) -> None:
        """See `Notifier`."""
        if self.run is not None and self.run.session.end is None:
            self.run.notify(method, params)

    def notified(self, session: Peer, method: str, params: Mapping[str, Any] | None) -> None:
        """See `Service`."""
        if self.run is None:
            return
        try:
            self.run.noticed(method, params)
        except Exception as exc:  # noqa: BLE001 - the Reader must not end with an error that a notice causes
            log.error(events.HANDLER_FAILED, exc_info=exc, method=method)

    def opened(self, session: Session) -> None:
        """See `Service`."""
        if self.instruments.telemetry is not None:
            self.instruments.telemetry.session_opened(session)

    def ended(self, session: Session) -> None:
        """See `Service`."""
        if self.instruments.telemetry is not None:
            self.instruments.telemetry.session_ended(session)
        if self.run is not None:
            self.run.ended()
