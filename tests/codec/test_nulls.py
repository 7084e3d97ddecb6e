"""Null stands for a missing field where the schema has no null; never where null is a value, or a value is required."""

from __future__ import annotations

from typing import Any

import pytest

from tests.session.peer import ALL, LEGACY, MODERN
from trimcp.codec.envelope import InvalidMessage, read_message
from trimcp.codec.revisions import codec_for
from trimcp.errors import InvalidPayload
from trimcp.types.revisions import BY_VERSION

HINTS = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}


def params(method: str, value: dict[str, Any], version: str = MODERN) -> Any:
    return codec_for(BY_VERSION[version]).params_decoder(method)(value)


def result(method: str, value: dict[str, Any], version: str = MODERN) -> Any:
    hints = HINTS if version == MODERN and method != "tools/call" else {}
    return codec_for(BY_VERSION[version]).result_decoder(method)({**hints, **value})


@pytest.mark.parametrize("version", ALL)
def test_null_is_a_missing_field_of_params(version: str) -> None:
    assert params("tools/list", {"cursor": None, "_meta": None}, version).cursor is None
    called = params("tools/call", {"name": "a", "arguments": None, "_meta": None}, version)
    assert called.arguments is None
    assert params("tools/call", {"name": "a", "arguments": {"b": None}}, version).arguments == {"b": None}


@pytest.mark.parametrize("version", LEGACY)
def test_a_null_capability_is_not_declared(version: str) -> None:
    opening = {
        "protocolVersion": version,
        "capabilities": {"roots": None, "sampling": {}, "experimental": None},
        "clientInfo": {"name": "a", "version": "1", "title": None},
    }
    capabilities = params("initialize", opening, version).capabilities
    assert capabilities.roots is None
    assert capabilities.sampling is not None


@pytest.mark.parametrize("version", ALL)
def test_null_is_a_missing_field_of_results(version: str) -> None:
    tool = {"name": "a", "inputSchema": {"type": "object"}, "description": None, "annotations": None, "_meta": None}
    listed = result("tools/list", {"tools": [tool], "nextCursor": None, "_meta": None}, version)
    assert listed.next_cursor is None
    assert listed.tools[0].description is None
    called = {"content": [{"type": "text", "text": "b", "annotations": None}], "isError": None, "_meta": None}
    assert not result("tools/call", called, version).is_error


@pytest.mark.parametrize(
    ("method", "value"),
    [
        ("tools/list", {"tools": None}),
        ("tools/list", {"tools": [{"name": None, "inputSchema": {"type": "object"}}]}),
        ("tools/list", {"tools": [], "ttlMs": None}),
        ("tools/call", {"content": None}),
    ],
)
def test_null_is_no_value_of_a_required_field(method: str, value: dict[str, Any]) -> None:
    with pytest.raises(InvalidPayload):
        result(method, value)


def test_null_is_a_value_of_structured_content() -> None:
    assert result("tools/call", {"content": [], "structuredContent": None}).structured_content is None
    with pytest.raises(InvalidPayload):
        result("tools/call", {"content": [], "structuredContent": None}, LEGACY[3])


def test_null_for_params_is_none_and_for_an_id_is_refused() -> None:
    assert read_message({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": None}).params is None  # type: ignore[union-attr]
    with pytest.raises(InvalidMessage):
        read_message({"jsonrpc": "2.0", "id": None, "method": "ping"})
