"""What a server may ask of the client's user, model and files: the functions that answer.

The same functions answer a request of a legacy server and an input request of a modern one.
Before each, the user's consent can be asked (the specification's security principles want that
a person decides what a server gets). client/{sampling,elicitation,roots} of every revision.
"""

from __future__ import annotations

import functools
import os
import pathlib
import urllib.parse
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import attrs

from trimcp.actors.pool_call import PoolEnded, call_in
from trimcp.actors.supervisor import Supervisor
from trimcp.client.features.elicitation import QUESTIONS
from trimcp.client.features.elicitation import Elicitation as ElicitationActor
from trimcp.errors import ConnectionClosed, InvalidParams, RequestFailed, UsageError
from trimcp.session.handler_actors import HandlerActors
from trimcp.types.capabilities import ClientCapabilities, ElicitationCapability, RootsCapability, SamplingCapability
from trimcp.types.content import TextContent
from trimcp.types.elicitation import ElicitRequestFormParams, ElicitRequestURLParams, ElicitResult
from trimcp.types.jsonrpc import METHOD_NOT_FOUND
from trimcp.types.roots import ListRootsResult, Root
from trimcp.types.sampling import CreateMessageRequestParams, CreateMessageResult

REJECTED: Final = -1
"""The code that tells a server that the user refused (client/sampling, "Error Handling")."""

Sampling = Callable[[CreateMessageRequestParams], Awaitable[CreateMessageResult | str]]
"""Answers with the client's model; a string is the text of an assistant's message."""
Elicitation = Callable[[ElicitRequestFormParams], Awaitable[ElicitResult | dict[str, Any] | None]]
"""Has the user fill in a form: what was filled in, None for a no, or a whole result."""
Visit = Callable[[ElicitRequestURLParams], Awaitable[ElicitResult | bool]]
"""Shows the user a URL, and goes there if the user agrees: whether that is so, or a whole result."""
RootsSource = Sequence[str | os.PathLike[str] | Root] | Callable[[], Awaitable[Sequence[str | os.PathLike[str] | Root]]]
"""Folders (paths or file URIs), or a function that gives them."""
Asked = CreateMessageRequestParams | ElicitRequestFormParams | ElicitRequestURLParams | None
Consent = Callable[[str, Asked], Awaitable[bool]]
"""Whether a server may have what it asks for: called with the method and its params."""


