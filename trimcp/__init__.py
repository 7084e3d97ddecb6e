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
    from trimcp import auth as auth
    from trimcp import telemetry as telemetry
    from trimcp.client.client import Client
    from trimcp.client.configuration import Configuration, ConfiguredServer, load_configuration
    from trimcp.client.connect import connect
    from trimcp.client.extension import ClientExtension
    from trimcp.client.features.resources import ResourceResult
    from trimcp.client.features.tools import ToolResult
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
        MemberState,
    )
    from trimcp.client.group.group import Group, open_group
    from trimcp.client.group.lists import MemberPrompt, MemberResource, MemberTemplate, MemberTool, MergedList
    from trimcp.client.group.member import Member
    from trimcp.client.group.restarts import Restarts
    from trimcp.client.notifications.notices import (
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
    from trimcp.client.requests import Timeouts
    from trimcp.errors import (
        CapabilityMissing,
        ConnectionClosed,
        ConnectionEnded,
        ConnectionLost,
        ConsentRefused,
        ExchangeFailed,
        InvalidParams,
        InvalidPayload,
        InvalidResult,
        RequestFailed,
        RequestTimedOut,
        ResourceNotFound,
        ServerExited,
        SessionFailed,
        TaskCancelled,
        ToolError,
        ToolFailed,
        TrimcpError,
        Unauthenticated,
        UsageError,
    )
    from trimcp.http.binding import HttpRequest
    from trimcp.http.client.auth import AuthChallenge, AuthRequest, ClientAuth
    from trimcp.http.server.routes import HttpReply
    from trimcp.http.server.security import Cors
    from trimcp.limits import HttpLimits, Limits
    from trimcp.protocol.cancel_reason import CancelReason
    from trimcp.protocol.principal import Principal
    from trimcp.schema.annotated import JsonSchema
    from trimcp.schema.header_params import Header
    from trimcp.server.app import Server
    from trimcp.server.context.context import Context
    from trimcp.server.context.questions import Elicit, Elicited, ElicitUrl, Roots, Sample, Sampled
    from trimcp.server.context.session_context import SessionContext
    from trimcp.server.features.caching import CacheHint, Caching
    from trimcp.server.features.provider import (
        ProvidedPage,
        ProvidedPrompt,
        ProvidedResource,
        ProvidedTool,
        Provider,
    )
    from trimcp.server.invocation.media import Audio, File, Image
    from trimcp.server.middleware import Proceed
    from trimcp.server.server_extension import ServerExtension
    from trimcp.session.drain_report import DrainReport
    from trimcp.session.tasks.handle import TaskHandle
    from trimcp.session.tasks.state import TaskState
    from trimcp.types.extensions import ExtensionMethod, ExtensionNotification, ExtensionResult

__version__ = "0.1.0"

_PLACES = {
    "Audio": "server.invocation.media",
    "AuthChallenge": "http.client.auth",
    "AuthRequest": "http.client.auth",
    "CacheHint": "server.features.caching",
    "Caching": "server.features.caching",
    "CancelReason": "protocol.cancel_reason",
    "CapabilityMissing": "errors",
    "Client": "client.client",
    "ClientAuth": "http.client.auth",
    "ClientExtension": "client.extension",
    "Configuration": "client.configuration",
    "ConfiguredServer": "client.configuration",
    "ConnectionClosed": "errors",
    "ConnectionEnded": "errors",
    "ConnectionLost": "errors",
    "ConsentRefused": "errors",
    "Context": "server.context.context",
    "Cors": "http.server.security",
    "DrainReport": "session.drain_report",
    "Elicit": "server.context.questions",
    "ElicitUrl": "server.context.questions",
    "ElicitationCompleted": "client.notifications.notices",
    "Elicited": "server.context.questions",
    "ExchangeFailed": "errors",
    "ExtensionMethod": "types.extensions",
    "ExtensionNotice": "client.notifications.notices",
    "ExtensionNotification": "types.extensions",
    "ExtensionResult": "types.extensions",
    "FailReason": "client.group.events",
    "Failure": "client.group.events",
    "File": "server.invocation.media",
    "Group": "client.group.group",
    "GroupEvents": "client.group.events",
    "Header": "schema.header_params",
    "HttpLimits": "limits",
    "HttpReply": "http.server.routes",
    "HttpRequest": "http.binding",
    "Image": "server.invocation.media",
    "Interrupted": "client.notifications.notices",
    "InvalidParams": "errors",
    "InvalidPayload": "errors",
    "InvalidResult": "errors",
    "JsonSchema": "schema.annotated",
    "Limits": "limits",
    "ListenEnd": "client.notifications.notices",
    "LogMessage": "client.notifications.notices",
    "Member": "client.group.member",
    "MemberChanged": "client.group.events",
    "MemberClosed": "client.group.events",
    "MemberFailed": "client.group.events",
    "MemberLost": "client.group.events",
    "MemberPrompt": "client.group.lists",
    "MemberReady": "client.group.events",
    "MemberResource": "client.group.lists",
    "MemberRestarting": "client.group.events",
    "MemberState": "client.group.events",
    "MemberTemplate": "client.group.lists",
    "MemberTool": "client.group.lists",
    "MergedList": "client.group.lists",
    "Notices": "client.notifications.notices",
    "Principal": "protocol.principal",
    "Proceed": "server.middleware",
    "PromptsChanged": "client.notifications.notices",
    "ProvidedPage": "server.features.provider",
    "ProvidedPrompt": "server.features.provider",
    "ProvidedResource": "server.features.provider",
    "ProvidedTool": "server.features.provider",
    "Provider": "server.features.provider",
    "RequestFailed": "errors",
    "RequestTimedOut": "errors",
    "ResourceNotFound": "errors",
    "ResourceResult": "client.features.resources",
    "ResourceUpdated": "client.notifications.notices",
    "ResourcesChanged": "client.notifications.notices",
    "Restarts": "client.group.restarts",
    "Roots": "server.context.questions",
    "Sample": "server.context.questions",
    "Sampled": "server.context.questions",
    "Server": "server.app",
    "ServerExited": "errors",
    "ServerExtension": "server.server_extension",
    "SessionContext": "server.context.session_context",
    "SessionFailed": "errors",
    "SubscriptionsEnded": "client.notifications.notices",
    "TaskCancelled": "errors",
    "TaskHandle": "session.tasks.handle",
    "TaskState": "session.tasks.state",
    "Timeouts": "client.requests",
    "ToolError": "errors",
    "ToolFailed": "errors",
    "ToolResult": "client.features.tools",
    "ToolsChanged": "client.notifications.notices",
    "Topics": "client.notifications.notices",
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
    "ConsentRefused",
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
    "JsonSchema",
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
    "TaskCancelled",
    "TaskHandle",
    "TaskState",
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


if not TYPE_CHECKING:  # a type checker that sees the function accepts every name

    def __getattr__(name: str) -> Any:
        place = _PLACES.get(name)
        if name in ("auth", "telemetry"):
            return importlib.import_module(f"trimcp.{name}")
        if place is None:
            raise AttributeError(f"module 'trimcp' has no attribute {name!r}")
        value = getattr(importlib.import_module(f"trimcp.{place}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
