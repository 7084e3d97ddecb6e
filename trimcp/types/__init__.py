"""The vocabulary of MCP: what its messages carry, as classes that know no JSON and no revision.

Everything here is defined in the module of its feature and imported when it is first asked for
(PEP 562), since making all the classes takes as long as starting Trio. Three lists say what there is: one for
type checkers, one for `import *`, one for the import itself; a test holds them together.
"""

# ruff: noqa: I001, RUF022
# The lists are sorted by module and filled, not one name a line.

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# fmt: off
if TYPE_CHECKING:
    from trimcp.types.cancellation import (
        CancelledNotificationParams,
    )
    from trimcp.types.capabilities import (
        ClientCapabilities, ClientTaskRequestsCapability, ClientTasksCapability, ElicitationCapability,
        ElicitationTasksCapability, Flag, PromptsCapability, ResourcesCapability, RootsCapability,
        SamplingCapability, SamplingTasksCapability, ServerCapabilities, ServerTaskRequestsCapability,
        ServerTasksCapability, ToolTasksCapability, ToolsCapability,
    )
    from trimcp.types.completion import (
        CompleteRequestParams, CompleteResult, Completion, CompletionArgument, CompletionContext,
        CompletionReference, MAX_COMPLETION_VALUES,
    )
    from trimcp.types.content import (
        AudioContent, BlobResourceContents, ContentBlock, EmbeddedResource, ImageContent, ResourceContents,
        ResourceLink, TextContent, TextResourceContents,
    )
    from trimcp.types.elicitation import (
        ElicitAction, ElicitRequestFormParams, ElicitRequestParams, ElicitRequestURLParams, ElicitResult,
        ElicitationCompleteNotificationParams,
    )
    from trimcp.types.elicitation_schemas import (
        BooleanSchema, ElicitRequestedSchema, EnumOption, EnumSchema, LegacyTitledEnumSchema, MultiSelectEnumSchema,
        NumberSchema, PrimitiveSchemaDefinition, SingleSelectEnumSchema, StringSchema, TitledEnumItems,
        TitledMultiSelectEnumSchema, TitledSingleSelectEnumSchema, UntitledEnumItems, UntitledMultiSelectEnumSchema,
        UntitledSingleSelectEnumSchema,
    )
    from trimcp.types.error_data import (
        MissingRequiredClientCapabilityData, URLElicitationRequiredData, UnsupportedProtocolVersionData,
    )
    from trimcp.types.extensions import (
        ExtensionMethod, ExtensionNotification, ExtensionResult,
    )
    from trimcp.types.fields import (
        ABSENT, Absent,
    )
    from trimcp.types.input_required import (
        CreateMessageRequest, ElicitRequest, InputRequest, InputRequests, InputRequiredResult, InputResponse,
        InputResponseRequestParams, InputResponses, ListRootsRequest, ListRootsRequestParams,
    )
    from trimcp.types.jsonrpc import (
        BUSY, CANCELLED_BY_SERVER, DRAINING, ErrorData, ErrorResponse, HEADER_MISMATCH, INTERNAL_ERROR,
        INVALID_PARAMS, INVALID_REQUEST, JSONRPC_VERSION, METHOD_NOT_FOUND, MISSING_CLIENT_CAPABILITY, Message,
        Notification, PARSE_ERROR, ProgressToken, RESOURCE_NOT_FOUND, Request, RequestId, Response, TIMED_OUT,
        TOO_MANY_SESSIONS, UNSUPPORTED_PROTOCOL_VERSION, URL_ELICITATION_REQUIRED,
    )
    from trimcp.types.lifecycle import (
        DiscoverResult, InitializeRequestParams, InitializeResult,
    )
    from trimcp.types.logging import (
        LOGGING_LEVELS, LoggingLevel, LoggingMessageNotificationParams, SetLevelRequestParams,
    )
    from trimcp.types.meta_objects import (
        MetaObject, NotificationMetaObject, RequestMetaObject, ResultMetaObject,
        SubscriptionsListenResultMetaObject,
    )
    from trimcp.types.metadata import (
        Annotations, CLIENT_CAPABILITIES, CLIENT_INFO, Icon, Implementation, LOG_LEVEL, PROGRESS_TOKEN,
        PROTOCOL_VERSION, RELATED_TASK, Role, SERVER_INFO, SUBSCRIPTION_ID,
    )
    from trimcp.types.methods import (
        METHODS, Method, methods_of,
    )
    from trimcp.types.pagination import (
        CacheablePage, Cursor, PaginatedRequestParams, PaginatedResult,
    )
    from trimcp.types.payload import (
        CacheScope, CacheableResult, EmptyResult, NotificationParams, RequestParams, Result, ResultType,
        TaskMetadata,
    )
    from trimcp.types.progress import (
        ProgressNotificationParams,
    )
    from trimcp.types.prompts import (
        GetPromptRequestParams, GetPromptResult, ListPromptsResult, Prompt, PromptArgument, PromptMessage,
        PromptReference,
    )
    from trimcp.types.resources import (
        ListResourceTemplatesResult, ListResourcesResult, ReadResourceRequestParams, ReadResourceResult, Resource,
        ResourceRequestParams, ResourceTemplate, ResourceTemplateReference, ResourceUpdatedNotificationParams,
        SubscribeRequestParams, UnsubscribeRequestParams,
    )
    from trimcp.types.revisions import (
        BY_VERSION, Era, LATEST, LATEST_LEGACY, REVISIONS, Revision,
    )
    from trimcp.types.roots import (
        ListRootsResult, Root,
    )
    from trimcp.types.sampling import (
        CreateMessageRequestParams, CreateMessageResult, ModelHint, ModelPreferences, SamplingContent,
        SamplingMessage, SamplingMessageContentBlock, ToolChoice, ToolResultContent, ToolUseContent,
    )
    from trimcp.types.subscriptions import (
        SubscriptionFilter, SubscriptionsAcknowledgedNotificationParams, SubscriptionsListenRequestParams,
        SubscriptionsListenResult,
    )
    from trimcp.types.tasks import (
        CancelTaskResult, CreateTaskResult, GetTaskPayloadResult, GetTaskResult, ListTasksResult,
        RelatedTaskMetadata, Task, TaskAugmentedRequestParams, TaskRequestParams, TaskStatus,
        TaskStatusNotificationParams,
    )
    from trimcp.types.tools import (
        CallToolRequestParams, CallToolResult, ListToolsResult, Tool, ToolAnnotations, ToolExecution,
    )