@attrs.define(kw_only=True)
class Handlers:
    """The functions that the user of a client passed; what is None is not offered to servers."""

    sampling: Sampling | None = None
    sampling_tools: bool = False
    """Whether `sampling` knows what to do with tools (2025-11-25)."""
    elicitation: Elicitation | None = None
    visit: Visit | None = None
    roots: RootsSource | None = None
    consent: Consent | None = None
    _dialogs: ElicitationActor | None = attrs.field(init=False, default=None)
    _actors: HandlerActors | None = attrs.field(init=False, default=None)

    def live_in(self, supervisor: Supervisor) -> None:
        """Have the functions run in handler actors of this supervisor: Sampling, Elicitation and Roots."""
        self._actors = HandlerActors(supervisor, QUESTIONS)
        if self.elicitation is not None or self.visit is not None:
            self._dialogs = supervisor.add(ElicitationActor(supervisor))

    def set_roots(self, roots: RootsSource) -> None:
        """Have other roots from now on.

        Raises:
            UsageError: one of them is no folder.
        """
        if not callable(roots):
            roots = [_root(root) for root in roots]
        self.roots = roots

    def capabilities(self) -> ClientCapabilities:
        """What the client declares: what it has functions for."""
        sampling = SamplingCapability(tools={} if self.sampling_tools else None)
        elicitation = ElicitationCapability(
            form=None if self.elicitation is None else {}, url=None if self.visit is None else {}
        )
        asks_user = self.elicitation is not None or self.visit is not None
        return ClientCapabilities(
            roots=None if self.roots is None else RootsCapability(list_changed=True),
            sampling=None if self.sampling is None else sampling,
            elicitation=elicitation if asks_user else None,
        )

    def methods(self) -> set[str]:
        """The requests of servers that there are functions for."""
        offered = {"sampling/createMessage": self.sampling, "roots/list": self.roots}
        methods = {method for method, function in offered.items() if function is not None}
        if self.elicitation is not None or self.visit is not None:
            methods.add("elicitation/create")
        return methods

    async def answer(self, method: str, params: Asked) -> Any:
        """Answer one question of a server; the result object.

        Raises:
            RequestFailed: the client does not offer that, or its user refused.
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

    async def _ask(self, actor: str, handler: Callable[[], Awaitable[Any]]) -> Any:
        if self._actors is None:
            return await handler()
        try:
            return await call_in(self._actors.of(actor), handler)
        except PoolEnded as exc:
            raise ConnectionClosed("the client has ended, and with it the questions to it") from exc

    async def _ask_user(self, handler: Callable[[], Awaitable[Any]]) -> Any:
        return await handler() if self._dialogs is None else await self._dialogs.ask(handler)

    async def _agreed(self, method: str, params: Asked) -> bool:
        return self.consent is None or _is_yes(await self.consent(method, params), "consent")

    async def _sample(self, params: CreateMessageRequestParams) -> CreateMessageResult:
        if self.sampling is None:
            raise _not_offered("sampling/createMessage")
        if (params.tools is not None or params.tool_choice is not None) and not self.sampling_tools:
            raise InvalidParams("This client did not declare sampling.tools")
        if not await self._agreed("sampling/createMessage", params):
            raise RequestFailed(REJECTED, "User rejected sampling request")
        said = await self.sampling(params)
        if isinstance(said, str):
            return CreateMessageResult("assistant", TextContent(said), "unknown", "endTurn")
        return said

    async def _elicit(self, params: ElicitRequestFormParams) -> ElicitResult:
        if self.elicitation is None:
            raise _mode_not_offered("form")
        if not await self._agreed("elicitation/create", params):
            return ElicitResult("decline")
        filled = await self.elicitation(params)
        if isinstance(filled, ElicitResult):
            return filled
        return ElicitResult("decline") if filled is None else ElicitResult("accept", filled)

    async def _visit(self, params: ElicitRequestURLParams) -> ElicitResult:
        if self.visit is None:
            raise _mode_not_offered("url")
        if not await self._agreed("elicitation/create", params):
            return ElicitResult("decline")
        went = await self.visit(params)
        if isinstance(went, ElicitResult):
            return went
        return ElicitResult("accept" if _is_yes(went, "visit") else "decline")

    async def _roots(self) -> ListRootsResult:
        if self.roots is None:
            raise _not_offered("roots/list")
        if not await self._agreed("roots/list", None):
            raise RequestFailed(REJECTED, "User rejected the request for roots")
        given = await self.roots() if callable(self.roots) else self.roots
        return ListRootsResult([_root(root) for root in given])


def _is_yes(answer: object, function: str) -> bool:
    """Whether a function of the user's agreed; what is neither a yes nor a no is not taken for a yes.

    Raises:
        UsageError: it is neither, such as a coroutine that was not awaited.
    """
    if isinstance(answer, bool) or answer is None:
        return bool(answer)
    raise UsageError(f"{function} returned a {type(answer).__name__}: return True or False")


def _root(given: str | os.PathLike[str] | Root) -> Root:
    if isinstance(given, Root):
        return _checked(given)
    text = os.fspath(given)
    if "://" in text:
        return _checked(Root(text))
    path = pathlib.Path(os.path.abspath(text))  # without `..`
    return Root(path.as_uri(), path.name or None)


def _checked(root: Root) -> Root:
    """client/roots, "Security Considerations": a root is a file URI, and does not climb."""
    uri = urllib.parse.urlsplit(root.uri)
    if uri.scheme != "file" or ".." in urllib.parse.unquote(uri.path).replace("\\", "/").split("/"):
        raise UsageError(f"a root is a folder, by its path or file:// URI without .., and {root.uri} is none")
    return root


def _mode_not_offered(mode: str) -> InvalidParams:
    """client/elicitation of 2025-11-25: a mode that was not declared is -32602."""
    return InvalidParams(f"This client does not offer elicitation with mode {mode}")


def _not_offered(what: str) -> RequestFailed:
    return RequestFailed(METHOD_NOT_FOUND, f"This client does not offer {what}")
