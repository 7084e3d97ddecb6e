"""The kinds of handlers on a client that may be hostile: for each, how it is given, and how a server comes to ask it.

A handler is healthy or hostile by the word that the server's question brings.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs

import trimcp
from tests.hostile.crowd import call_tool
from tests.hostile.kinds import HOSTILE, Act, Call, act
from trimcp.types.content import TextContent
from trimcp.types.elicitation import ElicitRequestFormParams, ElicitRequestURLParams
from trimcp.types.sampling import CreateMessageRequestParams

URL: Final = "https://town.example/"


@attrs.frozen
class ClientKind:
    """One kind of handler."""

    name: str
    given: Callable[[Act], dict[str, Any]]
    """Makes the arguments of `connect`."""
    call: Call
    """Calls the tool that asks, with one of the two words; returns what the handler returned, or the word."""
    returns: bool = True
    """Whether the caller gets what the hostile function returned; else it gets the word."""
    is_always_hostile: bool = False
    """Whether the question brings no word."""
    in_callers_task: bool = False
    """Whether the handler runs in the task that makes the call, in every era."""

    def __str__(self) -> str:
        return self.name


@attrs.frozen
class Form:
    """A form to fill in."""

    word: str


def declare(server: trimcp.Server) -> None:
    """Declares the tools that ask."""

    @server.tool
    async def sampling(word: str, ctx: trimcp.Context) -> str:
        return (await ctx.sample(word)).text

    @server.tool
    async def elicitation(word: str, ctx: trimcp.Context) -> str:
        answer = await ctx.elicit(word, Form)
        return "" if answer.data is None else answer.data.word

    @server.tool
    async def visit(word: str, ctx: trimcp.Context) -> str:
        answer = await ctx.elicit_url(word, URL, id=f"visit-{word}")
        return word if answer.accepted else ""

    @server.tool
    async def roots(word: str, ctx: trimcp.Context) -> str:
        (root,) = await ctx.roots()
        return root.uri.rpartition("/")[2].replace("%20", " ")

    @server.tool
    async def progress(word: str, ctx: trimcp.Context) -> str:
        await ctx.progress(1, 2, word)
        return word


def _asking(tool: str) -> Call:
    async def call(client: trimcp.Client, word: str) -> str:
        return await call_tool(client, tool, word=word)

    return call


def _sampled(params: CreateMessageRequestParams) -> str:
    (message,) = params.messages
    assert isinstance(message.content, TextContent)
    return message.content.text


def _sampling(hostile: Act) -> dict[str, Any]:
    async def sampling(params: CreateMessageRequestParams) -> Any:
        return await act(_sampled(params), hostile)

    return {"sampling": sampling}


def _elicitation(hostile: Act) -> dict[str, Any]:
    async def elicitation(params: ElicitRequestFormParams) -> Any:
        return {"word": await act(params.message, hostile)}

    return {"elicitation": elicitation}


def _visit(hostile: Act) -> dict[str, Any]:
    async def visit(params: ElicitRequestURLParams) -> bool:
        await act(params.message, hostile)
        return True

    return {"visit": visit}


def _roots(hostile: Act) -> dict[str, Any]:
    async def roots() -> list[str]:
        return [f"/town/{await hostile()}"]

    return {"roots": roots}


def _consent(hostile: Act) -> dict[str, Any]:
    async def sampling(params: CreateMessageRequestParams) -> str:
        return _sampled(params)

    async def consent(method: str, params: Any) -> bool:
        await act(_sampled(params), hostile)
        return True

    return {"sampling": sampling, "consent": consent}


def progress_of(hostile: Act) -> Call:
    """Makes a call with a progress callback that does what the word of each report says."""

    async def call(client: trimcp.Client, word: str) -> str:
        async def on_progress(progress: float, total: float | None, message: str | None) -> None:
            assert message is not None
            await act(message, hostile)

        result = await client.call_tool("progress", {"word": word}, on_progress=on_progress)
        return result.raise_for_error().text

    return call


CLIENT_KINDS: Final = {
    "sampling": ClientKind("sampling", _sampling, _asking("sampling")),
    "elicitation": ClientKind("elicitation", _elicitation, _asking("elicitation")),
    "visit": ClientKind("visit", _visit, _asking("visit"), returns=False),
    "roots": ClientKind("roots", _roots, _asking("roots"), is_always_hostile=True),
    "consent": ClientKind("consent", _consent, _asking("sampling"), returns=False),
}
"""Every kind by its name, but for progress callbacks, which are given to each call."""

__all__ = ["CLIENT_KINDS", "HOSTILE", "ClientKind", "declare", "progress_of"]
