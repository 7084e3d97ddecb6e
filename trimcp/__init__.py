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

_HOMES = {
    "client.client": "Client",
    "client.configuration": "Configuration ConfiguredServer load_configuration",
    "client.connect": "connect",
    "client.extension": "ClientExtension",
    "client.features.resources": "ResourceResult",
    "client.features.tools": "ToolResult",
    "client.group.events": (
        "FailReason Failure GroupEvents MemberChanged MemberClosed MemberFailed MemberLost MemberReady "
        "MemberRestarting MemberState"
    ),
    "client.group.group": "Group open_group",
    "client.group.lists": "MemberPrompt MemberResource MemberTemplate MemberTool MergedList",
    "client.group.member": "Member",
    "client.group.restarts": "Restarts",
    "client.notifications.notices": (
        "ElicitationCompleted ExtensionNotice Interrupted ListenEnd LogMessage Notices PromptsChanged "
        "ResourcesChanged ResourceUpdated SubscriptionsEnded ToolsChanged Topics"
    ),
    "client.requests": "Timeouts",
    "errors": (
        "CapabilityMissing ConnectionClosed ConnectionEnded ConnectionLost ConsentRefused ExchangeFailed "
        "InvalidParams InvalidPayload InvalidResult RequestFailed RequestTimedOut ResourceNotFound "
        "ServerExited SessionFailed TaskCancelled ToolError ToolFailed TrimcpError Unauthenticated "
        "UsageError"
    ),
    "http.binding": "HttpRequest",
    "http.client.auth": "AuthChallenge AuthRequest ClientAuth",
    "http.server.routes": "HttpReply",
    "http.server.security": "Cors",
    "limits": "HttpLimits Limits",
    "protocol.cancel_reason": "CancelReason",
    "protocol.principal": "Principal",
    "schema.annotated": "JsonSchema",
    "schema.header_params": "Header",
    "server.app": "Server",
    "server.context.context": "Context",
    "server.context.questions": "Elicit Elicited ElicitUrl Roots Sample Sampled",
    "server.context.session_context": "SessionContext",
    "server.features.caching": "CacheHint Caching",
    "server.features.provider": "ProvidedPage ProvidedPrompt ProvidedResource ProvidedTool Provider",
    "server.invocation.media": "Audio File Image",
    "server.middleware": "Proceed",
    "server.server_extension": "ServerExtension",
    "session.drain_report": "DrainReport",
    "session.tasks.handle": "TaskHandle",
    "session.tasks.state": "TaskState",
    "types.extensions": "ExtensionMethod ExtensionNotification ExtensionResult",
}
"""The public names by the module that defines them."""
_PLACES = {name: module for module, names in _HOMES.items() for name in names.split()}
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
