"""`ClientFeatures`: the functions by which a client answers its server: sampling, elicitation, roots.

The same functions answer a request of a legacy server and an input request of a modern one. The user's consent can
be asked before each: by the security principles of the specification, a person decides what a server gets.
client/{sampling,elicitation,roots} of every revision.
"""

from __future__ import annotations

import functools
import os
import pathlib
import urllib.parse
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import attrs
import trio

from trimcp.actors.containment import answer_of, contained
from trimcp.actors.pool_call import PoolEnded, call_in
from trimcp.actors.supervisor import Supervisor
from trimcp.client.features.consent import (
    Ask,
    Consent,
    Form,
    M,
    ModelAnswer,
    ModelPrompt,
    Page,
    QuestionParams,
    Roots,
    ask_at_once,
    is_yes,
)
from trimcp.client.features.elicitation import QUESTIONS, wait_for_call
from trimcp.client.features.elicitation import Elicitation as ElicitationActor
from trimcp.client.features.peer_server import PeerServer
from trimcp.errors import ConnectionClosed, InvalidParams, InvalidResult, RequestFailed, UsageError
from trimcp.session.handler_actors import HandlerActors
from trimcp.types.capabilities import (
    ClientCapabilities,
    ClientTaskRequestsCapability,
    ClientTasksCapability,
    ElicitationCapability,
    ElicitationTasksCapability,
    RootsCapability,
    SamplingCapability,
    SamplingTasksCapability,
)
from trimcp.types.content import TextContent
from trimcp.types.elicitation import ElicitRequestFormParams, ElicitRequestURLParams, ElicitResult
from trimcp.types.jsonrpc import METHOD_NOT_FOUND
from trimcp.types.roots import ListRootsResult, Root
from trimcp.types.sampling import CreateMessageRequestParams, CreateMessageResult

if TYPE_CHECKING:
    from trimcp.codec.revisions import RevisionCodec
    from trimcp.types.input_required import InputRequest
    from trimcp.types.metadata import Implementation

T = TypeVar("T")

REJECTED: Final = -1
"""The code that tells a server that the user refused (client/sampling, "Error Handling")."""
ROUND_QUESTIONS: Final = 32
"""The most questions of one round of a request that requires input."""

Answer: TypeAlias = Awaitable[T] | T
"""What a function of the user returns: functions are async, or plain where they do not wait."""
Sampling = Callable[[CreateMessageRequestParams], Answer[CreateMessageResult | str]]
"""Answers with the client's model; a string is the text of an assistant's message."""
Elicitation = Callable[[ElicitRequestFormParams], Answer[ElicitResult | dict[str, Any] | None]]
"""Has the user fill in a form: returns the values, None for a no, or a whole result."""
Visit = Callable[[ElicitRequestURLParams], Answer[ElicitResult | bool]]
"""Shows the user a URL, and opens it if the user agrees: returns whether the user agreed, or a whole result."""
Folder = str | os.PathLike[str] | Root
"""A folder: a path, a `file://` URI, or a `Root`."""
RootsSource = Sequence[Folder] | Callable[[], Answer[Sequence[Folder]]]
"""Folders, or a function that gives them."""


