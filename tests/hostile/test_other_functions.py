"""Hostile functions beside the handlers of requests: what is told, asked in passing, or runs on after an answer."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import pytest
import trio
from trio.testing import MockClock

import trimcp
from tests.hostile.crowd import STRIKES, Attack, Town, besiege, call_tool, in_time
from tests.hostile.doors import MEMORY, serving
from tests.hostile.functions import FEW, HOSTILE, SYNC, TELLING, Outcome, raises_a_kept_cancelled, stray_cancelled
from tests.hostile.kinds import HEALTHY, Call, act, answers, misbehaving
from tests.hostile.kinds import HOSTILE as WORD

pytestmark = pytest.mark.filterwarnings("ignore:Async generator .* was garbage collected:ResourceWarning")

STRAY: Final = "raises_a_stray_cancelled"
RAISING: Final = [STRAY, *(name for name, (_, outcome) in SYNC.items() if outcome is Outcome.FAILS)]
NAMES = pytest.mark.parametrize(
    ("door", "name"),
    [*(("memory", name) for name in RAISING), *(("memory session", name) for name in RAISING[:3])],
)


async def sync_function(name: str) -> Callable[[], Any]:
    """A sync function that raises, to be called in Trio's own thread."""
    if name == STRAY:
        return functools.partial(raises_a_kept_cancelled, await stray_cancelled())
    return SYNC[name][0]


# --- sync functions in Trio's thread ---------------------------------------------------------


@NAMES
async def test_a_sync_progress_callback_that_raises(door: str, name: str, autojump_clock: MockClock) -> None:
    run = await sync_function(name)

    async def call(client: trimcp.Client, word: str) -> str:
        def on_progress(progress: float, total: float | None, message: str | None) -> None:
            if word == WORD:
                run()

        return (await client.call_tool("report", {"word": word}, on_progress=on_progress)).raise_for_error().text

    async with in_time():
        town = Town()

        @town.server.tool
        async def report(word: str, ctx: trimcp.Context) -> str:
            await ctx.progress(1)
            return word

        async with serving(door, town.server) as service:
            attack = Attack(misbehaving(call), Outcome.FAILS)
            await besiege(town, service.connect, [attack] * STRIKES, healthy=answers(call))


@NAMES
async def test_a_may_subscribe_that_raises(door: str, name: str, autojump_clock: MockClock) -> None:
    run = await sync_function(name)
    async with in_time():
        town = Town()
        town.server.add_resource("word://hostile", "…")
        town.server.add_resource("word://healthy", "…")

        @town.server.may_subscribe
        def may(uri: str, ctx: trimcp.Context) -> bool:
            if uri.endswith(WORD):
                run()
            return True

        async def subscribe(client: trimcp.Client, word: str) -> str:
            await client.subscribe(f"word://{word}")
            await client.unsubscribe(f"word://{word}")
            return word

        async with serving(door, town.server) as service:
            attack = Attack(misbehaving(subscribe), Outcome.FAILS)
            await besiege(town, service.connect, [attack] * STRIKES, healthy=answers(subscribe))


@NAMES
async def test_a_method_of_an_extension_that_is_answered_at_once(
    door: str, name: str, autojump_clock: MockClock
) -> None:
    run = await sync_function(name)
    method = trimcp.ExtensionMethod("hostile/say", dict, dict, takes_place=False, needs_declared=False)
    extension = trimcp.ServerExtension("test.example/hostile")

    @extension.method(method)
    def say(ctx: trimcp.Context, params: dict[str, Any]) -> dict[str, Any]:
        if params["word"] == WORD:
            run()
        return {"word": params["word"]}

    async def call(client: trimcp.Client, word: str) -> str:
        return str((await client.request("hostile/say", {"word": word}))["word"])

    async with in_time():
        town = Town(extensions=[extension])
        async with serving(door, town.server) as service:
            attack = Attack(misbehaving(call), Outcome.FAILS)
            await besiege(town, service.connect, [attack] * STRIKES, healthy=answers(call))