__all__ = [
    "CancelledNotificationParams",
    "ClientCapabilities", "ClientTaskRequestsCapability", "ClientTasksCapability", "ElicitationCapability",
    "ElicitationTasksCapability", "Flag", "PromptsCapability", "ResourcesCapability", "RootsCapability",
    "SamplingCapability", "SamplingTasksCapability", "ServerCapabilities", "ServerTaskRequestsCapability",
    "ServerTasksCapability", "ToolTasksCapability", "ToolsCapability",
    "CompleteRequestParams", "CompleteResult", "Completion", "CompletionArgument", "CompletionContext",
    "CompletionReference", "MAX_COMPLETION_VALUES",
    "AudioContent", "BlobResourceContents", "ContentBlock", "EmbeddedResource", "ImageContent", "ResourceContents",
    "ResourceLink", "TextContent", "TextResourceContents",
    "ElicitAction", "ElicitRequestFormParams", "ElicitRequestParams", "ElicitRequestURLParams", "ElicitResult",
    "ElicitationCompleteNotificationParams",
    "BooleanSchema", "ElicitRequestedSchema", "EnumOption", "EnumSchema", "LegacyTitledEnumSchema",
    "MultiSelectEnumSchema", "NumberSchema", "PrimitiveSchemaDefinition", "SingleSelectEnumSchema", "StringSchema",
    "TitledEnumItems", "TitledMultiSelectEnumSchema", "TitledSingleSelectEnumSchema", "UntitledEnumItems",
    "UntitledMultiSelectEnumSchema", "UntitledSingleSelectEnumSchema",
    "MissingRequiredClientCapabilityData", "URLElicitationRequiredData", "UnsupportedProtocolVersionData",
    "ExtensionMethod", "ExtensionNotification", "ExtensionResult",
    "ABSENT", "Absent",
    "CreateMessageRequest", "ElicitRequest", "InputRequest", "InputRequests", "InputRequiredResult",
    "InputResponse", "InputResponseRequestParams", "InputResponses", "ListRootsRequest", "ListRootsRequestParams",
    "BUSY", "CANCELLED_BY_SERVER", "DRAINING", "ErrorData", "ErrorResponse", "HEADER_MISMATCH", "INTERNAL_ERROR",
    "INVALID_PARAMS", "INVALID_REQUEST", "JSONRPC_VERSION", "METHOD_NOT_FOUND", "MISSING_CLIENT_CAPABILITY",
    "Message", "Notification", "PARSE_ERROR", "ProgressToken", "RESOURCE_NOT_FOUND", "Request", "RequestId",
    "Response", "TIMED_OUT", "TOO_MANY_SESSIONS", "UNSUPPORTED_PROTOCOL_VERSION", "URL_ELICITATION_REQUIRED",
    "DiscoverResult", "InitializeRequestParams", "InitializeResult",
    "LOGGING_LEVELS", "LoggingLevel", "LoggingMessageNotificationParams", "SetLevelRequestParams",
    "MetaObject", "NotificationMetaObject", "RequestMetaObject", "ResultMetaObject",
    "SubscriptionsListenResultMetaObject",
    "Annotations", "CLIENT_CAPABILITIES", "CLIENT_INFO", "Icon", "Implementation", "LOG_LEVEL", "PROGRESS_TOKEN",
    "PROTOCOL_VERSION", "RELATED_TASK", "Role", "SERVER_INFO", "SUBSCRIPTION_ID",
    "METHODS", "Method", "methods_of",
    "CacheablePage", "Cursor", "PaginatedRequestParams", "PaginatedResult",
    "CacheScope", "CacheableResult", "EmptyResult", "NotificationParams", "RequestParams", "Result", "ResultType",
    "TaskMetadata",
    "ProgressNotificationParams",
    "GetPromptRequestParams", "GetPromptResult", "ListPromptsResult", "Prompt", "PromptArgument", "PromptMessage",
    "PromptReference",
    "ListResourceTemplatesResult", "ListResourcesResult", "ReadResourceRequestParams", "ReadResourceResult",
    "Resource", "ResourceRequestParams", "ResourceTemplate", "ResourceTemplateReference",
    "ResourceUpdatedNotificationParams", "SubscribeRequestParams", "UnsubscribeRequestParams",
    "BY_VERSION", "Era", "LATEST", "LATEST_LEGACY", "REVISIONS", "Revision",
    "ListRootsResult", "Root",
    "CreateMessageRequestParams", "CreateMessageResult", "ModelHint", "ModelPreferences", "SamplingContent",
    "SamplingMessage", "SamplingMessageContentBlock", "ToolChoice", "ToolResultContent", "ToolUseContent",
    "SubscriptionFilter", "SubscriptionsAcknowledgedNotificationParams", "SubscriptionsListenRequestParams",
    "SubscriptionsListenResult",
    "CancelTaskResult", "CreateTaskResult", "GetTaskPayloadResult", "GetTaskResult", "ListTasksResult",
    "RelatedTaskMetadata", "Task", "TaskAugmentedRequestParams", "TaskRequestParams", "TaskStatus",
    "TaskStatusNotificationParams",
    "CallToolRequestParams", "CallToolResult", "ListToolsResult", "Tool", "ToolAnnotations", "ToolExecution",
]

