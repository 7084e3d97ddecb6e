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
    from trimcp.client.extension import ClientExtension
    from trimcp.client.notices import (
        ElicitationCompleted,
        ExtensionNotice,
        Interrupted,
        ListenEnd,
        LogMessage,
        Notices,
        PromptsChanged,
        ResourcesChanged,
        ResourceUpdated,
        SubscriptionsEnded,
        ToolsChanged,
        Topics,
    )
    from trimcp.client.results import ResourceResult, ToolResult
    from trimcp.errors import (
        CapabilityMissing,
        ConnectionClosed,
        ConnectionEnded,
        ConnectionLost,
        InvalidParams,
        InvalidPayload,
        InvalidResult,
        RequestFailed,
        RequestTimedOut,
        ResourceNotFound,
        ServerExited,
        SessionFailed,
        ToolError,
        ToolFailed,
        TrimcpError,
        UsageError,
    )
    from trimcp.protocol.cancelling import CancelReason
    from trimcp.server.app import Server
    from trimcp.server.caching import CacheHint, Caching
    from trimcp.server.context import Context
    from trimcp.server.extension import ServerExtension
    from trimcp.server.media import Audio, File, Image
    from trimcp.server.middleware import Proceed
    from trimcp.server.questions import Elicit, Elicited, ElicitUrl, Roots, Sample, Sampled
    from trimcp.server.session_context import SessionContext
    from trimcp.session.limits import Limits
    from trimcp.session.session import DrainReport
    from trimcp.shapes.header import Header
    from trimcp.types.extensions import ExtensionMethod, ExtensionNotification, ExtensionResult

__version__ = "0.1.0"

_PLACES = {
    "Audio": "server.media",
    "CacheHint": "server.caching",
    "Caching": "server.caching",
    "CancelReason": "protocol.cancelling",
    "CapabilityMissing": "errors",
    "Client": "client.client",
    "ClientExtension": "client.extension",
    "ConnectionClosed": "errors",
    "ConnectionEnded": "errors",
    "ConnectionLost": "errors",
    "Context": "server.context",
    "DrainReport": "session.session",
    "Elicit": "server.questions",
    "ElicitUrl": "server.questions",
    "ElicitationCompleted": "client.notices",
    "Elicited": "server.questions",
    "ExtensionMethod": "types.extensions",
    "ExtensionNotice": "client.notices",
    "ExtensionNotification": "types.extensions",
    "ExtensionResult": "types.extensions",
    "File": "server.media",
    "Header": "shapes.header",
    "Image": "server.media",
    "Interrupted": "client.notices",
    "InvalidParams": "errors",
    "InvalidPayload": "errors",
    "InvalidResult": "errors",
    "Limits": "session.limits",
    "ListenEnd": "client.notices",
    "LogMessage": "client.notices",
    "Notices": "client.notices",
    "Proceed": "server.middleware",
    "PromptsChanged": "client.notices",
    "RequestFailed": "errors",
    "RequestTimedOut": "errors",
    "ResourceNotFound": "errors",
    "ResourceResult": "client.results",
    "ResourceUpdated": "client.notices",
    "ResourcesChanged": "client.notices",
    "Roots": "server.questions",
    "Sample": "server.questions",
    "Sampled": "server.questions",
    "Server": "server.app",
    "ServerExited": "errors",
    "ServerExtension": "server.extension",
    "SessionContext": "server.session_context",
    "SessionFailed": "errors",
    "SubscriptionsEnded": "client.notices",
    "Timeouts": "client.client",
    "ToolError": "errors",
    "ToolFailed": "errors",
    "ToolResult": "client.results",
    "ToolsChanged": "client.notices",
    "Topics": "client.notices",
    "TrimcpError": "errors",
    "UsageError": "errors",
    "connect": "client.connect",
}
"""Public name to the module that has it."""

__all__ = [
    "Audio",
    "CacheHint",
    "Caching",
    "CancelReason",
    "CapabilityMissing",
    "Client",
    "ClientExtension",
    "ConnectionClosed",
    "ConnectionEnded",
    "ConnectionLost",
    "Context",
    "DrainReport",
    "Elicit",
    "ElicitUrl",
    "ElicitationCompleted",
    "Elicited",
    "ExtensionMethod",
    "ExtensionNotice",
    "ExtensionNotification",
    "ExtensionResult",
    "File",
    "Header",
    "Image",
    "Interrupted",
    "InvalidParams",
    "InvalidPayload",
    "InvalidResult",
    "Limits",
    "ListenEnd",
    "LogMessage",
    "Notices",
    "Proceed",
    "PromptsChanged",
    "RequestFailed",
    "RequestTimedOut",
    "ResourceNotFound",
    "ResourceResult",
    "ResourceUpdated",
    "ResourcesChanged",
    "Roots",
    "Sample",
    "Sampled",
    "Server",
    "ServerExited",
    "ServerExtension",
    "SessionContext",
    "SessionFailed",
    "SubscriptionsEnded",
    "Timeouts",
    "ToolError",
    "ToolFailed",
    "ToolResult",
    "ToolsChanged",
    "Topics",
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
