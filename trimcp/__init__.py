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
    from trimcp.client.configuration import Configuration, ConfiguredServer, load_configuration
    from trimcp.client.connect import connect
    from trimcp.client.extension import ClientExtension
    from trimcp.client.group.events import (
        FailReason,
        Failure,
        GroupEvents,
        MemberChanged,
        MemberClosed,
        MemberFailed,
        MemberLost,
        MemberReady,
        MemberRestarting,
    )
    from trimcp.client.group.group import Group, open_group
    from trimcp.client.group.member import Member
    from trimcp.client.group.member_status import MemberState
    from trimcp.client.group.merged import MemberPrompt, MemberResource, MemberTemplate, MemberTool, MergedList
    from trimcp.client.group.restarts import Restarts
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
    from trimcp.endpoint.http_reply import HttpReply
    from trimcp.endpoint.security import Cors
    from trimcp.errors import (
        CapabilityMissing,
        ConnectionClosed,
        ConnectionEnded,
        ConnectionLost,
        ExchangeFailed,
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
        Unauthenticated,
        UsageError,
    )
    from trimcp.protocol.cancelling import CancelReason
    from trimcp.protocol.principal import Principal
    from trimcp.server.app import Server
    from trimcp.server.caching import CacheHint, Caching
    from trimcp.server.context import Context
    from trimcp.server.extension import ServerExtension
    from trimcp.server.features.provider import (
        ProvidedPage,
        ProvidedPrompt,
        ProvidedResource,
        ProvidedTool,
        Provider,
    )
    from trimcp.server.media import Audio, File, Image
    from trimcp.server.middleware import Proceed
    from trimcp.server.questions import Elicit, Elicited, ElicitUrl, Roots, Sample, Sampled
    from trimcp.server.session_context import SessionContext
    from trimcp.session.limits import Limits
    from trimcp.session.session import DrainReport
    from trimcp.shapes.header import Header
    from trimcp.transports.http.client_auth import AuthChallenge, AuthRequest, ClientAuth
    from trimcp.transports.http.door import HttpRequest
    from trimcp.transports.http.limits import HttpLimits
    from trimcp.types.extensions import ExtensionMethod, ExtensionNotification, ExtensionResult

__version__ = "0.1.0"

_PLACES = {
    "Audio": "server.media",
    "AuthChallenge": "transports.http.client_auth",
    "AuthRequest": "transports.http.client_auth",
    "CacheHint": "server.caching",
    "Caching": "server.caching",
    "CancelReason": "protocol.cancelling",
    "CapabilityMissing": "errors",
    "Client": "client.client",
    "ClientAuth": "transports.http.client_auth",
    "ClientExtension": "client.extension",
    "Configuration": "client.configuration",
    "ConfiguredServer": "client.configuration",
    "ConnectionClosed": "errors",
    "ConnectionEnded": "errors",
    "ConnectionLost": "errors",
    "Context": "server.context",
    "Cors": "endpoint.security",
    "DrainReport": "session.session",
    "Elicit": "server.questions",
    "ElicitUrl": "server.questions",
    "ElicitationCompleted": "client.notices",
    "Elicited": "server.questions",
    "ExchangeFailed": "errors",
    "ExtensionMethod": "types.extensions",
    "ExtensionNotice": "client.notices",
    "ExtensionNotification": "types.extensions",
    "ExtensionResult": "types.extensions",
    "FailReason": "client.group.events",
    "Failure": "client.group.events",
    "File": "server.media",
    "Group": "client.group.group",
    "GroupEvents": "client.group.events",
    "Header": "shapes.header",
    "HttpLimits": "transports.http.limits",
    "HttpReply": "endpoint.http_reply",
    "HttpRequest": "transports.http.door",
    "Image": "server.media",
    "Interrupted": "client.notices",
    "InvalidParams": "errors",
    "InvalidPayload": "errors",
    "InvalidResult": "errors",
    "Limits": "session.limits",
    "ListenEnd": "client.notices",
    "LogMessage": "client.notices",
    "Member": "client.group.member",
    "MemberChanged": "client.group.events",
    "MemberClosed": "client.group.events",
    "MemberFailed": "client.group.events",
    "MemberLost": "client.group.events",
    "MemberPrompt": "client.group.merged",
    "MemberReady": "client.group.events",
    "MemberResource": "client.group.merged",
    "MemberRestarting": "client.group.events",
    "MemberState": "client.group.member_status",
    "MemberTemplate": "client.group.merged",
    "MemberTool": "client.group.merged",
    "MergedList": "client.group.merged",
    "Notices": "client.notices",
    "Principal": "protocol.principal",
    "Proceed": "server.middleware",
    "PromptsChanged": "client.notices",
    "ProvidedPage": "server.features.provider",
    "ProvidedPrompt": "server.features.provider",
    "ProvidedResource": "server.features.provider",
    "ProvidedTool": "server.features.provider",
    "Provider": "server.features.provider",
    "RequestFailed": "errors",
    "RequestTimedOut": "errors",
    "ResourceNotFound": "errors",
    "ResourceResult": "client.results",
    "ResourceUpdated": "client.notices",
    "ResourcesChanged": "client.notices",
    "Restarts": "client.group.restarts",
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
    "Unauthenticated": "errors",
    "UsageError": "errors",
    "connect": "client.connect",
    "load_configuration": "client.configuration",
    "open_group": "client.group.group",
}
"""Public name to the module that has it."""

__all__ = [
    "Audio",
    "AuthChallenge",
    "AuthRequest",
    "CacheHint",
    "Caching",
    "CancelReason",
    "CapabilityMissing",
    "Client",
    "ClientAuth",
    "ClientExtension",
    "Configuration",
    "ConfiguredServer",
    "ConnectionClosed",
    "ConnectionEnded",
    "ConnectionLost",
    "Context",
    "Cors",
    "DrainReport",
    "Elicit",
    "ElicitUrl",
    "ElicitationCompleted",
    "Elicited",
    "ExchangeFailed",
    "ExtensionMethod",
    "ExtensionNotice",
    "ExtensionNotification",
    "ExtensionResult",
    "FailReason",
    "Failure",
    "File",
    "Group",
    "GroupEvents",
    "Header",
    "HttpLimits",
    "HttpReply",
    "HttpRequest",
    "Image",
    "Interrupted",
    "InvalidParams",
    "InvalidPayload",
    "InvalidResult",
    "Limits",
    "ListenEnd",
    "LogMessage",
    "Member",
    "MemberChanged",
    "MemberClosed",
    "MemberFailed",
    "MemberLost",
    "MemberPrompt",
    "MemberReady",
    "MemberResource",
    "MemberRestarting",
    "MemberState",
    "MemberTemplate",
    "MemberTool",
    "MergedList",
    "Notices",
    "Principal",
    "Proceed",
    "PromptsChanged",
    "ProvidedPage",
    "ProvidedPrompt",
    "ProvidedResource",
    "ProvidedTool",
    "Provider",
    "RequestFailed",
    "RequestTimedOut",
    "ResourceNotFound",
    "ResourceResult",
    "ResourceUpdated",
    "ResourcesChanged",
    "Restarts",
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
    "Unauthenticated",
    "UsageError",
    "connect",
    "load_configuration",
    "open_group",
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
