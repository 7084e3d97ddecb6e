"""Work that goes on after its request was answered: for extensions that answer at once and deliver later.

What runs is the same handler, with the same context type; but what it says of progress and logs
reaches nobody, its deadlines are those of the work, and what it asks the client goes by a way of the
extension's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import trio

from trimcp.codec.revisions import codec_for
from trimcp.errors import InvalidPayload, InvalidResult, RequestFailed, UsageError
from trimcp.protocol.cancelling import ANSWERS, CancelReason
from trimcp.server.middleware import Handle, Proceeding
from trimcp.server.sealed_state import State, digest_of
from trimcp.session.request import InboundRequest
from trimcp.types.jsonrpc import INTERNAL_ERROR

if TYPE_CHECKING:
    from trimcp.server.asking import Questions
    from trimcp.server.context import Context
    from trimcp.server.middleware import Proceed
    from trimcp.session.delivery import Delivery

Ask = Callable[[Mapping[str, dict[str, Any]]], Awaitable[Mapping[str, Any]]]
"""Gets questions by key, as the input requests of 2026-07-28, to the client; returns the responses by key."""


class Silence:
    """The outlet of a request that has been answered: what is posted goes nowhere."""

    is_shared: ClassVar[bool] = True

    def __init__(self, room: int, delivery: Delivery) -> None:
        """`delivery`: of the request, whose sender the work goes on for."""
        self.room = room
        self.delivery = delivery

    @property
    def takes_posts(self) -> bool:
        """Nobody is told."""
        return False

    def answer(self, frame: bytes) -> None:
        """See `Outlet`, as for the others."""

    def refuse(self, frame: bytes, code: int, *, unfit: bool = False) -> None:
        """Nobody is told."""

    def post(self, frame: bytes) -> None:
        """Nobody is told."""

    def write(self, frame: bytes) -> None:
        """Nobody is told."""

    def withdraw(self) -> None:
        """It has been answered."""

    def post_latest(self, key: Hashable, frame: bytes) -> None:
        """Nobody is told."""

    def post_report(self, key: Hashable, frame: bytes) -> None:
        """Nobody is told."""

    def drop(self, key: Hashable) -> None:
        """There is nothing to drop."""

    def post_log(self, frame: bytes) -> None:
        """Nobody is told."""

    def release(self, retry: float) -> bool:
        """There is no connection to let go of."""
        return False

    async def wait_room(self) -> None:
        """There is always room for nothing."""


class Detached:
    """The work of one request, apart from the request; made by `detach`. It is run once."""

    def __init__(self, request: InboundRequest, handle: Handle, params: Any, ask: Ask | None) -> None:
        self._params = params
        self._handle = handle
        self._route = request.route
        self._work = InboundRequest(
            request.session,
            request.serial,
            request.id,
            request.params,
            request.route,
            request.profile,
            Silence(request.outlet.room, request.delivery),
            None,
            0,
            request.received_at,
        )
        self._work.rounds = _Asking(self._work, ask)

    async def run(self) -> Any:
        """Do it; return the result object.

        Raises:
            RequestFailed: what answers the request where this is its answer: the handler's own, or that it was
                cancelled, or took too long.
            Exception: whatever else the handler raised.
        """
        work = self._work
        with trio.CancelScope() as work.scope:
            if work.cancel_reason is not None:
                work.scope.cancel()
            return await self._handle(work, self._params)
        reason = work.why_cancelled or CancelReason.CANCELLED
        code, message = ANSWERS[reason] or (INTERNAL_ERROR, "It was cancelled")
        raise RequestFailed(code, message, {"reason": reason.value})

    def cancel(self) -> None:
        """Cancel it: its handler unwinds, and `run` raises. From any task of the run."""
        self._work.cancel(CancelReason.CANCELLED)

    def encode(self, result: Any) -> dict[str, Any]:
        """A result as a JSON object, as it would have been the answer.

        Raises:
            InvalidPayload: the revision has no form for it.
        """
        return self._route.encode(result)


def detach(ctx: Context, proceed: Proceed, params: Any, *, ask: Ask | None = None) -> Detached:
    """What `proceed(params)` would do, as work that may outlive the request: `ctx.start_job(detached.run)`.

    Args:
        ctx: of the middleware that does so.
        proceed: as the middleware got it.
        params: for it.
        ask: gets what the handler asks (`ctx.elicit` and the like) to the client; without it, it cannot ask.

    Raises:
        UsageError: `proceed` is another; a server of the legacy era asks by requests, which end with their own.
    """
    if not isinstance(proceed, Proceeding):
        raise UsageError("detach takes the proceed that the middleware was called with")
    if ctx.request.revision.server_asks:
        raise UsageError(f"in {ctx.protocol_version} nothing can be delivered after the answer")
    return Detached(ctx.request, proceed.handle, params, ask)


class _Asking:
    """Stands in for the rounds of a request, of which there are none any more."""

    def __init__(self, request: InboundRequest, ask: Ask | None) -> None:
        self._request = request
        self._ask = ask
        self._asked: dict[str, int] = {}
        self.state = State()

    async def answers(self, questions: Questions) -> list[Any]:
        """See `Rounds`."""
        if self._ask is None:
            raise UsageError("the request has been answered, so nothing can be asked for it any more")
        codec = codec_for(self._request.revision)
        asked: dict[str, dict[str, Any]] = {}
        keys: list[str] = []
        for key, question in questions.items():
            encoded = codec.unstructure(question.request(self._request.revision))
            keys.append(self._unique(digest_of(encoded) if key is None else key))
            asked[keys[-1]] = encoded
        responses = await self._ask(asked)
        try:
            return [
                question.answer(responses[key], codec) for key, question in zip(keys, questions.values(), strict=True)
            ]
        except InvalidPayload as exc:
            raise InvalidResult(exc.problems) from None

    def _unique(self, key: str) -> str:
        """A key that was not used before: one that was answered is never asked again."""
        number = self._asked[key] = self._asked.get(key, 0) + 1
        return key if number == 1 else f"{key}.{number}"

    def keep(self, key: str, value: Any) -> None:
        """See `Rounds`."""
        self.state.kept[key] = value

    def ended(self) -> None:
        """See `Rounds`."""
