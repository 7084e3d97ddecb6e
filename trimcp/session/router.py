"""The Router: decides, for each request that arrives, whether, in what revision and when it runs.

A synchronous door that the Reader calls; what must wait, waits in the session's own list. What
is answered at once (`ping`, `initialize`, `server/discover`) takes no place and passes all work.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from trimcp.actors.crew import Crew
from trimcp.codec.envelope import encode_error, encode_result
from trimcp.errors import InvalidPayload, RequestFailed
from trimcp.observability import events, log
from trimcp.protocol.cancelling import CancelReason
from trimcp.protocol.inbound import Inbound
from trimcp.protocol.lifecycle import Phase
from trimcp.protocol.profile import ClientProfile, Stateless
from trimcp.session.admission import Admission
from trimcp.session.outlet import Outlet
from trimcp.session.refusals import another_time
from trimcp.session.request import InboundRequest
from trimcp.session.service import LongLived, Route
from trimcp.types.fields import ABSENT
from trimcp.types.jsonrpc import (
    BUSY,
    DRAINING,
    INTERNAL_ERROR,
    INVALID_PARAMS,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    ErrorData,
    ProgressToken,
    Request,
)
from trimcp.types.metadata import PROTOCOL_VERSION
from trimcp.types.revisions import LATEST_LEGACY, Era, Revision

if TYPE_CHECKING:
    from trimcp.session.session import Session

_serials: Final = itertools.count(1)

BEFORE_HANDSHAKE: Final = ("initialize", "ping")
"""What a legacy session answers before it is opened."""


class Router:
    """Requests of one session: from accepted to started, and from ended to forgotten."""

    def __init__(self, session: Session, crew: Crew, admission: Admission) -> None:
        self._session = session
        self._service = session.service
        self._limits = session.limits
        self._crew = crew
        self._admission = admission
        self._stateless = Stateless(session.service.revisions)
        self._openable = _openable(session.service.revisions)
        self._waiting: deque[InboundRequest] = deque()
        self._long_lived: dict[int, LongLived] = {}
        self._bytes = 0
        self.inbound: Inbound[InboundRequest] = Inbound()
        self.running = 0
        """Requests that have a place."""
        self.draining = False
        """Whether new work is refused."""
        self.refused = 0
        """Requests that were refused for want of room."""

    # --- in ---------------------------------------------------------------------------

    def accept(self, message: Request, outlet: Outlet, size: int, now: float) -> None:
        """Take a request from the Reader: start it, let it wait, answer it at once, or refuse it."""
        # Before all else: any answer by that id, an error too, would settle the first one at the peer.
        if message.id in self.inbound and outlet.is_shared:
            self._duplicate(message, outlet)
            return
        params = message.params
        meta = None if params is None else params.get("_meta")
        profile = self._profile(message.method, meta)
        if type(profile) is ErrorData:
            self._refuse(message, outlet, profile.code, profile.message, profile.data, unfit=True)
            return
        revision = self._revision(profile)  # type: ignore[arg-type]  # ErrorData has left above
        if self._service.role == "client" and not revision.server_asks:
            # Forbidden in the modern era, where a client sends no answers (basic/patterns).
            log.warning(events.MESSAGE_IGNORED, method=message.method, why="a server must not send requests")
            return
        routes = self._service.routes(revision)
        route = routes.get(message.method)
        if route is None:
            self._refuse(message, outlet, METHOD_NOT_FOUND, f"Method not found: {message.method}")
            return
        token: ProgressToken | None = None
        if meta is not None and type(meta) is dict:
            token = meta.get("progressToken")
            if token is not None and type(token) is not int and type(token) is not str:
                token = None  # refused, with its path, when the params are decoded
        request = InboundRequest(
            self._session,
            next(_serials),
            message.id,
            params,
            route,
            profile,  # type: ignore[arg-type]  # ErrorData has left above
            outlet,
            token,
            size,
            now,
            self._ended if route.keeper is None else self._let_go,
        )
        if route.at_once is not None:
            self._answer_at_once(request, route)
        elif route.keeper is not None:
            self._keep(request, route, route.keeper)
        else:
            self._admit(request)

    def _profile(self, method: str, meta: Any) -> ClientProfile | ErrorData | None:
        """Who asks. The era is that of the message, whatever else goes on on the connection."""
        if self._service.role == "client":
            return None
        session = self._session
        if session.is_stateless or self._stateless.concerns(meta):
            return self._stateless.profile(meta if type(meta) is dict else {})
        if session.handshake.phase is not Phase.OPENING:
            return session.client
        if method in BEFORE_HANDSHAKE and self._openable is not None:
            return None
        return self._unopened(method)

    def _unopened(self, method: str) -> ErrorData:
        """A request that neither names its revision nor follows an `initialize`."""
        service = self._service
        versions = [revision.version for revision in service.revisions]
        if not any(method in service.routes(revision) for revision in service.revisions):
            # To a legacy client that meets a modern server this message is all the help there is.
            spoken = f"; this server speaks {', '.join(versions)}"
            return ErrorData(METHOD_NOT_FOUND, f"Method not found: {method}{spoken}", {"supported": versions})
        if self._openable is None:
            return ErrorData(
                INVALID_PARAMS,
                f"Every request must carry {PROTOCOL_VERSION} in params._meta; spoken here: {', '.join(versions)}",
                {"supported": versions},
            )
        return ErrorData(
            INVALID_PARAMS,
            f"{method} before initialize, and without {PROTOCOL_VERSION} in params._meta",
            {"supported": versions},
        )

    def _revision(self, profile: ClientProfile | None) -> Revision:
        if profile is not None:
            return profile.revision
        return self._session.revision or self._openable or LATEST_LEGACY

    def _duplicate(self, message: Request, outlet: Outlet) -> None:
        """A second request with the id of one in flight.

        An answer with that id would settle the first one at the peer, so none is sent.
        """
        log.warning(events.REQUEST_DUPLICATED, id=message.id, method=message.method)
        outlet.withdraw()
        if not self._session.unreadable_id_is_null:
            self._session.writer.post(
                encode_error(
                    None, INVALID_REQUEST, f"A request with the id {message.id!r} is in flight already", null_id=False
                )
            )

    def _answer_at_once(self, request: InboundRequest, route: Route) -> None:
        assert route.at_once is not None
        try:
            params = route.decode(request.params)
        except InvalidPayload as exc:
            request.refuse(INVALID_PARAMS, f"Invalid params: {exc}", {"problems": exc.problems})
            return
        try:
            frame = encode_result(request.id, route.encode(route.at_once(request, params)))
        except RequestFailed as exc:
            request.refuse(exc.code, exc.message, ABSENT if exc.data is None else exc.data)
        except Exception as exc:  # noqa: BLE001 - ours, or a user's that was asked for instructions: the session goes on
            request.refuse(INTERNAL_ERROR, "Internal error")
            log.error(events.HANDLER_FAILED, exc_info=exc, method=request.method)
        else:
            request.outlet.answer(frame)

    # --- long-lived requests, which have no task ---------------------------------------

    def _keep(self, request: InboundRequest, route: Route, keeper: LongLived) -> None:
        if self.draining:
            self._refuse_draining(request)
            return
        try:
            params = route.decode(request.params)
        except InvalidPayload as exc:
            request.refuse(INVALID_PARAMS, f"Invalid params: {exc}", {"problems": exc.problems})
            return
        request.params = None  # the keeper keeps what it needs
        self.inbound.add(request)
        self._long_lived[request.serial] = keeper
        keeper.open(request, params)

    def _let_go(self, request: InboundRequest) -> None:
        """A long-lived request is over."""
        keeper = self._long_lived.pop(request.serial, None)
        if keeper is not None:
            self.inbound.remove(request)
            keeper.released(request)
            self._now_idle()

    def finish_long_lived(self) -> None:
        """Have every long-lived request answered: they would be in flight for ever."""
        for request in self.inbound:
            keeper = self._long_lived.get(request.serial)
            if keeper is not None:
                keeper.finish(request)

    @property
    def working(self) -> int:
        """Requests in flight that run, or wait to run."""
        return len(self.inbound) - len(self._long_lived)

    # --- places -----------------------------------------------------------------------

    def _refuse_draining(self, request: InboundRequest) -> None:
        data = another_time("draining")
        request.refuse(DRAINING, "The server is stopping and takes no new work", data)

    def _now_idle(self) -> None:
        if not self.running and not self._waiting:
            self._session.now_idle()

    def _admit(self, request: InboundRequest) -> None:
        limits = self._limits
        if self.draining:
            self._refuse_draining(request)
            return
        if self._bytes + request.size > limits.session_request_bytes and self._bytes:
            self._busy(request, f"requests of {limits.session_request_bytes} bytes")
        elif self.running < limits.session_requests and not self._waiting and self._admission.take():
            self._register(request)
            self.running += 1
            self._crew.post(request)
        elif len(self._waiting) < limits.session_waiting:
            self._register(request)
            self._waiting.append(request)
            if self.running < limits.session_requests:
                self._admission.enlist(self)
        else:
            self._busy(request, f"{limits.session_requests} requests, and {limits.session_waiting} more that wait,")

    def _register(self, request: InboundRequest) -> None:
        self.inbound.add(request)
        self._bytes += request.size

    def _busy(self, request: InboundRequest, what: str) -> None:
        self.refused += 1
        if log.is_worth_saying(self.refused):
            log.warning(events.REQUEST_REFUSED, method=request.method, id=request.id, reason="busy", count=self.refused)
        data = another_time("busy")
        request.refuse(BUSY, f"Busy: {what} of this session are under way", data)

    @property
    def wants_place(self) -> bool:
        """See `admission.Waiting`."""
        return bool(self._waiting) and self.running < self._limits.session_requests

    def start_next(self) -> None:
        """See `admission.Waiting`."""
        self.running += 1
        self._crew.post(self._waiting.popleft())

    def _ended(self, request: InboundRequest) -> None:
        """The task is done with a request: its place is free."""
        if not self.inbound.remove(request):
            return  # a crew that several sessions share came to it after `close`, which gave its place back
        self._bytes -= request.size
        self.running -= 1
        if self._waiting:
            self._admission.enlist(self)
        self._admission.release()
        if self._session.end is not None:
            self._session.request_ended()
        self._now_idle()

    # --- out --------------------------------------------------------------------------

    def cancel(self, request: InboundRequest, reason: CancelReason) -> None:
        """Cancel a request, whether it runs or waits."""
        if not request.cancel(reason):
            return
        if request.serial in self._long_lived:
            request.dismiss(reason)
            self._let_go(request)
            return
        if request.scope is None and request in self._waiting:
            # It has no place and no task: it ends here and now.
            self._waiting.remove(request)
            self.inbound.remove(request)
            self._bytes -= request.size
            request.dismiss(reason)
            self._now_idle()

    def cancel_all(self, reason: CancelReason) -> int:
        """Cancel all that is in flight; return how many that were.

        A shutdown leaves the long-lived ones, which their keeper was told to finish.
        """
        requests = list(self.inbound)
        if reason is CancelReason.SHUTDOWN:
            requests = [request for request in requests if request.serial not in self._long_lived]
        for request in requests:
            self.cancel(request, reason)
        return len(requests)

    def close(self) -> None:
        """The session is over, and all its tasks with it: give back what it still held."""
        self._admission.leave(self)
        self._waiting.clear()
        for request in self.inbound:
            self._let_go(request)
            self.inbound.remove(request)
        self._bytes = 0
        while self.running:  # requests that had a place, and never came to run
            self.running -= 1
            self._admission.release()

    @property
    def waiting(self) -> int:
        """Requests that wait for a place."""
        return len(self._waiting)

    def _refuse(
        self, message: Request, outlet: Outlet, code: int, text: str, data: Any = ABSENT, *, unfit: bool = False
    ) -> None:
        if log.debugging():
            log.debug(events.REQUEST_REFUSED, method=message.method, id=message.id, code=code)
        outlet.refuse(encode_error(message.id, code, text, data, null_id=False), code, unfit=unfit)


def _openable(revisions: Sequence[Revision]) -> Revision | None:
    """The latest revision that a handshake can open, of those offered."""
    legacy = [revision for revision in revisions if revision.era is Era.LEGACY]
    return legacy[-1] if legacy else None
