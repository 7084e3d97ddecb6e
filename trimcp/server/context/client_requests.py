"""Asks the client for a handler: by requests in a legacy session, by rounds in 2026-07-28.

A legacy session sends the client a request, and the handler waits for the answer. In 2026-07-28 servers send no
requests: the handler's own request is answered with the questions (`input_required`) and the handler is cancelled. The
client then repeats the request with the answers, and the handler runs again. `InputRounds` holds the state of these
rounds.

basic/patterns/mrtr of 2026-07-28; client/{elicitation,sampling,roots} of every revision.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol, TypeVar

import orjson
import trio

from trimcp.codec.revisions import RevisionCodec, codec_for
from trimcp.errors import InvalidParams, InvalidPayload, InvalidResult, RequestFailed, UsageError
from trimcp.protocol.cancel_reason import CancelReason
from trimcp.protocol.principal import key_of
from trimcp.schema.exact_json import decode, encode
from trimcp.server.context.questions import Question
from trimcp.server.context.requirements import check
from trimcp.server.context.sealed_state import Sealer, State, digest_of, digest_of_request
from trimcp.session.request import InboundRequest
from trimcp.types.input_required import InputRequest, InputRequiredResult
from trimcp.types.jsonrpc import INTERNAL_ERROR, INVALID_REQUEST
from trimcp.types.methods import METHODS

T = TypeVar("T")

JSON_ONLY: Final = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS
"""Refuses values that orjson writes but reads back as another type."""

Questions = Mapping[str, Question[Any]] | Mapping[str | None, Question[Any]]
"""Questions by the key that holds the answer between rounds. For None, a key is made from the question."""

ANSWER_TIMEOUT: Final = METHODS["elicitation/create"].default_deadline
"""Seconds that a legacy client may take to answer: a person may have to."""

ANSWERED: Final = "The request has been answered: ask the client before the handler returns"


class SealingRun(Protocol):
    """The run of a server, as far as it seals the states of requests."""

    @property
    def sealer(self) -> Sealer:
        """Seals and opens states."""
        ...


async def ask(request: InboundRequest, run: SealingRun, questions: Questions) -> list[Any]:
    """Ask the client one or several questions at once; return the answers in the same order.

    Args:
        request: the request that the handler serves.
        run: the run of the server.
        questions: see `Questions`.

    Raises:
        CapabilityMissing: the client did not declare the capability to answer.
        UsageError: the revision has no such question, or the method cannot ask.
        InvalidResult: the answer does not answer the question (legacy).
        RequestFailed: the client refused (legacy), or its revision lacks a part of the question.
    """
    if request.is_settled or request.scope is None:
        raise UsageError(ANSWERED)
    for question in questions.values():
        check(request, question.requires)
    if request.revision.server_asks and request.rounds is None:
        return await _ask_session(request, list(questions.values()))
    return await rounds_of(request, run).answers(questions)


# --- legacy: a request to the client ------------------------------------------------------


async def _ask_session(request: InboundRequest, questions: list[Question[Any]]) -> list[Any]:
    answers: list[Any] = [None] * len(questions)
    failures: list[Exception] = []

    async def one(place: int, question: Question[Any], scope: trio.CancelScope) -> None:
        try:
            answers[place] = await _ask_once(request, question)
        except Exception as exc:  # noqa: BLE001 - raised below, as for a single question
            failures.append(exc)
            scope.cancel()

    if len(questions) == 1:
        return [await _ask_once(request, questions[0])]
    async with trio.open_nursery() as nursery:
        for place, question in enumerate(questions):
            nursery.start_soon(one, place, question, nursery.cancel_scope)
    if failures:
        raise failures[0]
    return answers


async def _ask_once(request: InboundRequest, question: Question[Any]) -> Any:
    encoded = encoded_params(request, question)
    raw = await request.session.calls.call(question.method, encoded, timeout=ANSWER_TIMEOUT, via=request)
    return read_answer(question, raw, codec_for(request.revision))


def encoded_params(request: InboundRequest, question: Question[Any]) -> dict[str, Any] | None:
    """Return the params of a question as the revision of a request has them.

    Raises:
        RequestFailed: the revision lacks a part of the question.
    """
    params = question.params(request.revision)
    try:
        return None if params is None else codec_for(request.revision).params_encoder(question.method)(params)
    except InvalidPayload as exc:
        version = request.revision.version
        raise RequestFailed(INVALID_REQUEST, f"{question.method} cannot be asked in {version}: {exc}") from None


def read_answer(question: Question[T], raw: Any, codec: RevisionCodec) -> T:
    """Read the raw answer of a client to a question.

    Raises:
        InvalidResult: it does not answer the question.
    """
    try:
        return question.answer(raw, codec)
    except InvalidPayload as exc:
        raise InvalidResult(exc.problems) from None


# --- modern: rounds -----------------------------------------------------------------------


class InputRounds:
    """Holds the answers of earlier rounds of one modern request, and the questions of this round."""

    def __init__(self, request: InboundRequest, sealer: Sealer) -> None:
        """
        Raises:
            InvalidParams: the state that came with the request is invalid, or belongs to another request.
            UsageError: the method cannot ask the client.
        """
        if not request.route.method.asks:
            raise UsageError(
                f"A handler of {request.method} cannot ask the client in {request.revision.version}: "
                "ask in a tool, a prompt or a resource"
            )
        params = request.params or {}
        self._request = request
        self._sealer = sealer
        self._digest = digest_of_request(request.method, params)
        self.occurrences: dict[str, int] = {}
        """How often each question without a key was asked, by its digest."""
        self._pending: dict[str, InputRequest] = {}
        self.digests: dict[str, str] = {}
        """The digests of the questions asked so far, by their keys."""
        self._over = trio.Event()
        text = params.get("requestState")
        self.state: State = State()
        if isinstance(text, str):
            self.state = sealer.open(text, principal=key_of(request.delivery.principal), request=self._digest)
        responses = params.get("inputResponses")
        responses = responses if isinstance(responses, dict) else {}
        # Without a state, a client may still answer questions whose keys the program chose.
        self._unasked: dict[str, Any] = responses if text is None else {}
        for key, response in responses.items():
            asked = self.state.asked.get(key)
            if asked is not None:  # answers to questions that were not asked are ignored
                self.state.answers[key] = (asked, response)
        self.state.asked = {}

    async def answers(self, questions: Questions) -> list[Any]:
        """Return the answers if all are there; else end this round with the missing questions, asked at once."""
        codec = codec_for(self._request.revision)
        found: list[Any] = []
        for key, question in questions.items():
            raw = self._answer(key, question)
            if raw is not None:
                try:
                    found.append(question.answer(raw, codec))
                except InvalidPayload as exc:
                    problems = {"problems": exc.problems}
                    raise InvalidParams(f"Invalid input response: {exc}", problems) from None
        if len(found) == len(questions):
            return found
        self._end_round()
        # The scope of the request is cancelled now, and an async handler unwinds here. The thread of a sync handler is
        # abandoned by Trio: it gets the error when the request has ended.
        await self._over.wait()
        raise UsageError("The request has been answered with the question: return, the function runs again later")

    def _answer(self, key: str | None, question: Question[Any]) -> Any:
        """Return the raw answer to a question. Without an answer, note the question and return None."""
        revision = self._request.revision
        asked = question.request(revision)
        digest = digest_of(codec_for(revision).unstructure(asked))
        if key is None:
            # The key says what is asked, and how often before: tasks run in any order.
            number = self.occurrences[digest] = self.occurrences.get(digest, 0) + 1
            key = f"{digest}.{number}"
        elif self.digests.get(key, digest) != digest:
            raise UsageError(f"Two different questions have the key {key!r}: give each question its own key")
        elif key in self._unasked:
            self.state.answers[key] = (digest, self._unasked[key])
        self.digests[key] = digest
        known = self.state.answers.get(key)
        if known is not None and known[0] == digest:  # a question that has changed is asked again
            return known[1]
        self._pending[key] = asked
        return None

    def _end_round(self) -> None:
        """Answer the request with the questions, and cancel it."""
        request, state = self._request, self.state
        if request.cancel_reason is not None:
            return  # another task has ended the round already, or the client has given up
        state.rounds += 1
        limits = request.session.limits
        if state.rounds > limits.rounds:
            raise RequestFailed(
                INTERNAL_ERROR,
                f"{request.method} has had {limits.rounds} rounds of questions: raise Limits.rounds for more",
            )
        state.asked = {key: self.digests[key] for key in self._pending}
        principal = key_of(request.delivery.principal)
        sealed = self._sealer.seal(state, principal=principal, request=self._digest)
        if len(sealed) > limits.state_bytes:
            raise RequestFailed(
                INTERNAL_ERROR,
                f"The state of the answers has {len(sealed)} bytes, over {limits.state_bytes}: set Limits.state_bytes",
            )
        request.finish(
            CancelReason.INPUT_REQUIRED, InputRequiredResult(input_requests=self._pending, request_state=sealed)
        )

    def ended(self) -> None:
        """Wake the abandoned threads that wait for an answer: the request is over."""
        self._over.set()

    async def keep(self, key: str, value: Any) -> None:
        """Keep the result of a step for later rounds."""
        self.state.kept[key] = value
        await trio.lowlevel.checkpoint()


def rounds_of(request: InboundRequest, run: SealingRun) -> InputRounds:
    """Return the rounds of a request; the first call reads its state.

    Raises:
        InvalidParams: the state that came with the request is invalid, or belongs to another request.
        UsageError: the method cannot ask the client.
    """
    if request.rounds is None:
        request.rounds = InputRounds(request, run.sealer)
    rounds: InputRounds = request.rounds
    return rounds


async def once(request: InboundRequest, run: SealingRun, key: str, step: Callable[[], Awaitable[T] | T]) -> T:
    """Run a step in the first round only, and keep its result for later rounds. See `Context.once`."""
    has_rounds = request.rounds is not None or (not request.revision.server_asks and request.route.method.asks)
    rounds = rounds_of(request, run) if has_rounds else None
    if rounds is not None and key in rounds.state.kept:
        earlier: T = rounds.state.kept[key]
        return earlier
    made: Any = step()
    value: Any = await made if inspect.isawaitable(made) else made
    try:
        # Encoded and decoded, so that every round and both eras get the same value.
        kept: T = decode(encode(value, option=JSON_ONLY))
    except TypeError:
        raise UsageError(
            f"Step {key!r} returned a {type(value).__name__}: it must return a JSON value, to be kept"
        ) from None
    if rounds is not None:
        await rounds.keep(key, kept)
    return kept
