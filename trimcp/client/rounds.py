"""Requests that need several rounds: a modern server asks, the client answers and asks again.

basic/patterns/mrtr of 2026-07-28, "Client Requirements".
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import trio

from trimcp.client.handlers import Handlers
from trimcp.codec.revisions import RevisionCodec
from trimcp.errors import InvalidResult
from trimcp.session.containment import contained
from trimcp.types.input_required import InputRequest, InputRequiredResult

ROUNDS: Final = 20
"""The most rounds of one request; a server that asks for ever is given up."""
QUESTIONS: Final = 32
"""The most questions of one round."""

Send = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
"""Makes the request once, with these params, and returns the raw result."""


async def in_rounds(
    send: Send,
    params: dict[str, Any],
    first: InputRequiredResult,
    decode: Callable[[dict[str, Any]], Any],
    codec: RevisionCodec,
    handlers: Handlers,
) -> Any:
    """Make a request again as often as the server has questions, and return its result object.

    `first` is what it was answered with, with these params.

    Each round has the timeouts of a request of its own; a scope around the call holds over all.

    Raises:
        InvalidResult: the server asks too much, or nothing at all.
        RequestFailed: a question was refused, by the user or since the client does not offer it.
    """
    result: Any = first
    for _ in range(ROUNDS):
        if result.input_requests is None and result.request_state is None:
            raise InvalidResult(["the server requires input, and does not say which"])
        again = dict(params)
        if result.input_requests:
            again["inputResponses"] = await answers_to(result.input_requests, codec, handlers)
        if result.request_state is not None:
            again["requestState"] = result.request_state  # to the letter: it is the server's alone
        result = decode(await send(again))
        if not isinstance(result, InputRequiredResult):
            return result
    raise InvalidResult([f"the server still requires input after {ROUNDS} rounds"])


async def answers_to(questions: dict[str, InputRequest], codec: RevisionCodec, handlers: Handlers) -> dict[str, Any]:
    """Answer all questions of a round, at once.

    Raises:
        InvalidResult: there are too many.
        RequestFailed: one was refused, by the user or since the client does not offer it.
    """
    if len(questions) > QUESTIONS:
        raise InvalidResult([f"the server asks {len(questions)} questions at once; at most {QUESTIONS} are answered"])
    answers: dict[str, Any] = {}
    failures: list[Exception] = []

    async def answer(key: str, question: InputRequest, scope: trio.CancelScope) -> None:
        try:
            with contained(question.method):
                result = await handlers.answer(question.method, question.params)  # type: ignore[arg-type]  # by method
                answers[key] = codec.unstructure(result)
        except Exception as exc:  # noqa: BLE001 - a refusal, or the user's own: raised below, as itself
            failures.append(exc)
            scope.cancel()

    async with trio.open_nursery() as nursery:
        for key, question in questions.items():
            nursery.start_soon(answer, key, question, nursery.cancel_scope)
    if failures:
        # A modern server cannot be told of a refusal: the request is given up, and the caller told.
        raise failures[0]
    missing = questions.keys() - answers.keys()
    if missing:
        # A handler has left a cancelled scope open in its task, which took it for cancelled.
        raise RuntimeError(f"{questions[missing.pop()].method} has ended without an answer")
    return answers