# --- what is told --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in TELLING if HOSTILE[name].outcome is not Outcome.HANGS])
async def test_a_function_that_is_told_of_changed_roots(name: str, autojump_clock: MockClock) -> None:
    told: list[int] = []

    async def change(client: trimcp.Client) -> str:
        client.set_roots(["/town/hall"])
        await trio.sleep(1)
        return "told"

    async with in_time():
        town = Town()

        @town.server.on_roots_changed
        async def look_again(ctx: trimcp.SessionContext) -> None:
            told.append(1)
            await HOSTILE[name].run()

        async with serving("memory session", town.server, {"roots": []}) as service:
            attack = Attack(change, Outcome.SUCCEEDS, "told")
            await besiege(town, service.connect, [attack] * STRIKES, pause=1.0)
            before = len(told)
            async with service.connect() as client:
                await change(client)
                await change(client)
            assert len(told) == before + 2, "what is told next is not to blame"


async def test_a_session_that_ends_gives_back_the_place_of_what_its_functions_left_open(
    autojump_clock: MockClock,
) -> None:
    told: list[int] = []
    async with in_time():
        town = Town(limits=trimcp.Limits(server_requests=1))

        @town.server.on_roots_changed
        async def look_again(ctx: trimcp.SessionContext) -> None:
            told.append(1)
            await HOSTILE["keeps_a_generator_in_a_nursery"].run()

        async with serving("memory session", town.server, {"roots": []}) as service:
            for number in range(1, 4):
                async with service.connect() as client:
                    client.set_roots(["/town/hall"])
                    await trio.sleep(1)
                assert len(told) == number


@pytest.mark.parametrize("name", [name for name in TELLING if HOSTILE[name].outcome is Outcome.FAILS])
async def test_a_job_that_raises(name: str, autojump_clock: MockClock) -> None:
    async with in_time():
        town = Town()

        @town.server.tool
        async def begin(ctx: trimcp.Context) -> str:
            ctx.start_job(HOSTILE[name].run)
            await trio.sleep(1)
            return "begun"

        async with serving("memory", town.server) as service:
            attack = Attack(functools.partial(call_tool, name="begin"), Outcome.SUCCEEDS, "begun")
            await besiege(town, service.connect, [attack] * STRIKES)


@pytest.mark.parametrize("door", MEMORY)
@pytest.mark.parametrize("name", FEW)
async def test_a_step_that_is_done_once(door: str, name: str, autojump_clock: MockClock) -> None:
    hostile = HOSTILE[name]
    async with in_time():
        town = Town(deadline=trio.current_effective_deadline())

        @town.server.tool
        async def step(word: str, ctx: trimcp.Context) -> Any:
            return await ctx.once("step", lambda: act(word, hostile.run))

        async with serving(door, town.server) as service:
            attack = Attack(misbehaving(_stepping), hostile.outcome, hostile.value)
            await besiege(town, service.connect, [attack] * STRIKES, healthy=answers(_stepping), pause=10.0)


async def _stepping(client: trimcp.Client, word: str) -> str:
    return await call_tool(client, "step", word=word)


# --- providers and middleware that take part ----------------------------------------------------


class Ticket:
    """What the provider provides."""

    scope: trio.CancelScope


def _declare_swallowing(server: trimcp.Server, hostile: Callable[[], Awaitable[Any]]) -> dict[str, Call]:
    @server.provider
    async def swallow() -> AsyncIterator[Ticket]:
        with contextlib.suppress(BaseException):
            yield Ticket()

    @server.tool
    async def use(word: str, ticket: Ticket) -> Any:
        return await act(word, hostile)

    @server.resource("word://{word}")
    async def read(word: str, ticket: Ticket) -> Any:
        return await act(word, hostile)

    @server.prompt
    async def say(word: str, ticket: Ticket) -> Any:
        return await act(word, hostile)

    async def calls(client: trimcp.Client, word: str) -> str:
        return await call_tool(client, "use", word=word)

    async def reads(client: trimcp.Client, word: str) -> str:
        return (await client.read_resource(f"word://{word}")).text

    async def gets(client: trimcp.Client, word: str) -> Any:
        (message,) = (await client.get_prompt("say", {"word": word})).messages
        return getattr(message.content, "text", None)

    return {"tool": calls, "resource": reads, "prompt": gets}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *(("tool", name) for name in TELLING if HOSTILE[name].outcome in (Outcome.FAILS, Outcome.HANGS)),
        *((kind, name) for kind in ("resource", "prompt") for name in FEW[:-1]),
    ],
)
async def test_a_provider_that_swallows_what_the_call_raises(kind: str, name: str, autojump_clock: MockClock) -> None:
    hostile = HOSTILE[name]
    async with in_time():
        town = Town(deadline=trio.current_effective_deadline())
        call = _declare_swallowing(town.server, hostile.run)[kind]
        async with serving("memory", town.server) as service:
            attack = Attack(misbehaving(call), hostile.outcome)
            await besiege(town, service.connect, [attack] * STRIKES, healthy=answers(call), pause=10.0)


