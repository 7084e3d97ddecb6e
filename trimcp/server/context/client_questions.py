"""`ClientQuestions`: the questions that a handler asks the client, and the steps between them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, overload

from trimcp.server.context.client_view import ClientView

if TYPE_CHECKING:
    from trimcp.server.context.questions import Elicited, Question, Sampled, SampleOptions
    from trimcp.session.request import InboundRequest
    from trimcp.session.tasks.handle import TaskHandle
    from trimcp.types.roots import Root
    from trimcp.types.sampling import SamplingMessage

T = TypeVar("T")
F = TypeVar("F")


class ClientQuestions(ClientView):
    """Asks the client for a handler. `Context` derives from it."""

    __slots__ = ()

    _request: InboundRequest

    @overload
    async def elicit(self, message: str, form: type[F] | dict[str, Any], *, key: str | None = None) -> Elicited[F]: ...

    @overload
    async def elicit(
        self,
        message: str,
        form: type[F] | dict[str, Any],
        *,
        key: str | None = None,
        task: Literal[True],
        ttl: float | None = None,
    ) -> TaskHandle[Elicited[F]]: ...

    async def elicit(
        self,
        message: str,
        form: type[F] | dict[str, Any],
        *,
        key: str | None = None,
        task: bool = False,
        ttl: float | None = None,
    ) -> Any:
        """Ask the user to fill in a form (client/elicitation; 2025-06-18 and later).

        In 2026-07-28 the request is answered with the question, and the function is cancelled (`trio.Cancelled`). It
        runs again with the answer. Put work that must not run twice into `once`.

        Args:
            message: the question and its reason, for people. Never ask for secrets in a form.
            form: a class whose fields are strings, numbers, booleans, `Literal` types or enums of strings, or
                lists of these two; or a JSON Schema of the same kind.
            key: the key that holds the answer between rounds; made from the question, if not given.
            task: return a `TaskHandle` as soon as the client has begun, and have the client ask as a task. It does
                where it declared such tasks (2025-11-25), outside of a task of the server; otherwise this waits, and
                the handle has the answer already.
            ttl: with `task`, seconds for which the client should keep the task.

        Raises:
            CapabilityMissing: the client did not declare the capability.
            UsageError: the form has a field that no form may have, or the method cannot ask (2026-07-28: only
                tools/call, prompts/get and resources/read can).
            InvalidResult, RequestFailed, RequestTimedOut, ConnectionEnded: there is no valid answer (legacy).
        """
        from trimcp.server.context.questions import Elicit

        return await self._ask(Elicit(message, form), key, task=task, ttl=ttl)

    @overload
    async def elicit_url(self, message: str, url: str, *, id: str, key: str | None = None) -> Elicited[None]: ...

    @overload
    async def elicit_url(
        self,
        message: str,
        url: str,
        *,
        id: str,
        key: str | None = None,
        task: Literal[True],
        ttl: float | None = None,
    ) -> TaskHandle[Elicited[None]]: ...

    async def elicit_url(
        self,
        message: str,
        url: str,
        *,
        id: str,
        key: str | None = None,
        task: bool = False,
        ttl: float | None = None,
    ) -> Any:
        """Ask the user to visit a web page, for data that must not pass through the client (2025-11-25 and later).

        The answer says whether the user agreed to visit the page, not what the user did there. When the user is done,
        `Server.notify_elicitation_complete(id)` notifies a client of 2025-11-25.

        Args:
            message: what the user should do there and why, for people.
            url: the URL of the page.
            id: an id that cannot be guessed, the same in every round.
            key, task, ttl: see `elicit`.

        Raises: as `elicit`.
        """
        from trimcp.server.context.questions import ElicitUrl

        self._run.url_elicited(id, self._request.session)
        return await self._ask(ElicitUrl(message, url, id=id), key, task=task, ttl=ttl)

    @overload
    async def sample(
        self,
        messages: str | Sequence[str | SamplingMessage],
        *,
        key: str | None = None,
        **options: Unpack[SampleOptions],
    ) -> Sampled: ...

    @overload
    async def sample(
        self,
        messages: str | Sequence[str | SamplingMessage],
        *,
        key: str | None = None,
        task: Literal[True],
        ttl: float | None = None,
        **options: Unpack[SampleOptions],
    ) -> TaskHandle[Sampled]: ...

    async def sample(
        self,
        messages: str | Sequence[str | SamplingMessage],
        *,
        key: str | None = None,
        task: bool = False,
        ttl: float | None = None,
        **options: Unpack[SampleOptions],
    ) -> Any:
        """Ask the client's model for a message (client/sampling; deprecated in 2026-07-28).

        Args:
            messages: the conversation; a string is a message of the user.
            key, task, ttl: see `elicit`.
            options: `max_tokens` (1024), `system_prompt`, `model_preferences`, `temperature`, `stop_sequences`,
                `tools`, `tool_choice`, `include_context`, `metadata`: see `trimcp.Sample`.

        Raises: as `elicit`.
        """
        from trimcp.server.context.questions import Sample

        return await self._ask(Sample(messages, **options), key, task=task, ttl=ttl)

    async def roots(self, *, key: str | None = None) -> list[Root]:
        """Ask for the directories and files that the client lets the server work in.

        client/roots; deprecated in 2026-07-28.

        Raises: as `elicit`.
        """
        from trimcp.server.context.questions import Roots

        roots: list[Root] = await self._ask(Roots(), key)
        return roots

    async def _ask(
        self, question: Question[Any], key: str | None, *, task: bool = False, ttl: float | None = None
    ) -> Any:
        if task:
            from trimcp.server.context.client_tasks import ask_as_task

            return await ask_as_task(self._request, self._run, question, key, ttl)
        from trimcp.server.context.client_requests import ask

        (answer,) = await ask(self._request, self._run, {key: question})
        return answer

    async def ask(self, **questions: Question[Any]) -> dict[str, Any]:
        """Ask several questions at once; in 2026-07-28 they go out in one round.

            answers = await ctx.ask(
                who=trimcp.Elicit("Who are you?", Person), where=trimcp.Roots()
            )

        Args:
            questions: by name. The name is also the key of the answer between rounds.

        Returns:
            The answers by name, each as `elicit`, `sample` or `roots` returns it.

        Raises: as `elicit`.
        """
        from trimcp.server.context.client_requests import ask

        return dict(zip(questions, await ask(self._request, self._run, questions), strict=True))

    async def once(self, key: str, step: Callable[[], Awaitable[T] | T]) -> T:
        """Run a step, sync or async, and keep its result between the rounds of the request.

        In 2026-07-28 a function that asks the client runs again for each answer. A step does not run again: its result
        is kept. The result must be a JSON value. In a legacy session the function runs once, and so does the step.

        Nothing is stored on the server: for a new request of the client, the step runs again. A task with
        `on_lost="rerun"` stores the result, so that the step does not run again on another node.
        """
        from trimcp.server.context.client_requests import once

        return await once(self._request, self._run, key, step)
