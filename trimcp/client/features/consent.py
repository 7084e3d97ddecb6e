"""`Consent`: decides what a server gets of its client, and which of its tools are called.

By the security principles of the specification a person decides that. `trimcp.consent.Policy` is the implementation
that comes with trimcp; a plain function decides in simple cases. A `Matter` is what is to be decided.
"""

from __future__ import annotations

import abc
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar

import attrs

from trimcp.actors.containment import answer_of
from trimcp.client.features.peer_server import PeerServer
from trimcp.errors import UsageError
from trimcp.types.elicitation import ElicitRequestFormParams, ElicitRequestURLParams
from trimcp.types.roots import Root
from trimcp.types.sampling import CreateMessageRequestParams, CreateMessageResult
from trimcp.types.tools import Tool

T = TypeVar("T")

QuestionParams = CreateMessageRequestParams | ElicitRequestFormParams | ElicitRequestURLParams | None
"""The params of a server's request; None for `roots/list`."""
ConsentFunction = Callable[[str, QuestionParams], Awaitable[bool] | bool]
"""Decides whether a server may have what it requests: called with the method and its params."""


@attrs.frozen
class ToolCall:
    """A call of a tool, before it is sent. `tool` is None where the server does not list the tool."""

    server: PeerServer
    name: str
    arguments: dict[str, Any]
    tool: Tool | None


@attrs.frozen
class ModelPrompt:
    """A prompt of the server, before the model gets it."""

    server: PeerServer
    params: CreateMessageRequestParams


@attrs.frozen
class ModelAnswer:
    """The answer of the model, before the server gets it."""

    server: PeerServer
    params: CreateMessageRequestParams
    result: CreateMessageResult


@attrs.frozen
class Form:
    """A form, before the user sees it."""

    server: PeerServer
    params: ElicitRequestFormParams


@attrs.frozen
class Page:
    """A web page, before it is opened."""

    server: PeerServer
    params: ElicitRequestURLParams


@attrs.frozen
class Roots:
    """The folders that a server may work in, before it gets them."""

    server: PeerServer
    roots: Sequence[Root]


Matter = ToolCall | ModelPrompt | ModelAnswer | Form | Page | Roots
"""What is to be decided."""
M = TypeVar("M", ToolCall, ModelPrompt, ModelAnswer, Form, Page, Roots)


class Ask(Protocol):
    """Opens a dialog when its turn has come, and returns the answer of its handler; leaving it closes the dialog."""

    async def __call__(self, handler: Callable[[], Awaitable[T]], /) -> T: ...


async def ask_at_once(handler: Callable[[], Awaitable[T]]) -> T:
    """Ask in the dialog that is open already: an `Ask`."""
    return await handler()


class Consent(abc.ABC):
    """Decides each matter of a client: a person does, or a rule that a person has made."""

    @abc.abstractmethod
    async def agree(self, matter: M, ask: Ask) -> M | None:
        """Return the matter as it may happen, changed or not; None for a no.

        Args:
            matter: to be decided. A prompt, the answer to it and the roots may be changed.
            ask: opens a dialog with the user; questions outside of it do not wait for their turn.
        """

    def named(self, name: str) -> Consent:
        """Return the consent for the server that the program calls so, such as a member of a group."""
        return self


class FunctionConsent(Consent):
    """Decides by a function; it is called for the requests of servers, and not for tools."""

    def __init__(self, function: ConsentFunction) -> None:
        """`function` is called with the method and its params."""
        self._function = function

    async def agree(self, matter: M, ask: Ask) -> M | None:
        """See `Consent`."""
        if isinstance(matter, ToolCall | ModelAnswer):
            return matter
        if isinstance(matter, Roots):
            agreed = await answer_of(self._function, "roots/list", None)
        elif isinstance(matter, ModelPrompt):
            agreed = await answer_of(self._function, "sampling/createMessage", matter.params)
        else:
            params = matter.params
            agreed = await ask(lambda: answer_of(self._function, "elicitation/create", params))
        return matter if is_yes(agreed, "consent") else None


class ConsentInTurn(Consent):
    """Asks in the dialogs of a group, which opens one after the other."""

    def __init__(self, consent: Consent, ask: Ask) -> None:
        """`ask` opens a dialog of the group."""
        self._consent = consent
        self._ask = ask

    async def agree(self, matter: M, ask: Ask) -> M | None:
        """See `Consent`."""

        async def ask_both(handler: Callable[[], Awaitable[T]]) -> T:
            return await ask(lambda: self._ask(handler))

        return await self._consent.agree(matter, ask_both)

    def named(self, name: str) -> Consent:
        """See `Consent`."""
        return ConsentInTurn(self._consent.named(name), self._ask)


def consent_of(given: Consent | ConsentFunction | None) -> Consent | None:
    """Return the argument `consent` of `connect` as an object."""
    return given if given is None or isinstance(given, Consent) else FunctionConsent(given)


def is_yes(answer: object, function: str) -> bool:
    """Return whether a function of the user's agreed.

    Raises:
        UsageError: it returned neither a yes nor a no, but perhaps a coroutine that was not awaited.
    """
    if isinstance(answer, bool) or answer is None:
        return bool(answer)
    raise UsageError(f"{function} returned a {type(answer).__name__}: return True or False")