@pytest.mark.parametrize("by", ["provider", "middleware"])
@pytest.mark.parametrize("door", MEMORY)
async def test_a_handler_that_closes_a_scope_under_its_callers_feet(
    door: str, by: str, autojump_clock: MockClock
) -> None:
    scopes: list[trio.CancelScope] = []

    def leave_them() -> None:
        while scopes:
            scopes.pop().__exit__(None, None, None)

    async with in_time():
        town = Town(deadline=trio.current_effective_deadline())
        if by == "provider":

            @town.server.provider
            async def provide() -> AsyncIterator[Ticket]:
                with trio.CancelScope() as scope:
                    scopes.append(scope)
                    yield Ticket()

            @town.server.tool
            async def close(word: str, ticket: Ticket) -> str:
                if word == WORD:
                    leave_them()
                return word

        else:

            @town.server.middleware
            async def around(ctx: trimcp.Context, params: Any, proceed: trimcp.Proceed) -> Any:
                with trio.CancelScope() as scope:
                    scopes.append(scope)
                    return await proceed(params)

            @town.server.tool(name="close")
            async def close_it(word: str) -> str:
                if word == WORD:
                    leave_them()
                return word

        async def call(client: trimcp.Client, word: str) -> str:
            return await call_tool(client, "close", word=word)

        async with serving(door, town.server) as service:
            attack = Attack(misbehaving(call), Outcome.FAILS)
            async with service.connect() as client:
                await attack.make(client)
                assert await call(client, HEALTHY) == HEALTHY


@pytest.mark.parametrize("door", MEMORY)
async def test_a_middleware_that_goes_on_twice_or_too_late(door: str, autojump_clock: MockClock) -> None:
    late: list[trimcp.Proceed] = []

    async with in_time():
        town = Town(deadline=trio.current_effective_deadline())

        @town.server.middleware
        async def around(ctx: trimcp.Context, params: Any, proceed: trimcp.Proceed) -> Any:
            word = (ctx.params.get("arguments") or {}).get("word")
            if word == WORD:
                while late:
                    await late.pop()(params)
                late.append(proceed)
                await proceed(params)
            return await proceed(params)

        @town.server.tool
        async def say(word: str) -> str:
            return word

        async def call(client: trimcp.Client, word: str) -> str:
            return await call_tool(client, "say", word=word)

        async with serving(door, town.server) as service:
            attack = Attack(misbehaving(call), Outcome.MAY_FAIL, WORD)
            await besiege(town, service.connect, [attack] * STRIKES, healthy=answers(call))


@pytest.mark.parametrize("kind", ["returns nothing", "returns an object", "does not go on"])
async def test_a_middleware_that_returns_no_result(kind: str, autojump_clock: MockClock) -> None:
    async with in_time():
        town = Town(deadline=trio.current_effective_deadline())

        @town.server.middleware
        async def around(ctx: trimcp.Context, params: Any, proceed: trimcp.Proceed) -> Any:
            if (ctx.params.get("arguments") or {}).get("word") != WORD:
                return await proceed(params)
            if kind != "does not go on":
                await proceed(params)
            return object() if kind == "returns an object" else None

        @town.server.tool
        async def say(word: str) -> str:
            return word

        async def call(client: trimcp.Client, word: str) -> str:
            return await call_tool(client, "say", word=word)

        async with serving("memory", town.server) as service:
            attack = Attack(misbehaving(call), Outcome.FAILS)
            await besiege(town, service.connect, [attack] * STRIKES, healthy=answers(call))
