"""How a question gets to the client and its answer to the handler: one way for each era.

In a legacy session a question is a request to the client, and the handler waits for it. In
2026-07-28 there is no such thing: the request that the handler serves is answered with the
question (`input_required`), the handler unwinds as if it were cancelled, and the client makes the
same request again with the answer. `Rounds` is what one such request knows of the rounds before it.

basic/patterns/mrtr of 2026-07-28; client/{elicitation,sampling,roots} of every revision.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

import orjson
import trio

from trimcp.codec.revisions import codec_for
from trimcp.errors import InvalidParams, InvalidPayload, InvalidResult, RequestFailed, UsageError
from trimcp.protocol.cancelling import CancelReason
from trimcp.protocol.principal import key_of
from trimcp.server.questions import Question
from trimcp.server.requirements import check
from trimcp.server.sealed_state import Sealer, State, digest_of, digest_of_request
from trimcp.session.request import InboundRequest
from trimcp.types.input_required import InputRequest, InputRequiredResult
from trimcp.types.jsonrpc import INTERNAL_ERROR
from trimcp.types.methods import METHODS

if TYPE_CHECKING:
    from trimcp.server.context import Context

T = TypeVar("T")

JSON_ONLY: Final = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS
"""What else orjson would write would come back as something else."""

Questions = Mapping[str, Question[Any]] | Mapping[str | None, Question[Any]]
"""Questions by the key under which the answer is kept between rounds; None has one made."""

MOST: Final = METHODS["elicitation/create"].default_deadline
"""Seconds that a legacy client may take to answer: a person may have to."""


async def ask(context: Context, questions: Questions) -> list[Any]:
    """Ask the client one or several questions at once; return the answers in the same order.

    Args:
        context: of the request that is served.
        questions: by the key under which the answer is kept between rounds; None has one made.

    Raises:
        CapabilityMissing: the client did not declare that it can answer.
        UsageError: the revision cannot ask this here.
        InvalidResult: the answer is not one (legacy).
        RequestFailed: the client refused (legacy).
    """
    request = context.request
    if request.is_settled or request.scope is None:
        raise UsageError("the request has been answered, so nothing can be asked for it any more")
    for question in questions.values():
        check(request, question.requires)
    if request.revision.server_asks:
        return await _ask_session(request, list(questions.values()))
    return await rounds_of(context).answers(questions)


# --- legacy: a request to the client ------------------------------------------------------


async def _ask_session(request: InboundRequest, questions: list[Question[Any]]) -> list[Any]:
    answers: list[Any] = [None] * len(questions)

    failures: list[Exception] = []

    async def one(place: int, question: Question[Any], all_of_them: trio.CancelScope) -> None:
        try:
            answers[place] = await _ask_once(request, question)
        except Exception as exc:  # noqa: BLE001 - raised below, as if one had been asked alone
            failures.append(exc)
            all_of_them.cancel()

    if len(questions) == 1:
        return [await _ask_once(request, questions[0])]
    async with trio.open_nursery() as nursery:
        for place, question in enumerate(questions):
            nursery.start_soon(one, place, question, nursery.cancel_scope)
    if failures:
        raise failures[0]
    return answers


async def _ask_once(request: InboundRequest, question: Question[Any]) -> Any:
    codec = codec_for(request.revision)
    params = question.params(request.revision)
    encoded = None if params is None else codec.params_encoder(question.method)(params)
    raw = await request.session.calls.call(question.method, encoded, timeout=MOST, via=request)
    try:
        return question.answer(raw, codec)
    except InvalidPayload as exc:
        raise InvalidResult(exc.problems) from None


# --- modern: rounds -----------------------------------------------------------------------


class Rounds:
    """What one modern request knows of the rounds before it, and asks in this one."""

    def __init__(self, request: InboundRequest, sealer: Sealer) -> None:
        """
        Raises:
            InvalidParams: the state that came with the request is not good for it.
        """
        if not request.route.method.asks:
            raise UsageError(f"in {request.revision.version} nothing can be asked while {request.method} is served")
        params = request.params or {}
        self._request = request
        self._sealer = sealer
        self._digest = digest_of_request(request.method, params)
        self._occurrences: dict[str, int] = {}
        self._pending: dict[str, InputRequest] = {}
        self._digests: dict[str, str] = {}
        self._over = trio.Event()
        text = params.get("requestState")
        self.state = State()
        if isinstance(text, str):
            self.state = sealer.open(text, principal=key_of(request.delivery.principal), request=self._digest)
        responses = params.get("inputResponses")
        responses = responses if isinstance(responses, dict) else {}
        # A client that has no state may still answer what goes by a name that the program gave it.
        self._unasked: dict[str, Any] = responses if text is None else {}
        for key, response in responses.items():
            asked = self.state.asked.get(key)
            if asked is not None:  # whatever else is in there was not asked for, and is ignored
                self.state.answers[key] = (asked, response)
        self.state.asked = {}

    async def answers(self, questions: Questions) -> list[Any]:
        """The answers that are there, or the end of this round, with all that are missing asked at once."""
        codec = codec_for(self._request.revision)
        found: list[Any] = []
        for key, question in questions.items():
            raw = self._answer(key, question)
            if raw is not None:
                try:
                    found.append(question.answer(raw, codec))
                except InvalidPayload as exc:
                    problems = {"problems": exc.problems}
                    raise InvalidParams(f"An input response does not answer its question: {exc}", problems) from None
        if len(found) == len(questions):
            return found
        self._end_round()
        # The scope of the whole request is cancelled now, and this is where the function unwinds;
        # but for a sync one, whose thread Trio abandons: it is told when the request has ended.
        await self._over.wait()
        raise UsageError("the request has been answered with the question; this run of the function is over")

    def _answer(self, key: str | None, question: Question[Any]) -> Any:
        """The raw answer to a question; None, and the question noted, where there is none yet."""
        revision = self._request.revision
        asked = question.request(revision)
        digest = digest_of(codec_for(revision).unstructure(asked))
        if key is None:
            # Known by what is asked and how often it was asked before: tasks run in any order.
            number = self._occurrences[digest] = self._occurrences.get(digest, 0) + 1
            key = f"{digest}.{number}"
        elif self._digests.get(key, digest) != digest:
            raise UsageError(f"two different questions are asked under the key {key!r}")
        elif key in self._unasked:
            self.state.answers[key] = (digest, self._unasked[key])
        self._digests[key] = digest
        known = self.state.answers.get(key)
        if known is not None and known[0] == digest:  # a question that has changed is asked again
            return known[1]
        self._pending[key] = asked
        return None

    def _end_round(self) -> None:
        """Answer the request with what is asked, and cancel it."""
        request, state = self._request, self.state
        if request.cancel_reason is not None:
            return  # another task has ended the round already, or the client has given up
        state.rounds += 1
        limits = request.session.limits
        if state.rounds > limits.rounds:
            raise RequestFailed(INTERNAL_ERROR, f"The request was not done after {limits.rounds} rounds of questions")
        state.asked = {key: self._digests[key] for key in self._pending}
        principal = key_of(request.delivery.principal)
        sealed = self._sealer.seal(state, principal=principal, request=self._digest)
        if len(sealed) > limits.state_bytes:
            raise RequestFailed(
                INTERNAL_ERROR, f"The answers so far need more than the {limits.state_bytes} bytes of state allowed"
            )
        request.finish(
            CancelReason.INPUT_REQUIRED, InputRequiredResult(input_requests=self._pending, request_state=sealed)
        )

    def ended(self) -> None:
        """The request is over, and whoever still waits in it must not."""
        self._over.set()

    def keep(self, key: str, value: Any) -> None:
        """Keep the result of a step between rounds."""
        self.state.kept[key] = value


def rounds_of(context: Context) -> Rounds:
    """The rounds of the request that is served; read once, when something is first asked.

    Raises:
        InvalidParams: the state that came with the request is not good for it.
        UsageError: nothing can be asked while this method is served.
    """
    request = context.request
    if request.rounds is None:
        request.rounds = Rounds(request, context.sealer)
    rounds: Rounds = request.rounds
    return rounds


async def once(context: Context, key: str, step: Callable[[], Awaitable[T] | T]) -> T:
    """Run a step, and not again in later rounds; see `Context.once`."""
    modern = not context.request.revision.server_asks and context.request.route.method.asks
    rounds = rounds_of(context) if modern else None
    if rounds is not None and key in rounds.state.kept:
        again: T = rounds.state.kept[key]
        return again
    made: Any = step()
    value: Any = await made if inspect.isawaitable(made) else made
    try:
        # There and back again: so it is the same in every round, and in either era.
        kept: T = orjson.loads(orjson.dumps(value, option=JSON_ONLY))
    except orjson.JSONEncodeError:
        raise UsageError(f"the step {key!r} must return a JSON value, to be kept between rounds") from None
    if rounds is not None:
        rounds.keep(key, kept)
    return kept
