"""A server in a process of its own, whose spans and durations a collector takes over OTLP/HTTP."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
import trio
from opentelemetry.trace import SpanKind

import trimcp
from tests.programs import PATIENCE, ROOT
from tests.telemetry.collector import attributes_of, collecting
from tests.telemetry.conftest import Observed
from trimcp.observability.instruments import BUCKETS

SERVER, CLIENT = 2, 3
"""The kinds of spans, as numbers of OTLP."""
INSTRUMENT = shutil.which("opentelemetry-instrument", path=str(Path(sys.executable).parent))


@pytest.mark.skipif(INSTRUMENT is None, reason="opentelemetry-distro is not installed")
@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
async def test_a_collector_takes_the_spans_and_durations_of_a_process(version: str, observed: Observed) -> None:
    assert INSTRUMENT is not None
    program = str(Path(__file__).with_name("exported.py"))
    command = [INSTRUMENT, sys.executable, "-m", "trimcp", "run", "--otel", program]
    with collecting() as collector:
        environment = {
            "PYTHONPATH": str(ROOT),
            "OTEL_SERVICE_NAME": "adder",
            "OTEL_TRACES_EXPORTER": "otlp",
            "OTEL_METRICS_EXPORTER": "otlp",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
        }
        with trio.fail_after(PATIENCE):
            telemetry = observed.telemetry()
            async with trimcp.connect(command, env=environment, revision=version, telemetry=telemetry) as client:
                await client.call_tool("add", {"a": 1, "b": 2})
                await client.call_tool("refuse")
            # Sent when the process ends, and of the spans some before, if it takes long.
            while (
                "tools/call refuse",
                SERVER,
            ) not in collector.spans() or "mcp.server.session.duration" not in collector.histograms():
                await trio.sleep(0.05)
    asked = observed.span("tools/call add", SpanKind.CLIENT)
    received = collector.spans()["tools/call add", SERVER]
    assert asked.context is not None
    assert received.trace_id == asked.context.trace_id.to_bytes(16)
    assert received.parent_span_id == asked.context.span_id.to_bytes(8)
    found = attributes_of(received)
    assert found["gen_ai.tool.name"] == "add"
    assert found["network.transport"] == "pipe"
    assert found["mcp.protocol.version"] == version
    refused = collector.spans()["tools/call refuse", SERVER]
    assert attributes_of(refused)["error.type"] == "tool_error"
    (sent, *_) = collector.traces
    assert attributes_of(sent.resource_spans[0].resource)["service.name"] == "adder"
    points = collector.histograms()["mcp.server.operation.duration"].data_points
    by_tool = {attributes_of(point).get("gen_ai.tool.name"): point for point in points}
    assert by_tool["add"].count == 1
    assert tuple(by_tool["add"].explicit_bounds) == BUCKETS
    assert "error.type" not in attributes_of(by_tool["add"])
    assert collector.histograms()["mcp.server.session.duration"].data_points[0].count == 1
