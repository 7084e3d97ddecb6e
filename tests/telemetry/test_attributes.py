"""The attributes that follow from a connection and from params."""

from __future__ import annotations

from typing import Any

import pytest

from trimcp.telemetry.attributes import LENGTH, network_of, target_of, uri_of


@pytest.mark.parametrize(
    ("description", "is_server", "transport", "protocol", "address"),
    [
        ("stdio", True, "pipe", None, {}),
        ("python server.py", False, "pipe", None, {}),
        ("memory", False, None, None, {}),
        ("unix /run/a.sock", True, "unix", None, {}),
        ("tcp 127.0.0.1:8000", False, "tcp", None, {"server.address": "127.0.0.1", "server.port": 8000}),
        ("tcp [::1]:8000", True, "tcp", None, {"client.address": "::1", "client.port": 8000}),
        (
            "http 10.0.0.7:50, session 1f0c…",
            True,
            "tcp",
            "http",
            {"client.address": "10.0.0.7", "client.port": 50},
        ),
        ("https://a.example/mcp", False, "tcp", "http", {"server.address": "a.example"}),
        ("sse http://a.example:81/sse", False, "tcp", "http", {"server.address": "a.example", "server.port": 81}),
        (
            "websocket wss://a.io:82/m",
            False,
            "tcp",
            "websocket",
            {"server.address": "a.io", "server.port": 82},
        ),
        ("websocket 10.0.0.7:5", True, "tcp", "websocket", {"client.address": "10.0.0.7", "client.port": 5}),
        ("http [broken", True, "tcp", "http", {}),
        ("http unix", True, "unix", "http", {}),
    ],
)
def test_a_connection(
    description: str, is_server: bool, transport: str | None, protocol: str | None, address: dict[str, Any]
) -> None:
    found, place = network_of(description, is_server=is_server)
    assert found.get("network.transport") == transport
    assert found.get("network.protocol.name") == protocol
    assert place == address


@pytest.mark.parametrize("params", [None, {}, {"name": 7, "uri": 7}, {"name": None, "uri": []}])
def test_params_of_any_form_are_taken(params: Any) -> None:
    assert target_of("tools/call", params) is None
    assert uri_of("resources/read", params) is None


def test_names_are_cut() -> None:
    assert target_of("tools/call", {"name": "n" * 999}) == ("gen_ai.tool.name", "n" * LENGTH)
    assert uri_of("resources/read", {"uri": "u" * 999}) == "u" * LENGTH
    assert target_of("ping", {"name": "n"}) is None