_HOMES = {
    "cancellation": (
        "CancelledNotificationParams"
    ),
    "capabilities": (
        "ClientCapabilities ClientTaskRequestsCapability ClientTasksCapability ElicitationCapability "
        "ElicitationTasksCapability Flag PromptsCapability ResourcesCapability RootsCapability SamplingCapability "
        "SamplingTasksCapability ServerCapabilities ServerTaskRequestsCapability ServerTasksCapability "
        "ToolTasksCapability ToolsCapability"
    ),
    "completion": (
        "CompleteRequestParams CompleteResult Completion CompletionArgument CompletionContext CompletionReference "
        "MAX_COMPLETION_VALUES"
    ),
    "content": (
        "AudioContent BlobResourceContents ContentBlock EmbeddedResource ImageContent ResourceContents "
        "ResourceLink TextContent TextResourceContents"
    ),
    "elicitation": (
        "ElicitAction ElicitRequestFormParams ElicitRequestParams ElicitRequestURLParams ElicitResult "
        "ElicitationCompleteNotificationParams"
    ),
    "elicitation_schemas": (
        "BooleanSchema ElicitRequestedSchema EnumOption EnumSchema LegacyTitledEnumSchema MultiSelectEnumSchema "
        "NumberSchema PrimitiveSchemaDefinition SingleSelectEnumSchema StringSchema TitledEnumItems "
        "TitledMultiSelectEnumSchema TitledSingleSelectEnumSchema UntitledEnumItems UntitledMultiSelectEnumSchema "
        "UntitledSingleSelectEnumSchema"
    ),
    "error_data": (
        "MissingRequiredClientCapabilityData URLElicitationRequiredData UnsupportedProtocolVersionData"
    ),
    "extensions": (
        "ExtensionMethod ExtensionNotification ExtensionResult"
    ),
    "fields": (
        "ABSENT Absent"
    ),
    "input_required": (
        "CreateMessageRequest ElicitRequest InputRequest InputRequests InputRequiredResult InputResponse "
        "InputResponseRequestParams InputResponses ListRootsRequest ListRootsRequestParams"
    ),
    "jsonrpc": (
        "BUSY CANCELLED_BY_SERVER DRAINING ErrorData ErrorResponse HEADER_MISMATCH INTERNAL_ERROR INVALID_PARAMS "
        "INVALID_REQUEST JSONRPC_VERSION METHOD_NOT_FOUND MISSING_CLIENT_CAPABILITY Message Notification "
        "PARSE_ERROR ProgressToken RESOURCE_NOT_FOUND Request RequestId Response TIMED_OUT TOO_MANY_SESSIONS "
        "UNSUPPORTED_PROTOCOL_VERSION URL_ELICITATION_REQUIRED"
    ),
    "lifecycle": (
        "DiscoverResult InitializeRequestParams InitializeResult"
    ),
    "logging": (
        "LOGGING_LEVELS LoggingLevel LoggingMessageNotificationParams SetLevelRequestParams"
    ),
    "meta_objects": (
        "MetaObject NotificationMetaObject RequestMetaObject ResultMetaObject SubscriptionsListenResultMetaObject"
    ),
    "metadata": (
        "Annotations CLIENT_CAPABILITIES CLIENT_INFO Icon Implementation LOG_LEVEL PROGRESS_TOKEN "
        "PROTOCOL_VERSION RELATED_TASK Role SERVER_INFO SUBSCRIPTION_ID"
    ),
    "methods": (
        "METHODS Method methods_of"
    ),
    "pagination": (
        "CacheablePage Cursor PaginatedRequestParams PaginatedResult"
    ),
    "payload": (
        "CacheScope CacheableResult EmptyResult NotificationParams RequestParams Result ResultType TaskMetadata"
    ),
    "progress": (
        "ProgressNotificationParams"
    ),
    "prompts": (
        "GetPromptRequestParams GetPromptResult ListPromptsResult Prompt PromptArgument PromptMessage "
        "PromptReference"
    ),
    "resources": (
        "ListResourceTemplatesResult ListResourcesResult ReadResourceRequestParams ReadResourceResult Resource "
        "ResourceRequestParams ResourceTemplate ResourceTemplateReference ResourceUpdatedNotificationParams "
        "SubscribeRequestParams UnsubscribeRequestParams"
    ),
    "revisions": (
        "BY_VERSION Era LATEST LATEST_LEGACY REVISIONS Revision"
    ),
    "roots": (
        "ListRootsResult Root"
    ),
    "sampling": (
        "CreateMessageRequestParams CreateMessageResult ModelHint ModelPreferences SamplingContent "
        "SamplingMessage SamplingMessageContentBlock ToolChoice ToolResultContent ToolUseContent"
    ),
    "subscriptions": (
        "SubscriptionFilter SubscriptionsAcknowledgedNotificationParams SubscriptionsListenRequestParams "
        "SubscriptionsListenResult"
    ),
    "tasks": (
        "CancelTaskResult CreateTaskResult GetTaskPayloadResult GetTaskResult ListTasksResult RelatedTaskMetadata "
        "Task TaskAugmentedRequestParams TaskRequestParams TaskStatus TaskStatusNotificationParams"
    ),
    "tools": (
        "CallToolRequestParams CallToolResult ListToolsResult Tool ToolAnnotations ToolExecution"
    ),
}
# fmt: on

_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    module = _HOME_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
