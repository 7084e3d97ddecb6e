"""The page of metrics, as the parser of Prometheus reads it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import httpx2
import prometheus_client
import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families
from trio.testing import MockClock

import trimcp
from trimcp.observability.instruments import REFUSED, Instruments
from trimcp.server.metrics import MetricsPage

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def samples_of(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


async def page_of(page: MetricsPage) -> Samples:
    reply = await page.reply(None)  # type: ignore[arg-type]  # it reads nothing of the request
    assert isinstance(reply.body, bytes)
    return samples_of(reply.body.decode())


@pytest.fixture
def server() -> trimcp.Server:
    server = trimcp.Server("measured")

    @server.tool
    async def sleep(seconds: float) -> None:
        await trio.sleep(seconds)

    return server


@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
async def test_the_page_has_what_happened(version: str, server: trimcp.Server, autojump_clock: MockClock) -> None:
    page = MetricsPage(server._runs.instruments, server)
    async with trimcp.connect(server, revision=version) as client, trio.open_nursery() as nursery:
        await client.call_tool("sleep", {"seconds": 0.3})
        await client.call_tool("sleep", {"seconds": 3})
        for name in ("made/up", "other/one"):
            with pytest.raises(trimcp.RequestFailed):
                await client.request(name)
        with trio.move_on_after(1):
            await client.call_tool("sleep", {"seconds": 9})
        await trio.sleep(1)
        nursery.start_soon(client.call_tool, "sleep", {"seconds": 5})
        await trio.sleep(1)
        samples = await page_of(page)
    assert value(samples, "trimcp_requests_total", method="tools/call", outcome="ok") == 2
    assert value(samples, "trimcp_requests_total", method="tools/call", outcome="cancelled") == 1
    assert value(samples, "trimcp_requests_refused_total", method="_OTHER", reason="unfit") == 2
    assert value(samples, "trimcp_sessions") == 1
    assert value(samples, "trimcp_requests_in_flight") == 1
    assert value(samples, "trimcp_writer_bytes") == 0
    assert value(samples, "trimcp_mailbox_messages", actor="router") == 0
    duration = "mcp_server_operation_duration_seconds"
    buckets = [
        value(samples, f"{duration}_bucket", mcp_method_name="tools/call", le=bound) for bound in ("0.2", "0.5", "2.0")
    ]
    assert buckets == [0, 1, 2]
    assert value(samples, f"{duration}_bucket", mcp_method_name="tools/call", le="+Inf") == 3
    assert value(samples, f"{duration}_count", mcp_method_name="tools/call") == 3
    assert value(samples, f"{duration}_sum", mcp_method_name="tools/call") == pytest.approx(4.3, abs=0.01)


async def test_names_of_peers_make_no_series_without_end() -> None:
    meter = Instruments().lasting_meter()
    for number in range(REFUSED + 10):
        meter.refused(f"made/up{number}", "unfit")
    refused = meter.read().refused
    assert len(refused) == REFUSED + 1
    assert refused["_OTHER", "unfit"] == 10


async def test_the_meter_of_the_pages_is_one(server: trimcp.Server) -> None:
    instruments = server._runs.instruments
    assert not instruments.meters
    MetricsPage(instruments, server)
    MetricsPage(instruments, server)
    assert len(instruments.meters) == 1
    assert not [name for name in prometheus_client.REGISTRY._names_to_collectors if name.startswith(("trimcp", "mcp_"))]


async def test_a_route_of_the_server_and_an_address_of_its_own(server: trimcp.Server) -> None:
    async def authenticate(request: trimcp.HttpRequest) -> str:
        if request.headers.get("authorization") != "Bearer good":
            raise trimcp.Unauthenticated
        return "ann"

    options: dict[str, Any] = {"metrics": True, "authenticate": authenticate, "health": True}
    async with server.running(), trio.open_nursery() as nursery, httpx2.AsyncClient() as http:
        _, port = await nursery.start(functools.partial(server.serve_http, 0, **options))
        _, own = await nursery.start(functools.partial(server.serve_metrics, 0))
        refused = await http.get(f"http://127.0.0.1:{port}/metrics")
        assert refused.status_code == 401
        for url, headers in (
            (f"http://127.0.0.1:{port}/metrics", {"authorization": "Bearer good"}),
            (f"http://127.0.0.1:{own}/metrics", {}),
        ):
            reply = await http.get(url, headers=headers)
            assert reply.status_code == 200
            assert reply.headers["content-type"].startswith("text/plain; version=")
            assert value(samples_of(reply.text), "trimcp_sessions") == 0
        other = await http.get(f"http://127.0.0.1:{own}/mcp")
        assert other.status_code == 404
        ready = await http.get(f"http://127.0.0.1:{port}/health/ready")
        assert ready.status_code == 200
        await server.drain()
    # Both have ended with the drain.


async def test_a_route_of_the_user_at_that_path_is_refused(server: trimcp.Server) -> None:
    @server.route("/metrics")
    async def mine(request: trimcp.HttpRequest) -> str:
        return "mine"

    with pytest.raises(trimcp.UsageError, match="/metrics"):
        await server.serve_http(0, metrics=True)
