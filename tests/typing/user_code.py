"""What type checkers make of a program that uses trimcp. Never run: a test has it checked by mypy and pyright."""

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, assert_type

import trio

import trimcp
from trimcp.types import CallToolResult, Resource, Tool


@dataclass
class Point:
    x: float
    y: float


server = trimcp.Server("typed", limits=trimcp.Limits(session_requests=8))


@server.tool
async def move(point: Point, by: float = 1.0, *, ctx: trimcp.Context) -> Point:
    async for step in ctx.track([1, 2, 3], message="step {}"):
        assert_type(step, int)
    if ctx.cancel_reason is trimcp.CancelReason.DEADLINE:
        raise trimcp.ToolError("too slow")
    return Point(point.x + by, point.y)


@server.tool(title="Double", timeout=2.0)
def double(number: int) -> int:
    return 2 * number


# The decorators keep the type of the function.
assert_type(double(2), int)
moving: Callable[..., Coroutine[Any, Any, Point]] = move
double("2")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
server.tool(title=3)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


@server.middleware
async def through(ctx: trimcp.Context, params: Any, proceed: trimcp.Proceed) -> Any:
    return await proceed(params)


EXTENDED: trimcp.ExtensionMethod[dict[str, Any], dict[str, Any]] = trimcp.ExtensionMethod("a/b", dict, dict)
extension = trimcp.ServerExtension("com.example/a")


@extension.method(EXTENDED)
async def extended(ctx: trimcp.Context, params: dict[str, Any]) -> dict[str, Any]:
    return params


@server.may_subscribe
def may(uri: str, ctx: trimcp.Context) -> bool:
    return True


@server.on_roots_changed
async def changed(ctx: trimcp.SessionContext) -> None:
    await ctx.roots()


async def authenticate(request: trimcp.HttpRequest) -> trimcp.Principal | trimcp.Unauthenticated:
    if "authorization" not in request.headers:
        return trimcp.Unauthenticated(challenge=["Bearer", "Basic"])
    return trimcp.Principal("ada", client="editor", scopes={"read"}, claims={"a": 1}, expires_at=1.0)


@server.route("/metrics", methods=["GET"], authenticate=False)
async def metrics(request: trimcp.HttpRequest) -> trimcp.HttpReply:
    assert_type(request.principal, trimcp.Principal | None)
    return trimcp.HttpReply("ok", status=200, headers={"X-A": "b"})


measuring: Callable[[trimcp.HttpRequest], Coroutine[Any, Any, trimcp.HttpReply]] = metrics


class Login(trimcp.ClientAuth):
    async def headers(self, request: trimcp.AuthRequest) -> dict[str, str]:
        return {request.method: request.url}

    async def challenged(self, challenge: trimcp.AuthChallenge) -> bool:
        return challenge.status == 401 and challenge.www_authenticate is not None


async def token() -> str:
    return "token"


async def over_http() -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: server.serve_http(authenticate=authenticate))
        for auth in ("token", token, Login()):
            async with trimcp.connect("http://127.0.0.1:8000/mcp", auth=auth) as client:
                await client.call_tool("double")


async def main() -> None:
    async with trimcp.connect(server, timeouts=trimcp.Timeouts(request=5)) as client:
        assert_type(client, trimcp.Client)
        assert_type(await client.list_tools(), list[Tool])
        result = await client.call_tool("double", {"number": 2})
        assert_type(result, trimcp.ToolResult)
        assert_type(result.text, str)
        assert_type(result.raise_for_error().raw, CallToolResult)
        assert_type(await client.call_tool("double", {"number": 2}, returns=int), int)
        task = await client.call_tool("double", {"number": 2}, returns=int, task=True)
        assert_type(await task.result(), int)
        assert_type(await client.task("7").result(), trimcp.ToolResult)
        async for state in task:
            assert_type(state.message, str | None)
        assert_type(await client.call_tool("move", {}, returns=Point), Point)
        assert_type(await client.call_tool("list", returns=list[str]), list[str])
        maybe: int | None = await client.call_tool("double", {"number": 2}, returns=int | None)
        print(maybe, (await client.get_prompt("ask")).messages[0].content.text)
        async with client.notices() as notices:
            async for notice in notices:
                print(notice.level)
        assert_type(await client.request("tools/list"), dict[str, Any])

        assert_type(await client.call(EXTENDED, {}), dict[str, Any])

        async def slowly(progress: float, total: float | None, message: str | None) -> None:
            await trio.sleep(1)

        await client.call_tool("move", on_progress=slowly)
        await client.call_tool("move", on_progress=lambda progress, total, message: print(message))
        await client.call_tool("move", on_progress=print_it)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    async with server.running(), trio.open_nursery() as nursery:
        nursery.start_soon(server.serve_tcp)
        assert_type(await server.drain(), trimcp.DrainReport)


def print_it(progress: str) -> None:
    print(progress)


def failed(exc: trimcp.RequestFailed) -> int:
    return exc.code


program: Callable[[], Awaitable[None]] = main


# --- providers ----------------------------------------------------------------------------


class Books(trimcp.Provider):
    """A provider with pages of its own."""

    features = {"tools", "resources"}  # noqa: RUF012
    name = "books"

    async def list_tools(self, ctx: trimcp.Context, cursor: str | None) -> list[Tool]:
        return [Tool(name="lend", input_schema={"type": "object"})]

    async def find_tool(self, ctx: trimcp.Context, name: str) -> trimcp.ProvidedTool | None:
        (tool,) = await self.list_tools(ctx, None)
        return trimcp.ProvidedTool(tool, self.lend)

    async def lend(self, ctx: trimcp.Context, arguments: Mapping[str, Any]) -> str:
        self.notify_changed("resources")
        return str(arguments["book"])

    async def list_resources(self, ctx: trimcp.Context, cursor: str | None) -> trimcp.ProvidedPage[Resource]:
        return trimcp.ProvidedPage([Resource(uri="book://1", name="one")], "next")

    async def find_resource(self, ctx: trimcp.Context, uri: str) -> trimcp.ProvidedResource | None:
        return None


server.add_provider(Books(), timeout=None)
server.remove_provider(Books())
server.add_provider(len)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@server.tool
async def asks_a_model(ctx: trimcp.Context) -> str:
    await ctx.sample("Hello", max_token=3)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    return (await ctx.sample("Hello", max_tokens=3)).text


def names_that_do_not_exist() -> None:
    """A package that imports its names late must not make every name good for a type checker."""
    print(trimcp.Clent)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    print(trimcp.auth.OAut)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    print(trimcp.types.Tol)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    print(trimcp.telemetry.OpenTelemetr)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