@attrs.define(kw_only=True)
class ClientFeatures:
    """Holds the functions that were passed to `connect`. The client declares those that are not None."""

    sampling: Sampling | None = None
    sampling_tools: bool = False
    """Whether `sampling` can use tools (2025-11-25)."""
    elicitation: Elicitation | None = None
    visit: Visit | None = None
    roots: RootsSource | None = None
    consent: Consent | None = None
    server: PeerServer = attrs.field(factory=lambda: PeerServer("a server", "a server"))
    """The server that is answered, for questions about consent."""
    tasks: bool = False
    """Whether servers of 2025-11-25 may have the functions run as tasks."""
    _dialogs: ElicitationActor | None = attrs.field(init=False, default=None)
    _actors: HandlerActors | None = attrs.field(init=False, default=None)

    supervisor: Supervisor = attrs.field(init=False)
    """The supervisor of the client."""

    def live_in(self, supervisor: Supervisor) -> None:
        """Run the functions in handler actors of this supervisor: Sampling, Elicitation and Roots."""
        self.supervisor = supervisor
        self._actors = HandlerActors(supervisor, QUESTIONS)
        if self.elicitation is not None or self.visit is not None or self.consent is not None:
            self._dialogs = supervisor.add(ElicitationActor(supervisor))

    def met(self, claimed: Implementation | None) -> None:
        """Take in the name that the server gives itself."""
        self.server = attrs.evolve(self.server, claimed=claimed)

    async def agreed(self, matter: M, *, in_dialog: bool = False) -> M | None:
        """Return the matter as the consent allows it; None for a no.

        Args:
            matter: to be decided.
            in_dialog: whether the dialog with the user is open already.
        """
        if self.consent is None:
            return matter
        ask: Ask = ask_at_once if in_dialog or self._dialogs is None else self._ask_in_turn
        return await self.consent.agree(matter, ask)

    async def _ask_in_turn(self, handler: Callable[[], Awaitable[T]]) -> T:
        wait_for_call()  # a dialog may be open whose function makes this call
        return await self._ask_user(handler)

    def set_roots(self, roots: RootsSource) -> None:
        """Replace the roots.

        Raises:
            UsageError: a root is not a folder.
        """
        if not callable(roots):
            roots = [_root(root) for root in roots]
        self.roots = roots

    def capabilities(self) -> ClientCapabilities:
        """Return the capabilities that the client declares: one for each function."""
        sampling = SamplingCapability(tools={} if self.sampling_tools else None)
        elicitation = ElicitationCapability(
            form=None if self.elicitation is None else {}, url=None if self.visit is None else {}
        )
        asks_user = self.elicitation is not None or self.visit is not None
        tasks = ClientTasksCapability(
            list={},
            cancel={},
            requests=ClientTaskRequestsCapability(
                sampling=None if self.sampling is None else SamplingTasksCapability({}),
                elicitation=ElicitationTasksCapability({}) if asks_user else None,
            ),
        )
        return ClientCapabilities(
            roots=None if self.roots is None else RootsCapability(list_changed=True),
            sampling=None if self.sampling is None else sampling,
            elicitation=elicitation if asks_user else None,
            tasks=tasks if self.runs_tasks else None,
        )

    @property
    def runs_tasks(self) -> bool:
        """Whether a server of 2025-11-25 may have this client run tasks."""
        return self.tasks and (self.sampling or self.elicitation or self.visit) is not None

    def methods(self) -> set[str]:
        """Return the methods that the functions answer."""
        offered = {"sampling/createMessage": self.sampling, "roots/list": self.roots}
        methods = {method for method, function in offered.items() if function is not None}
        if self.elicitation is not None or self.visit is not None:
            methods.add("elicitation/create")
        return methods

    async def answer(self, method: str, params: QuestionParams) -> Any:
        """Answer one request of the server; return the result object.

        Raises:
            RequestFailed: the client does not offer the method, or its user refused.
        """
        if method == "sampling/createMessage" and isinstance(params, CreateMessageRequestParams):
            return await self._ask("sampling", functools.partial(self._sample, params))
        if method == "elicitation/create" and isinstance(params, ElicitRequestFormParams):
            return await self._ask_user(functools.partial(self._elicit, params))
        if method == "elicitation/create" and isinstance(params, ElicitRequestURLParams):
            return await self._ask_user(functools.partial(self._visit, params))
        if method == "roots/list":
            return await self._ask("roots", self._roots)
        raise _not_offered(method)

    async def answer_all(self, questions: Mapping[str, InputRequest], codec: RevisionCodec) -> dict[str, Any]:
        """Answer all input requests of one round, at once; return the raw input responses by key.

        Raises:
            InvalidResult: there are too many.
            RequestFailed: one was refused, by the user or since the client does not offer the method.
        """
        if len(questions) > ROUND_QUESTIONS:
            raise InvalidResult(
                [f"the server asks {len(questions)} questions at once; at most {ROUND_QUESTIONS} are answered"]
            )
        answers: dict[str, Any] = {}
        failures: list[Exception] = []

        async def answer(key: str, question: InputRequest, scope: trio.CancelScope) -> None:
            try:
                with contained(question.method):
                    result = await self.answer(question.method, question.params)  # type: ignore[arg-type]  # by method
                    answers[key] = codec.unstructure(result)
            except Exception as exc:  # noqa: BLE001 - a refusal, or an error of the user's function: raised below
                failures.append(exc)
                scope.cancel()

        async with trio.open_nursery() as nursery:
            for key, question in questions.items():
                nursery.start_soon(answer, key, question, nursery.cancel_scope)
        if failures:
            # A modern server cannot be told of a refusal: the request ends, and its caller gets the error.
            raise failures[0]
        missing = questions.keys() - answers.keys()
        if missing:
            # A handler has left a cancelled scope open in its task, and was cancelled by it.
            raise RuntimeError(f"{questions[missing.pop()].method} has ended without an answer")
        return answers

    async def _ask(self, actor: str, handler: Callable[[], Awaitable[Any]]) -> Any:
        if self._actors is None:
            return await handler()
        try:
            return await call_in(self._actors[actor], handler)
        except PoolEnded as exc:
            raise ConnectionClosed("the client has ended, and no longer answers its server") from exc

    async def _ask_user(self, handler: Callable[[], Awaitable[T]]) -> T:
        return await handler() if self._dialogs is None else await self._dialogs.ask(handler)

    async def _sample(self, params: CreateMessageRequestParams) -> CreateMessageResult:
        if self.sampling is None:
            raise _not_offered("sampling/createMessage")
        if (params.tools is not None or params.tool_choice is not None) and not self.sampling_tools:
            raise InvalidParams("This client did not declare sampling.tools")
        prompt = await self.agreed(ModelPrompt(self.server, params))
        if prompt is None:
            raise RequestFailed(REJECTED, "User rejected sampling request")
        message: CreateMessageResult | str = await answer_of(self.sampling, prompt.params)
        if isinstance(message, str):
            message = CreateMessageResult("assistant", TextContent(message), "unknown", "endTurn")
        answer = await self.agreed(ModelAnswer(self.server, prompt.params, message))
        if answer is None:
            raise RequestFailed(REJECTED, "User rejected the answer to the sampling request")
        return answer.result

    async def _elicit(self, params: ElicitRequestFormParams) -> ElicitResult:
        if self.elicitation is None:
            raise _mode_not_offered("form")
        if await self.agreed(Form(self.server, params), in_dialog=True) is None:
            return ElicitResult("decline")
        filled = await answer_of(self.elicitation, params)
        if isinstance(filled, ElicitResult):
            return filled
        return ElicitResult("decline") if filled is None else ElicitResult("accept", filled)

    async def _visit(self, params: ElicitRequestURLParams) -> ElicitResult:
        if self.visit is None:
            raise _mode_not_offered("url")
        if await self.agreed(Page(self.server, params), in_dialog=True) is None:
            return ElicitResult("decline")
        went = await answer_of(self.visit, params)
        if isinstance(went, ElicitResult):
            return went
        return ElicitResult("accept" if is_yes(went, "visit") else "decline")

    async def _roots(self) -> ListRootsResult:
        if self.roots is None:
            raise _not_offered("roots/list")
        given = await answer_of(self.roots) if callable(self.roots) else self.roots
        agreed = await self.agreed(Roots(self.server, [_root(root) for root in given]))
        if agreed is None:
            raise RequestFailed(REJECTED, "User rejected the request for roots")
        return ListRootsResult(list(agreed.roots))


def _root(given: Folder) -> Root:
    if isinstance(given, Root):
        return _checked(given)
    text = os.fspath(given)
    if "://" in text:
        return _checked(Root(text))
    path = pathlib.Path(os.path.abspath(text))  # without `..`
    return Root(path.as_uri(), path.name or None)


def _checked(root: Root) -> Root:
    """Refuse a root that is not a file URI, or leaves its folder (client/roots, "Security Considerations")."""
    uri = urllib.parse.urlsplit(root.uri)
    if uri.scheme != "file" or ".." in urllib.parse.unquote(uri.path).replace("\\", "/").split("/"):
        raise UsageError(f"invalid root {root.uri}: give a folder by its path, or by a file:// URI without ..")
    return root


def _mode_not_offered(mode: str) -> InvalidParams:
    """Return the error for a mode that was not declared: -32602 (client/elicitation of 2025-11-25)."""
    return InvalidParams(f"This client does not offer elicitation with mode {mode}")


def _not_offered(method: str) -> RequestFailed:
    return RequestFailed(METHOD_NOT_FOUND, f"This client does not offer {method}")
