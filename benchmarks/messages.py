"""The messages of the load, as bytes. They are written here, not by an SDK, so every server gets the same.

The drivers and the benchmarks of single steps use them.
"""

from __future__ import annotations

from typing import Any, Final, Literal

import orjson

Era = Literal["legacy", "modern"]

VERSIONS: Final[dict[Era, str]] = {"legacy": "2025-11-25", "modern": "2026-07-28"}
CLIENT: Final = {"name": "benchmark", "version": "1"}
METADATA: Final[dict[str, Any]] = {
    "io.modelcontextprotocol/protocolVersion": VERSIONS["modern"],
    "io.modelcontextprotocol/clientInfo": CLIENT,
    "io.modelcontextprotocol/clientCapabilities": {},
}
ADD: Final = {"a": 1, "b": 2}
INITIALIZED: Final = b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n'


def call_params(era: Era, tool: str = "add") -> dict[str, Any]:
    """The params of one call of the tool."""
    params: dict[str, Any] = {"name": tool, "arguments": ADD}
    if era == "modern":
        params["_meta"] = METADATA
    return params


def opening(era: Era) -> bytes:
    """The first request of a connection, with id 0."""
    method = "server/discover"
    params: dict[str, Any] = {"_meta": METADATA}
    if era == "legacy":
        method = "initialize"
        params = {"protocolVersion": VERSIONS["legacy"], "capabilities": {}, "clientInfo": CLIENT}
    return orjson.dumps({"jsonrpc": "2.0", "id": 0, "method": method, "params": params}) + b"\n"


def call_template(era: Era, tool: str = "add") -> tuple[bytes, bytes]:
    """The parts of a line with a call, before and after its id."""
    id = 4711
    line = orjson.dumps({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": call_params(era, tool)}) + b"\n"
    before, _, after = line.partition(str(id).encode())
    return before, after


def request_template(era: Era, method: str, params: dict[str, Any], *, progress: bool = False) -> bytes:
    """A line with a request, for the drivers of `driven`: byte 1 stands for its id, and for its progress token."""
    params = dict(params)
    meta = dict(METADATA) if era == "modern" else {}
    if progress:
        meta["progressToken"] = 4711
    if meta:
        params["_meta"] = meta
    line = orjson.dumps({"jsonrpc": "2.0", "id": 4711, "method": method, "params": params}) + b"\n"
    return line.replace(b":4711", b":\x01")


def failure_of(answer: dict[str, Any]) -> str | None:
    """The reason why an answer is wrong; None if it is right."""
    if "error" in answer:
        return str(answer["error"])
    result = answer.get("result")
    if not isinstance(result, dict) or result.get("isError"):
        return str(result)
    return None
