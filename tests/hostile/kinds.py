"""The kinds of handlers on a server that may be hostile: for each, how it is declared and how it is called.

Every handler here is healthy or hostile by the word that the call brings, so that the two meet in one place.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import attrs

import trimcp
from tests.hostile.crowd import Strike, call_tool

HEALTHY: Final = "healthy"
HOSTILE: Final = "hostile"

Act = Callable[[], Awaitable[Any]]
"""The hostile function."""
Call = Callable[[trimcp.Client, str], Awaitable[Any]]
"""Calls the handler with one of the two words; returns what it returned."""
Declare = Callable[[trimcp.Server, Act], Call]


@attrs.frozen
class Kind:
    """One kind of handler."""

    name: str
    declare: Declare
    returns: bool = True
    """Whether the caller gets what the hostile function returned; else it gets the word."""

    def __str__(self) -> str:
        return self.name


KINDS: Final[dict[str, Kind]] = {}
"""Every kind by its name."""


def _kind(declare: Declare) -> Declare:
    name = declare.__name__.replace("_", " ")
    KINDS[name] = Kind(name, declare)
    return declare


async def act(word: str, hostile: Act) -> Any:
    """Does what the word says."""
    return await hostile() if word == HOSTILE else word


def misbehaving(call: Call) -> Strike:
    """The hostile call of a handler."""

    async def strike(client: trimcp.Client) -> Any:
        return await call(client, HOSTILE)

    return strike


def answers(call: Call) -> Strike:
    """The healthy call of a handler, which checks its answer."""

    async def checked(client: trimcp.Client) -> None:
        assert await call(client, HEALTHY) == HEALTHY

    return checked


# --- features -----------------------------------------------------------------------------


@_kind
def tool(server: trimcp.Server, hostile: Act) -> Call:
    """Declares a tool with arguments and a context."""

    @server.tool
    async def say(word: str, ctx: trimcp.Context) -> Any:
        return await act(word, hostile)

    return _says


async def _says(client: trimcp.Client, word: str) -> str:
    return await call_tool(client, "say", word=word)


@_kind
def resource(server: trimcp.Server, hostile: Act) -> Call:
    """Declares two resources."""

    @server.resource("word://hostile")
    async def misbehaves() -> Any:
        return await act(HOSTILE, hostile)

    @server.resource("word://healthy")
    async def behaves() -> Any:
        return await act(HEALTHY, hostile)

    return _reads


async def _reads(client: trimcp.Client, word: str) -> str:
    return (await client.read_resource(f"word://{word}")).text


@_kind
def template(server: trimcp.Server, hostile: Act) -> Call:
    """Declares a resource template."""

    @server.resource("word://{word}")
    async def read(word: str) -> Any:
        return await act(word, hostile)

    return _reads


@_kind
def prompt(server: trimcp.Server, hostile: Act) -> Call:
    """Declares a prompt."""

    @server.prompt
    async def say(word: str) -> Any:
        return await act(word, hostile)

    async def call(client: trimcp.Client, word: str) -> Any:
        (message,) = (await client.get_prompt("say", {"word": word})).messages
        return getattr(message.content, "text", message.content)

    return call


@_kind
def completion(server: trimcp.Server, hostile: Act) -> Call:
    """Declares how an argument is completed."""

    @server.prompt
    async def say(word: str) -> str:
        return word

    @server.completion("say", "word")
    async def complete(value: str) -> list[Any]:
        return [await act(value, hostile)]

    async def call(client: trimcp.Client, word: str) -> str:
        (value,) = (await client.complete("word", word, prompt="say")).values
        return value

    return call


# --- providers ----------------------------------------------------------------------------


@attrs.frozen
class Word:
    """What the providers provide."""

    text: str


def _word_of(ctx: trimcp.Context) -> str:
    """The word that a call of a tool brings; the tools of the town bring none."""
    return str((ctx.params.get("arguments") or {}).get("word"))


def _say_what_is_given(server: trimcp.Server) -> Call:
    @server.tool
    async def say(word: str, given: Word) -> str:
        return given.text

    return _says


@_kind
def provider(server: trimcp.Server, hostile: Act) -> Call:
    """Declares an async function as a provider."""

    @server.provider
    async def provide(ctx: trimcp.Context) -> Word:
        return Word(await act(_word_of(ctx), hostile))

    return _say_what_is_given(server)


@_kind
def provider_before_its_yield(server: trimcp.Server, hostile: Act) -> Call:
    """Declares a provider that cleans up, and acts before the call."""

    @server.provider
    async def provide(ctx: trimcp.Context) -> AsyncIterator[Word]:
        yield Word(await act(_word_of(ctx), hostile))

    return _say_what_is_given(server)


def _provider_after_its_yield(server: trimcp.Server, hostile: Act) -> Call:
    """Declares a provider that acts while it cleans up."""

    @server.provider
    async def provide(ctx: trimcp.Context) -> AsyncIterator[Word]:
        yield Word(_word_of(ctx))
        await act(_word_of(ctx), hostile)

    return _say_what_is_given(server)


KINDS["provider after its yield"] = Kind("provider after its yield", _provider_after_its_yield, returns=False)


# --- middleware ---------------------------------------------------------------------------


@_kind
def middleware_before(server: trimcp.Server, hostile: Act) -> Call:
    """Declares a middleware that acts before it goes on."""

    @server.middleware
    async def around(ctx: trimcp.Context, params: Any, proceed: trimcp.Proceed) -> Any:
        if _word_of(ctx) == HOSTILE:
            params.arguments["word"] = await hostile()
        return await proceed(params)

    return _say_the_word(server)


def _middleware_after(server: trimcp.Server, hostile: Act) -> Call:
    """Declares a middleware that acts after it has gone on."""

    @server.middleware
    async def around(ctx: trimcp.Context, params: Any, proceed: trimcp.Proceed) -> Any:
        result = await proceed(params)
        await act(_word_of(ctx), hostile)
        return result

    return _say_the_word(server)


KINDS["middleware after"] = Kind("middleware after", _middleware_after, returns=False)


def _say_the_word(server: trimcp.Server) -> Call:
    @server.tool
    async def say(word: str) -> str:
        return word

    return _says
