"""Traces that go on: below the span of an instrumented ASGI application, and across a server that is a client."""

from __future__ import annotations

import functools
from typing import Any

import hypercorn.config
import hypercorn.trio
import pytest
import trio
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.trace import SpanKind

import trimcp
from tests.telemetry.conftest import Observed
from tests.telemetry.test_opentelemetry import both_eras, id_of, parent_of

PARENT = f"00-{'a' * 32}-{'b' * 16}-01"


@pytest.fixture
def server(observed: Observed) -> trimcp.Server:
    server = trimcp.Server("behind")
    server.use_telemetry(observed.telemetry())

    @server.tool
    async def add(a: int, b: int) -> int:
        return a + b

    return server


@both_eras
async def test_the_span_of_an_asgi_application_is_a_link_or_the_parent(
    version: str, server: trimcp.Server, observed: Observed
) -> None:
    app = OpenTelemetryMiddleware(
        server.asgi(), tracer_provider=observed.tracer_provider, meter_provider=observed.meter_provider
    )
    config = hypercorn.config.Config()
    config.bind = ["127.0.0.1:0"]
    async with trio.open_nursery() as nursery:
        (address,) = await nursery.start(functools.partial(hypercorn.trio.serve, app, config))  # type: ignore[arg-type]
        url = f"{address}/mcp"
        async with trimcp.connect(url, revision=version, telemetry=observed.telemetry()) as client:
            await client.call_tool("add", {"a": 1, "b": 2})
        async with trimcp.connect(url, revision=version, headers={"traceparent": PARENT}) as client:
            await client.call_tool("add", {"a": 1, "b": 2})
        nursery.cancel_scope.cancel()
    http = {id_of(span): span for span in observed.exporter.get_finished_spans() if span.name == "POST /mcp"}
    asked = observed.span("tools/call add", SpanKind.CLIENT)
    first, second = observed.spans("tools/call add", SpanKind.SERVER)
    assert parent_of(first) == id_of(asked)
    (link,) = first.links
    assert link.context.span_id in http
    around = parent_of(second)
    assert around in http
    assert parent_of(http[around]) == int("b" * 16, 16)
    assert not second.links


@both_eras
@pytest.mark.parametrize("front_version", ["2025-11-25", "2026-07-28"])
async def test_a_trace_goes_on_across_a_server_that_is_a_client(
    version: str, front_version: str, server: trimcp.Server, observed: Observed
) -> None:
    front = trimcp.Server("front")
    front.use_telemetry(observed.telemetry())
    telemetry = observed.telemetry()
    async with trimcp.connect(server, revision=version, telemetry=telemetry) as behind:

        @front.tool
        async def relay(a: int, b: int) -> Any:
            return (await behind.call_tool("add", {"a": a, "b": b})).structured

        async with trimcp.connect(front, revision=front_version, telemetry=telemetry) as client:
            with observed.tracer.start_as_current_span("outer"):
                await client.call_tool("relay", {"a": 1, "b": 2})
    chain = [
        observed.span("outer"),
        observed.span("tools/call relay", SpanKind.CLIENT),
        observed.span("tools/call relay", SpanKind.SERVER),
        observed.span("tools/call add", SpanKind.CLIENT),
        observed.span("tools/call add", SpanKind.SERVER),
    ]
    assert [parent_of(span) for span in chain[1:]] == [id_of(span) for span in chain[:-1]]
    assert len({span.context.trace_id for span in chain if span.context is not None}) == 1
