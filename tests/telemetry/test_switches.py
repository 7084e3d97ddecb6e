"""The options of `trimcp run` that switch telemetry on, and what is there without them."""

from __future__ import annotations

import argparse

import pytest

import trimcp
from trimcp.cli import bindings
from trimcp.session.pending_calls import Calls
from trimcp.session.request import InboundRequest
from trimcp.session.traced_request import request_maker


def options_of(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    bindings.configure(parser)
    return parser.parse_args(words)


def test_metrics_are_a_route_or_an_address() -> None:
    server = trimcp.Server("s")
    here = options_of("--http", "--metrics")
    assert bindings.check(here)
    assert bindings.http_options(here)["metrics"]
    assert len(bindings.bindings_of(server, here)) == 1
    apart = options_of("--http", "--metrics", "127.0.0.1:9464")
    assert not bindings.http_options(apart)["metrics"]
    _, own = bindings.bindings_of(server, apart)
    assert own.describe(("127.0.0.1", 9464)) == "http://127.0.0.1:9464/metrics"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--metrics"], "--metrics needs HTTP"),
        (["--http", "--workers", "2", "--metrics", "127.0.0.1:9464"], "needs one process"),
    ],
)
def test_metrics_that_cannot_be_served_are_refused(words: list[str], problem: str) -> None:
    with pytest.raises(trimcp.UsageError, match=problem):
        bindings.check(options_of(*words))


async def test_without_telemetry_sessions_are_made_of_the_plain_classes() -> None:
    server = trimcp.Server("plain")
    async with server.running() as run, trimcp.connect(server) as client:
        await client.list_tools()
        assert type(client._run.session.calls) is Calls
        assert all(type(session.calls) is Calls for session in run.sessions)
    assert request_maker(None) is InboundRequest
