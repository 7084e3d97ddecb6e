"""The Model Context Protocol on Trio: servers and clients, every revision.

    import trimcp

    server = trimcp.Server("adder")           # declare tools on functions, then server.run()
    trimcp.connect(["python", "server.py"])   # an async context manager that gives a Client

Names are imported when they are first used, so that `import trimcp` costs what Trio costs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trimcp.client.client import Client, Timeouts
    from trimcp.client.connect import connect
    from trimcp.client.results import ToolResult
    from trimcp.errors import (
        ConnectionClosed,
        ConnectionEnded,
        ConnectionLost,
        InvalidParams,
        InvalidPayload,
        InvalidResult,
        RequestFailed,
        RequestTimedOut,
        ServerExited,
        SessionFailed,
        ToolError,
        ToolFailed,
        TrimcpError,
        UsageError,
    )
    from trimcp.protocol.cancelling import CancelReason
    from trimcp.server.app import Server
    from trimcp.server.context import Context
    from trimcp.server.media import Audio, Image
    from trimcp.server.middleware import Proceed
    from trimcp.session.limits import Limits
    from trimcp.session.session import DrainReport

__version__ = "0.1.0"

_PLACES = {
    "Audio": "server.media",
    "CancelReason": "protocol.cancelling",
    "Client": "client.client",
    "ConnectionClosed": "errors",
    "ConnectionEnded": "errors",
    "ConnectionLost": "errors",
    "Context": "server.context",
    "DrainReport": "session.session",
    "Image": "server.media",
    "InvalidParams": "errors",
    "InvalidPayload": "errors",
    "InvalidResult": "errors",
    "Limits": "session.limits",
    "Proceed": "server.middleware",
    "RequestFailed": "errors",
    "RequestTimedOut": "errors",
    "Server": "server.app",
    "ServerExited": "errors",
    "SessionFailed": "errors",
    "Timeouts": "client.client",
    "ToolError": "errors",
    "ToolFailed": "errors",
    "ToolResult": "client.results",
    "TrimcpError": "errors",
    "UsageError": "errors",
    "connect": "client.connect",
}
"""Public name to the module that has it."""

__all__ = [
    "Audio",
    "CancelReason",
    "Client",
    "ConnectionClosed",
    "ConnectionEnded",
    "ConnectionLost",
    "Context",
    "DrainReport",
    "Image",
    "InvalidParams",
    "InvalidPayload",
    "InvalidResult",
    "Limits",
    "Proceed",
    "RequestFailed",
    "RequestTimedOut",
    "Server",
    "ServerExited",
    "SessionFailed",
    "Timeouts",
    "ToolError",
    "ToolFailed",
    "ToolResult",
    "TrimcpError",
    "UsageError",
    "connect",
]


def __getattr__(name: str) -> Any:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module 'trimcp' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"trimcp.{place}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
