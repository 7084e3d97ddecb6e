"""An extension that answers calls of tools with tasks, built on what trimcp lets anybody build one with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import attrs
import trio

import trimcp
from trimcp.client.extension import UnfinishedCall
from trimcp.server.deferred_work import DeferredWork, detach
from trimcp.types import CallToolRequestParams, NotificationParams, RequestParams, Result

IDENTIFIER = "com.example/errands"


@attrs.define
class Errand(Result):
    """The answer in place of a tool's: come back later."""

    result_type: ClassVar[str | None] = "errand"

    errand_id: str
    status_message: str | None = None


@attrs.define
class ErrandParams(RequestParams):
    errand_id: str


@attrs.define
class ErrandState(Result):
    """How it stands; `outcome` is the tool's own result, once it is there."""

    errand_id: str
    status: str
    outcome: dict[str, Any] | None = None
    questions: dict[str, dict[str, Any]] | None = None


@attrs.define
class AnswerParams(RequestParams):
    errand_id: str
    responses: dict[str, dict[str, Any]]


@attrs.define
class ErrandNews(NotificationParams):
    errand_id: str
    status: str


GET = trimcp.ExtensionMethod("errands/get", ErrandParams, ErrandState, named_by="errandId")
ANSWER = trimcp.ExtensionMethod("errands/answer", AnswerParams, Result, named_by="errandId")
CANCEL = trimcp.ExtensionMethod("errands/cancel", ErrandParams, Result, named_by="errandId")
COUNT = trimcp.ExtensionMethod("errands/count", dict, dict, takes_place=False, needs_declared=False)
NEWS = trimcp.ExtensionNotification("notifications/errands", ErrandNews)
RESULT = trimcp.ExtensionResult(Errand, ["tools/call"])


@attrs.define
class Filling:
    kind: str


class Desk:
    """Where errands are kept while a server runs."""

    def __init__(self) -> None:
        self.states: dict[str, ErrandState] = {}
        self.works: dict[str, DeferredWork] = {}
        self.answers: dict[str, trio.MemorySendChannel[dict[str, Any]]] = {}


def server_side(revisions: Sequence[str] | None = None) -> trimcp.ServerExtension:
    """The extension as a server offers it."""

    @asynccontextmanager
    async def desk(server: trimcp.Server) -> AsyncIterator[Desk]:
        yield Desk()

    errands = trimcp.ServerExtension(IDENTIFIER, revisions=revisions, results=[RESULT], sends=[NEWS], lifespan=desk)

    @errands.around("tools/call")
    async def defer(ctx: trimcp.Context, params: CallToolRequestParams, proceed: trimcp.Proceed) -> Any:
        desk: Desk = ctx.state_of(IDENTIFIER)
        if not params.name.startswith("slow"):
            return await proceed(params)
        id = f"errand-{len(desk.states) + 1}"
        desk.states[id] = ErrandState(id, "working")

        def becomes(status: str, **more: Any) -> None:
            desk.states[id] = ErrandState(id, status, **more)
            ctx.server.tell(NEWS, ErrandNews(id, status), topic="errandIds", key=id)

        answers, answered = trio.open_memory_channel[dict[str, Any]](1)
        desk.answers[id] = answers

        async def ask(questions: Mapping[str, dict[str, Any]]) -> Mapping[str, Any]:
            becomes("asking", questions=dict(questions))
            responses = await answered.receive()
            becomes("working")
            return responses

        async def work() -> None:
            try:
                becomes("done", outcome=detached.encode(await detached.run()))
            except trimcp.RequestFailed as exc:
                becomes(f"failed: {exc.code}")

        detached = desk.works[id] = detach(ctx, proceed, params, ask=ask)
        ctx.start_job(work)
        return Errand(id, "on its way")

    @errands.method(GET)
    async def get(ctx: trimcp.Context, params: ErrandParams) -> ErrandState:
        desk: Desk = ctx.state_of(IDENTIFIER)
        state = desk.states.get(params.errand_id)
        if state is None:
            raise trimcp.InvalidParams("no such errand")
        return state

    @errands.method(ANSWER)
    async def answer(ctx: trimcp.Context, params: AnswerParams) -> Result:
        desk: Desk = ctx.state_of(IDENTIFIER)
        desk.answers[params.errand_id].send_nowait(params.responses)
        return Result()

    @errands.method(CANCEL)
    async def cancel(ctx: trimcp.Context, params: ErrandParams) -> Result:
        desk: Desk = ctx.state_of(IDENTIFIER)
        desk.works[params.errand_id].cancel()
        return Result()

    @errands.method(COUNT)
    def count(ctx: trimcp.Context, params: dict[str, Any]) -> dict[str, Any]:
        desk: Desk = ctx.state_of(IDENTIFIER)
        return {"errands": len(desk.states)}

    @errands.topic("errandIds")
    def known(ctx: trimcp.Context, ids: Sequence[str]) -> list[str]:
        desk: Desk = ctx.state_of(IDENTIFIER)
        return [id for id in ids if id in desk.states]

    return errands


def client_side(revisions: Sequence[str] | None = None) -> trimcp.ClientExtension:
    """The extension as a client takes part in it: calls of tools return when the errand is done."""
    errands = trimcp.ClientExtension(
        IDENTIFIER, revisions=revisions, sends=[GET, ANSWER, CANCEL, COUNT], receives=[NEWS]
    )

    @errands.finishes(RESULT)
    async def wait(client: trimcp.Client, call: UnfinishedCall, errand: Errand) -> dict[str, Any]:
        async with client.listen(more={"errandIds": [errand.errand_id]}) as notices:
            while True:
                state = await client.call(GET, ErrandParams(errand.errand_id), timeout=call.timeout)
                if state.outcome is not None:
                    return state.outcome
                if state.status.startswith("failed"):
                    raise trimcp.RequestFailed(int(state.status.partition(" ")[2]), "the errand failed")
                if state.questions is not None:
                    responses = await client.answer(state.questions)
                    await client.call(ANSWER, AnswerParams(errand.errand_id, responses))
                else:
                    await anext(notices)

    return errands


def shop(extension: trimcp.ServerExtension, **options: Any) -> trimcp.Server:
    """A server with a tool that is slow and one that is not."""
    server = trimcp.Server("shop", extensions=[extension], **options)

    @server.tool
    async def slow_bread(kind: str) -> str:
        """Bake."""
        await trio.lowlevel.checkpoint()
        return f"{kind} bread"

    @server.tool
    async def butter() -> str:
        """Fetch."""
        return "butter"

    @server.tool
    async def slow_cake(*, ctx: trimcp.Context) -> str:
        """Ask, and bake."""
        ctx.log("info", "nobody reads this")
        await ctx.progress(1, 2)
        number = await ctx.once("number", lambda: 7)
        answer = await ctx.elicit("With what?", Filling)
        again = await ctx.elicit("With what?", Filling)
        assert answer.data is not None
        return f"cake {number} with {answer.data.kind}, {again.action}"

    @server.tool(timeout=5)
    async def slow_forever() -> None:
        """Never come back."""
        await trio.sleep_forever()

    return server
