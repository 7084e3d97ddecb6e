"""The spans and the histograms of both roles, in both eras."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
import trio
from opentelemetry import baggage, context, trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode
from trio.testing import MockClock

import trimcp
from tests.telemetry.conftest import Observed
from trimcp.observability.instruments import BUCKETS

ERAS = ["2025-11-25", "2026-07-28"]
both_eras = pytest.mark.parametrize("version", ERAS)
PARENT = f"00-{'a' * 32}-{'b' * 16}-01"


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def id_of(span: ReadableSpan) -> int:
    found = span.context
    assert found is not None
    return found.span_id


def attributes_of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


@pytest.fixture
def server(observed: Observed) -> trimcp.Server:
    server = trimcp.Server("watched")
    server.use_telemetry(observed.telemetry())

    @server.tool
    async def add(a: int, b: int) -> int:
        with observed.tracer.start_as_current_span("inner"):
            return a + b

    @server.tool
    async def refuse() -> None:
        raise trimcp.ToolError("no")

    @server.tool
    async def echo() -> dict[str, Any]:
        return {"isError": True}

    @server.tool
    async def sleep() -> None:
        await trio.sleep_forever()

    @server.prompt
    async def greet() -> str:
        return "hello"

    @server.resource("note://one")
    async def note() -> str:
        return "a note"

    return server


@both_eras
async def test_a_call_is_one_trace_across_the_client_the_server_and_the_handler(
    version: str, server: trimcp.Server, observed: Observed
) -> None:
    async with trimcp.connect(server, revision=version, telemetry=observed.telemetry()) as client:
        with observed.tracer.start_as_current_span("outer"):
            await client.call_tool("add", {"a": 1, "b": 2})
        assert not trace.get_current_span().get_span_context().is_valid
    asked, received = observed.span("tools/call add", SpanKind.CLIENT), observed.span("tools/call add", SpanKind.SERVER)
    assert parent_of(asked) == id_of(observed.span("outer"))
    assert parent_of(received) == id_of(asked)
    assert parent_of(observed.span("inner")) == id_of(received)
    assert not received.links
    shared = {
        "mcp.method.name": "tools/call",
        "mcp.protocol.version": version,
        "gen_ai.tool.name": "add",
        "gen_ai.operation.name": "execute_tool",
    }
    for span in (asked, received):
        found = attributes_of(span)
        assert {key: found[key] for key in shared} == shared
        assert found["jsonrpc.request.id"].isdecimal()
        assert "error.type" not in found
        assert "gen_ai.tool.call.arguments" not in found
        assert span.status.status_code is StatusCode.UNSET


@both_eras
async def test_a_request_is_named_by_its_prompt_and_has_its_resource(
    version: str, server: trimcp.Server, observed: Observed
) -> None:
    async with trimcp.connect(server, revision=version) as client:
        await client.get_prompt("greet")
        await client.read_resource("note://one")
    assert attributes_of(observed.span("prompts/get greet"))["gen_ai.prompt.name"] == "greet"
    read = observed.span("resources/read")
    assert attributes_of(read)["mcp.resource.uri"] == "note://one"
    assert read.kind is SpanKind.SERVER
    begun = "initialize" if version == "2025-11-25" else "server/discover"
    assert observed.span(begun).status.status_code is StatusCode.UNSET


@both_eras
async def test_errors_have_their_type(version: str, server: trimcp.Server, observed: Observed) -> None:
    async with trimcp.connect(server, revision=version, telemetry=observed.telemetry()) as client:
        await client.call_tool("refuse")
        await client.call_tool("echo")
        with pytest.raises(trimcp.RequestFailed):
            await client.call_tool("unknown")
        with pytest.raises(trimcp.RequestFailed):
            await client.request("made/up")
    for kind in (SpanKind.CLIENT, SpanKind.SERVER):
        refused = observed.span("tools/call refuse", kind)
        assert attributes_of(refused)["error.type"] == "tool_error"
        assert refused.status.status_code is StatusCode.ERROR
        assert "error.type" not in attributes_of(observed.span("tools/call echo", kind))
        unknown = attributes_of(observed.span("tools/call unknown", kind))
        assert unknown["error.type"] == unknown["rpc.response.status_code"] == "-32602"
        other = attributes_of(observed.span("made/up" if kind is SpanKind.CLIENT else "_OTHER", kind))
        assert other["error.type"] == other["rpc.response.status_code"] == "-32601"


@both_eras
async def test_a_cancelled_request_is_an_error_at_both_ends(
    version: str, server: trimcp.Server, observed: Observed, autojump_clock: MockClock
) -> None:
    async with trimcp.connect(server, revision=version, telemetry=observed.telemetry()) as client:
        with trio.move_on_after(1):
            await client.call_tool("sleep")
        with pytest.raises(trimcp.RequestTimedOut):
            await client.call_tool("sleep", timeout=1)
        await client.call_tool("add", {"a": 1, "b": 2})
    for span in observed.spans("tools/call sleep", SpanKind.SERVER):
        assert attributes_of(span)["error.type"] == "cancelled"
        assert span.status.status_code is StatusCode.ERROR
    types = [attributes_of(span)["error.type"] for span in observed.spans("tools/call sleep", SpanKind.CLIENT)]
    assert types == ["cancelled", "timeout"]
    assert parent_of(observed.span("tools/call add", SpanKind.SERVER)) is not None


async def test_what_a_server_asks_is_a_client_span_below_its_request(observed: Observed) -> None:
    server = trimcp.Server("asking")
    server.use_telemetry(observed.telemetry())

    @server.tool
    async def ask(ctx: trimcp.Context) -> str:
        return str(await ctx.roots())

    async with trimcp.connect(server, revision="2025-11-25", roots=[], telemetry=observed.telemetry()) as client:
        await client.call_tool("ask")
    asked, answered = observed.span("roots/list", SpanKind.CLIENT), observed.span("roots/list", SpanKind.SERVER)
    assert parent_of(asked) == id_of(observed.span("tools/call ask", SpanKind.SERVER))
    assert parent_of(answered) == id_of(asked)


@both_eras
async def test_contexts_pass_into_nurseries_and_threads(version: str, observed: Observed) -> None:
    server = trimcp.Server("nested")
    server.use_telemetry(observed.telemetry())
    seen: dict[str, Any] = {}

    def look(key: str) -> None:
        seen[key] = (trace.get_current_span().get_span_context().span_id, baggage.get_baggage("user"))

    async def child(key: str) -> None:
        look(key)

    @server.tool
    async def nested(key: str, others: int) -> None:
        await trio.lowlevel.checkpoint()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child, key)
            nursery.start_soon(trio.lowlevel.checkpoint)
        await trio.to_thread.run_sync(functools.partial(look, f"{key} in a thread"))

    @server.tool
    def plain() -> None:
        look("plain")

    async with trimcp.connect(server, revision=version, telemetry=observed.telemetry()) as client:
        token = context.attach(baggage.set_baggage("user", "ann"))
        async with trio.open_nursery() as nursery:
            for key in "abc":
                nursery.start_soon(client.call_tool, "nested", {"key": key, "others": 1})
        await client.call_tool("plain")
        context.detach(token)
    spans = {id_of(span) for span in observed.spans("tools/call nested", SpanKind.SERVER)}
    assert {seen[key][0] for key in "abc"} == spans
    assert all(seen[key] == seen[f"{key} in a thread"] for key in "abc")
    assert seen["plain"] == (id_of(observed.span("tools/call plain", SpanKind.SERVER)), "ann")


@both_eras
async def test_a_malformed_trace_context_is_ignored(version: str, server: trimcp.Server, observed: Observed) -> None:
    async with trimcp.connect(server, revision=version) as client:
        for meta in ({"traceparent": 7}, {"traceparent": "00-no"}, {"traceparent": PARENT, "tracestate": []}):
            await client.call_tool("add", {"a": 1, "b": 2}, meta=meta)
    first, second, third = observed.spans("tools/call add")
    assert first.parent is None
    assert second.parent is None
    assert third.parent is not None
    assert third.parent.trace_id == int("a" * 32, 16)


@both_eras
async def test_a_context_that_the_program_gives_is_not_replaced(
    version: str, server: trimcp.Server, observed: Observed
) -> None:
    async with trimcp.connect(server, revision=version, telemetry=observed.telemetry()) as client:
        await client.call_tool("add", {"a": 1, "b": 2}, meta={"traceparent": PARENT})
    assert parent_of(observed.span("tools/call add", SpanKind.SERVER)) == int("b" * 16, 16)


@both_eras
async def test_over_http_the_header_is_a_link_or_the_parent(
    version: str, server: trimcp.Server, observed: Observed
) -> None:
    async with trio.open_nursery() as nursery:
        _, port = await nursery.start(functools.partial(server.serve_http, 0))
        url, headers = f"http://127.0.0.1:{port}/mcp", {"traceparent": PARENT}
        async with trimcp.connect(url, revision=version, headers=headers, telemetry=observed.telemetry()) as client:
            await client.call_tool("add", {"a": 1, "b": 2})
        async with trimcp.connect(url, revision=version, headers=headers) as client:
            await client.call_tool("refuse")
        await server.drain()
    asked, received = observed.span("tools/call add", SpanKind.CLIENT), observed.span("tools/call add", SpanKind.SERVER)
    assert parent_of(received) == id_of(asked)
    # In 2026-07-28 the client mirrors the context of its span into the header field.
    links = [int("b" * 16, 16)] if version == "2025-11-25" else []
    assert [link.context.span_id for link in received.links] == links
    alone = observed.span("tools/call refuse")
    assert parent_of(alone) == int("b" * 16, 16)
    assert not alone.links
    found = attributes_of(asked)
    assert found["network.transport"] == "tcp"
    assert found["network.protocol.name"] == "http"
    assert found["server.address"] == "127.0.0.1"
    assert found["server.port"] == port
    assert attributes_of(received)["client.address"] == "127.0.0.1"


@both_eras
@pytest.mark.parametrize(
    ("transport", "kind"), [("tcp", "tcp"), ("unix", "unix"), ("websocket", "tcp"), ("hypercorn", "tcp")]
)
async def test_a_trace_goes_on_over_every_transport(
    version: str, transport: str, kind: str, server: trimcp.Server, observed: Observed, tmp_path: Path
) -> None:
    serve: Any = {
        "tcp": server.serve_tcp,
        "unix": functools.partial(server.serve_unix, tmp_path / "s"),
        "websocket": functools.partial(server.serve_websocket, 0),
        "hypercorn": functools.partial(server.serve_hypercorn, 0),
    }[transport]
    async with trio.open_nursery() as nursery:
        address = await nursery.start(serve)
        url = {
            "tcp": f"tcp://127.0.0.1:{address[1]}",
            "unix": f"unix:{address}",
            "websocket": f"ws://127.0.0.1:{address[1]}/mcp",
            "hypercorn": f"http://127.0.0.1:{address[1]}/mcp",
        }[transport]
        async with trimcp.connect(url, revision=version, telemetry=observed.telemetry()) as client:
            await client.call_tool("add", {"a": 1, "b": 2})
        await server.drain(0)
    asked, received = observed.span("tools/call add", SpanKind.CLIENT), observed.span("tools/call add", SpanKind.SERVER)
    assert parent_of(received) == id_of(asked)
    assert attributes_of(asked)["network.transport"] == attributes_of(received)["network.transport"] == kind


@both_eras
async def test_durations_have_the_buckets_and_bounded_attributes(
    version: str, server: trimcp.Server, observed: Observed
) -> None:
    async with trimcp.connect(server, revision=version, telemetry=observed.telemetry()) as client:
        await client.call_tool("refuse")
        for name in ("x1", "x2", "x3"):
            with pytest.raises(trimcp.RequestFailed):
                await client.call_tool(name)
            with pytest.raises(trimcp.RequestFailed):
                await client.request(f"made/up{name}")
    for side in ("client", "server"):
        points = observed.points(f"mcp.{side}.operation.duration")
        assert all(bounds == BUCKETS for _, _, bounds in points)
        assert {attributes.get("gen_ai.tool.name") for attributes, _, _ in points} == {None, "refuse"}
        assert not any("jsonrpc.request.id" in attributes for attributes, _, _ in points)
        ((_, count, bounds),) = observed.points(f"mcp.{side}.session.duration")
        assert (count, bounds) == (1, BUCKETS)
    methods = [a["mcp.method.name"] for a, _, _ in observed.points("mcp.server.operation.duration")]
    assert methods.count("_OTHER") == 1
    assert not any(method.startswith("made/up") for method in methods)


async def test_a_listen_is_one_span_that_ends_with_it(server: trimcp.Server, observed: Observed) -> None:
    async with trimcp.connect(server, revision="2026-07-28", telemetry=observed.telemetry()) as client:
        async with client.listen(tools=True):
            assert not observed.spans("subscriptions/listen")
        await client.call_tool("add", {"a": 1, "b": 2})
    for kind in (SpanKind.CLIENT, SpanKind.SERVER):
        assert attributes_of(observed.span("subscriptions/listen", kind))["error.type"] == "cancelled"


async def test_arguments_are_attributes_only_where_asked(observed: Observed) -> None:
    server = trimcp.Server("open")
    server.use_telemetry(observed.telemetry(arguments=True))

    @server.tool
    async def double(a: int) -> int:
        return 2 * a

    async with trimcp.connect(server) as client:
        await client.call_tool("double", {"a": 3})
    assert attributes_of(observed.span("tools/call double"))["gen_ai.tool.call.arguments"] == '{"a":3}'


async def test_an_exception_of_a_handler_is_in_the_span(observed: Observed) -> None:
    server = trimcp.Server("broken")
    server.use_telemetry(observed.telemetry())

    @server.resource("note://one")
    async def note() -> str:
        raise ZeroDivisionError("of the test")

    async with trimcp.connect(server) as client:
        with pytest.raises(trimcp.RequestFailed):
            await client.read_resource("note://one")
    span = observed.span("resources/read")
    assert attributes_of(span)["error.type"] == "-32603"
    (event,) = span.events
    assert dict(event.attributes or {})["exception.type"] == "ZeroDivisionError"


async def test_telemetry_is_used_once_and_before_the_server_runs(server: trimcp.Server, observed: Observed) -> None:
    with pytest.raises(trimcp.UsageError, match="use_telemetry"):
        server.use_telemetry(observed.telemetry())
    other = trimcp.Server("late")
    async with other.running():
        with pytest.raises(trimcp.UsageError, match="use_telemetry"):
            other.use_telemetry(observed.telemetry())
