"""Runs the work of a request after its answer: for extensions that answer at once and deliver the result later.

The work does not need the session of the request, which may end before it.

The same handler runs, with the same context type. Its progress reports and log messages are discarded, its deadlines
are those of the work, and its questions to the client go through a function of the extension.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import trio

from trimcp.codec.revisions import codec_for
from trimcp.errors import InvalidPayload, InvalidResult, RequestFailed, UsageError
from trimcp.framing.headers import request_title
from trimcp.protocol.cancel_reason import ANSWERS, CancelReason
from trimcp.server.context.sealed_state import State, digest_of
from trimcp.server.middleware import Continuation, Handle
from trimcp.session.detached import DetachedPeer
from trimcp.session.request import InboundRequest
from trimcp.types.jsonrpc import INTERNAL_ERROR

if TYPE_CHECKING:
    from trimcp.server.context.client_requests import Questions
    from trimcp.server.context.context import Context
    from trimcp.server.middleware import Proceed

Ask = Callable[[Mapping[str, dict[str, Any]]], Awaitable[Mapping[str, Any]]]
"""Sends questions to the client, by key, as the input requests of 2026-07-28; returns the responses by key."""


class DeferredWork:
    """Holds the work of one request, which runs once, apart from the request. `detach` makes it."""

    def __init__(self, request: InboundRequest, handle: Handle, params: Any, ask: Ask | None) -> None:
        self._params = params
        self._handle = handle
        self._route = request.route
        peer = DetachedPeer(
            request.session.limits,
            request.delivery,
            request.revision,
            request.profile,
            number=request.session.number,
        )
        self._work = InboundRequest(
            peer.register,
            request.serial,
            request.id,
            request.params,
            request.route,
            request.profile,
            peer.reply_stream,
            None,
            0,
            request.received_at,
        )
        self._work.rounds = _DeferredQuestions(self._work, ask)

    async def run(self) -> Any:
        """Run the work; return the result object.

        Raises:
            RequestFailed: the handler raised it, or the work was cancelled or took too long. An extension can answer
                with it.
            Exception: the handler raised it.
        """
        work = self._work
        with trio.CancelScope() as work.scope:
            if work.cancel_reason is not None:
                work.scope.cancel()
            return await self._handle(work, self._params)
        reason = work.why_cancelled or CancelReason.CANCELLED
        code, message = ANSWERS[reason] or (INTERNAL_ERROR, "The work was cancelled")
        message = message.format(request=request_title(work.method, work.params))
        raise RequestFailed(code, message, {"reason": reason.value})

    def cancel(self) -> None:
        """Cancel the work: its handler unwinds, and `run` raises. From any task of the run."""
        self._work.cancel(CancelReason.CANCELLED)

    def encode(self, result: Any) -> dict[str, Any]:
        """Encode a result as the answer to the request.

        Raises:
            InvalidPayload: the revision has no form for it.
        """
        return self._route.encode(result)


def detach(ctx: Context, proceed: Proceed, params: Any, *, ask: Ask | None = None) -> DeferredWork:
    """Make work that may outlive the request out of `proceed(params)`: `ctx.start_job(work.run)`.

    Args:
        ctx: the context of the middleware.
        proceed: the `proceed` of the middleware.
        params: the params for it.
        ask: sends questions of the handler (`ctx.elicit` and others) to the client; without it, the handler cannot ask.

    Raises:
        UsageError: `proceed` is another function.
    """
    if not isinstance(proceed, Continuation):
        raise UsageError("Invalid proceed for detach: pass the proceed that the middleware was called with")
    return DeferredWork(ctx.request, proceed.handle, params, ask)


class _DeferredQuestions:
    """Asks questions through a function of the extension. It stands for the `InputRounds` of the request."""

    def __init__(self, request: InboundRequest, ask: Ask | None) -> None:
        self._request = request
        self._ask = ask
        self._asked: dict[str, int] = {}
        self.state: State = State()

    async def answers(self, questions: Questions) -> list[Any]:
        """See `InputRounds`."""
        if self._ask is None:
            raise UsageError("The request has been answered: give detach an ask function for questions")
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
        """Return a key that was not used before: a key that was answered is never asked again."""
        number = self._asked[key] = self._asked.get(key, 0) + 1
        return key if number == 1 else f"{key}.{number}"

    async def keep(self, key: str, value: Any) -> None:
        """See `InputRounds`."""
        self.state.kept[key] = value
        await trio.lowlevel.checkpoint()

    def ended(self) -> None:
        """See `InputRounds`."""
