"""The vocabulary of MCP: the content of its messages, as classes independent of JSON and of revisions.

Each name is defined in the module of its feature and imported on first use (PEP 562), since making
all classes takes as long as starting Trio. Three lists hold the names: for type checkers, for
`import *`, and for the import itself; a test compares them.
"""

# ruff: noqa: I001, RUF022
# The lists are sorted by module and filled, not one name a line.

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# fmt: off
if TYPE_CHECKING:
    from trimcp.types.capabilities import (
        ClientCapabilities, ClientTaskRequestsCapability, ClientTasksCapability, ElicitationCapability,
        ElicitationTasksCapability, Flag, PromptsCapability, ResourcesCapability, RootsCapability,
        SamplingCapability, SamplingTasksCapability, ServerCapabilities, ServerTaskRequestsCapability,
        ServerTasksCapability, ToolsCapability, ToolTasksCapability,
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
        ElicitAction, ElicitationCompleteNotificationParams, ElicitRequestFormParams, ElicitRequestParams,
        ElicitRequestURLParams, ElicitResult, URLElicitationRequiredData,
    )
    from trimcp.types.elicitation_schemas import (
        BooleanSchema, ElicitRequestedSchema, EnumOption, EnumSchema, LegacyTitledEnumSchema,
        MultiSelectEnumSchema, NumberSchema, PrimitiveSchemaDefinition, SingleSelectEnumSchema, StringSchema,
        TitledEnumItems, TitledMultiSelectEnumSchema, TitledSingleSelectEnumSchema, UntitledEnumItems,
        UntitledMultiSelectEnumSchema, UntitledSingleSelectEnumSchema,
    )
    from trimcp.types.extensions import (
        ExtensionMethod, ExtensionNotification, ExtensionResult,
    )
    from trimcp.types.fields import (
        ABSENT, Absent, Extensible,
    )
    from trimcp.types.input_required import (
        CreateMessageRequest, ElicitRequest, InputRequest, InputRequests, InputRequiredResult, InputResponse,
        InputResponseRequestParams, InputResponses, ListRootsRequest, ListRootsRequestParams,
    )
    from trimcp.types.jsonrpc import (
        BUSY, CANCELLED_BY_SERVER, DRAINING, ErrorData, ErrorResponse, HEADER_MISMATCH, INTERNAL_ERROR,
        INVALID_PARAMS, INVALID_REQUEST, JSONRPC_VERSION, Message, METHOD_NOT_FOUND, MISSING_CLIENT_CAPABILITY,
        Notification, PARSE_ERROR, ProgressToken, Request, RequestId, RESOURCE_NOT_FOUND, Response, TIMED_OUT,
        TOO_MANY_SESSIONS, UNSUPPORTED_PROTOCOL_VERSION, URL_ELICITATION_REQUIRED,
    )
    from trimcp.types.lifecycle import (
        DiscoverResult, InitializeRequestParams, InitializeResult,
    )
    from trimcp.types.meta_objects import (
        MetaObject, MissingRequiredClientCapabilityData, NotificationMetaObject, RequestMetaObject,
        ResultMetaObject, SubscriptionsListenResultMetaObject, UnsupportedProtocolVersionData,
    )
    from trimcp.types.metadata import (
        Annotations, CLIENT_CAPABILITIES, CLIENT_INFO, Icon, Implementation, LOG_LEVEL, PROGRESS_TOKEN,
        PROTOCOL_VERSION, RELATED_TASK, Role, SERVER_INFO, SUBSCRIPTION_ID,
    )
    from trimcp.types.methods import (
        Method, METHODS, methods_of,
    )
    from trimcp.types.payload import (
        CacheablePage, CacheableResult, CacheScope, Cursor, EmptyResult, NotificationParams,
        PaginatedRequestParams, PaginatedResult, RequestParams, Result, ResultType, TaskMetadata,
    )
    from trimcp.types.prompts import (
        GetPromptRequestParams, GetPromptResult, ListPromptsResult, Prompt, PromptArgument, PromptMessage,
        PromptReference,
    )
    from trimcp.types.resources import (
        ListResourcesResult, ListResourceTemplatesResult, ReadResourceRequestParams, ReadResourceResult, Resource,
        ResourceRequestParams, ResourceTemplate, ResourceTemplateReference, ResourceUpdatedNotificationParams,
        SubscribeRequestParams, UnsubscribeRequestParams,
    )
    from trimcp.types.revisions import (
        BY_VERSION, Era, LATEST, LATEST_LEGACY, Revision, REVISIONS,
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
    from trimcp.types.task_extension import CreatedTask, DetailedTask, ExtensionTask, UpdateTaskParams
    from trimcp.types.tasks import (
        CancelTaskResult, CreateTaskResult, GetTaskPayloadResult, GetTaskResult, ListTasksResult,
        RelatedTaskMetadata, Task, TaskAugmentedRequestParams, TaskRequestParams, TaskStatus,
        TaskStatusNotificationParams,
    )
    from trimcp.types.tools import (
        CallToolRequestParams, CallToolResult, ListToolsResult, Tool, ToolAnnotations, ToolExecution,
    )
    from trimcp.types.utilities import (
        CancelledNotificationParams, LOGGING_LEVELS, LoggingLevel, LoggingMessageNotificationParams,
        ProgressNotificationParams, SetLevelRequestParams,
    )

__all__ = [
    "ClientCapabilities", "ClientTaskRequestsCapability", "ClientTasksCapability", "ElicitationCapability",
    "ElicitationTasksCapability", "Flag", "PromptsCapability", "ResourcesCapability", "RootsCapability",
    "SamplingCapability", "SamplingTasksCapability", "ServerCapabilities", "ServerTaskRequestsCapability",
    "ServerTasksCapability", "ToolsCapability", "ToolTasksCapability",
    "CompleteRequestParams", "CompleteResult", "Completion", "CompletionArgument", "CompletionContext",
    "CompletionReference", "MAX_COMPLETION_VALUES",
    "AudioContent", "BlobResourceContents", "ContentBlock", "EmbeddedResource", "ImageContent", "ResourceContents",
    "ResourceLink", "TextContent", "TextResourceContents",
    "ElicitAction", "ElicitationCompleteNotificationParams", "ElicitRequestFormParams", "ElicitRequestParams",
    "ElicitRequestURLParams", "ElicitResult", "URLElicitationRequiredData",
    "BooleanSchema", "ElicitRequestedSchema", "EnumOption", "EnumSchema", "LegacyTitledEnumSchema",
    "MultiSelectEnumSchema", "NumberSchema", "PrimitiveSchemaDefinition", "SingleSelectEnumSchema", "StringSchema",
    "TitledEnumItems", "TitledMultiSelectEnumSchema", "TitledSingleSelectEnumSchema", "UntitledEnumItems",
    "UntitledMultiSelectEnumSchema", "UntitledSingleSelectEnumSchema",
    "ExtensionMethod", "ExtensionNotification", "ExtensionResult",
    "ABSENT", "Absent", "Extensible",
    "CreateMessageRequest", "ElicitRequest", "InputRequest", "InputRequests", "InputRequiredResult", "InputResponse",
    "InputResponseRequestParams", "InputResponses", "ListRootsRequest", "ListRootsRequestParams",
    "BUSY", "CANCELLED_BY_SERVER", "DRAINING", "ErrorData", "ErrorResponse", "HEADER_MISMATCH", "INTERNAL_ERROR",
    "INVALID_PARAMS", "INVALID_REQUEST", "JSONRPC_VERSION", "Message", "METHOD_NOT_FOUND",
    "MISSING_CLIENT_CAPABILITY", "Notification", "PARSE_ERROR", "ProgressToken", "Request", "RequestId",
    "RESOURCE_NOT_FOUND", "Response", "TIMED_OUT", "TOO_MANY_SESSIONS", "UNSUPPORTED_PROTOCOL_VERSION",
    "URL_ELICITATION_REQUIRED",
    "DiscoverResult", "InitializeRequestParams", "InitializeResult", "MetaObject",
    "MissingRequiredClientCapabilityData", "NotificationMetaObject", "RequestMetaObject", "ResultMetaObject",
    "SubscriptionsListenResultMetaObject", "UnsupportedProtocolVersionData",
    "Annotations", "CLIENT_CAPABILITIES", "CLIENT_INFO", "Icon", "Implementation", "LOG_LEVEL", "PROGRESS_TOKEN",
    "PROTOCOL_VERSION", "RELATED_TASK", "Role", "SERVER_INFO", "SUBSCRIPTION_ID",
    "Method", "METHODS", "methods_of",
    "CacheablePage", "CacheableResult", "CacheScope", "Cursor", "EmptyResult", "NotificationParams",
    "PaginatedRequestParams", "PaginatedResult", "RequestParams", "Result", "ResultType", "TaskMetadata",
    "GetPromptRequestParams", "GetPromptResult", "ListPromptsResult", "Prompt", "PromptArgument", "PromptMessage",
    "PromptReference",
    "ListResourcesResult", "ListResourceTemplatesResult", "ReadResourceRequestParams", "ReadResourceResult",
    "Resource", "ResourceRequestParams", "ResourceTemplate", "ResourceTemplateReference",
    "ResourceUpdatedNotificationParams", "SubscribeRequestParams", "UnsubscribeRequestParams",
    "BY_VERSION", "Era", "LATEST", "LATEST_LEGACY", "Revision", "REVISIONS",
    "ListRootsResult", "Root",
    "CreateMessageRequestParams", "CreateMessageResult", "ModelHint", "ModelPreferences", "SamplingContent",
    "SamplingMessage", "SamplingMessageContentBlock", "ToolChoice", "ToolResultContent", "ToolUseContent",
    "SubscriptionFilter", "SubscriptionsAcknowledgedNotificationParams", "SubscriptionsListenRequestParams",
    "SubscriptionsListenResult",
    "CreatedTask", "DetailedTask", "ExtensionTask", "UpdateTaskParams",
    "CancelTaskResult", "CreateTaskResult", "GetTaskPayloadResult", "GetTaskResult", "ListTasksResult",
    "RelatedTaskMetadata", "Task", "TaskAugmentedRequestParams", "TaskRequestParams", "TaskStatus",
    "TaskStatusNotificationParams",
    "CallToolRequestParams", "CallToolResult", "ListToolsResult", "Tool", "ToolAnnotations", "ToolExecution",
    "CancelledNotificationParams", "LOGGING_LEVELS", "LoggingLevel", "LoggingMessageNotificationParams",
    "ProgressNotificationParams", "SetLevelRequestParams",
]

_HOMES = {
    "capabilities": (
        "ClientCapabilities ClientTaskRequestsCapability ClientTasksCapability ElicitationCapability "
        "ElicitationTasksCapability Flag PromptsCapability ResourcesCapability RootsCapability SamplingCapability "
        "SamplingTasksCapability ServerCapabilities ServerTaskRequestsCapability ServerTasksCapability "
        "ToolsCapability ToolTasksCapability"
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
        "ElicitAction ElicitationCompleteNotificationParams ElicitRequestFormParams ElicitRequestParams "
        "ElicitRequestURLParams ElicitResult URLElicitationRequiredData"
    ),
    "elicitation_schemas": (
        "BooleanSchema ElicitRequestedSchema EnumOption EnumSchema LegacyTitledEnumSchema MultiSelectEnumSchema "
        "NumberSchema PrimitiveSchemaDefinition SingleSelectEnumSchema StringSchema TitledEnumItems "
        "TitledMultiSelectEnumSchema TitledSingleSelectEnumSchema UntitledEnumItems UntitledMultiSelectEnumSchema "
        "UntitledSingleSelectEnumSchema"
    ),
    "extensions": (
        "ExtensionMethod ExtensionNotification ExtensionResult"
    ),
    "fields": (
        "ABSENT Absent Extensible"
    ),
    "input_required": (
        "CreateMessageRequest ElicitRequest InputRequest InputRequests InputRequiredResult InputResponse "
        "InputResponseRequestParams InputResponses ListRootsRequest ListRootsRequestParams"
    ),
    "jsonrpc": (
        "BUSY CANCELLED_BY_SERVER DRAINING ErrorData ErrorResponse HEADER_MISMATCH INTERNAL_ERROR INVALID_PARAMS "
        "INVALID_REQUEST JSONRPC_VERSION Message METHOD_NOT_FOUND MISSING_CLIENT_CAPABILITY Notification "
        "PARSE_ERROR ProgressToken Request RequestId RESOURCE_NOT_FOUND Response TIMED_OUT TOO_MANY_SESSIONS "
        "UNSUPPORTED_PROTOCOL_VERSION URL_ELICITATION_REQUIRED"
    ),
    "lifecycle": (
        "DiscoverResult InitializeRequestParams InitializeResult"
    ),
    "meta_objects": (
        "MetaObject MissingRequiredClientCapabilityData NotificationMetaObject RequestMetaObject ResultMetaObject "
        "SubscriptionsListenResultMetaObject UnsupportedProtocolVersionData"
    ),
    "metadata": (
        "Annotations CLIENT_CAPABILITIES CLIENT_INFO Icon Implementation LOG_LEVEL PROGRESS_TOKEN PROTOCOL_VERSION "
        "RELATED_TASK Role SERVER_INFO SUBSCRIPTION_ID"
    ),
    "methods": (
        "Method METHODS methods_of"
    ),
    "payload": (
        "CacheablePage CacheableResult CacheScope Cursor EmptyResult NotificationParams PaginatedRequestParams "
        "PaginatedResult RequestParams Result ResultType TaskMetadata"
    ),
    "prompts": (
        "GetPromptRequestParams GetPromptResult ListPromptsResult Prompt PromptArgument PromptMessage "
        "PromptReference"
    ),
    "resources": (
        "ListResourcesResult ListResourceTemplatesResult ReadResourceRequestParams ReadResourceResult Resource "
        "ResourceRequestParams ResourceTemplate ResourceTemplateReference ResourceUpdatedNotificationParams "
        "SubscribeRequestParams UnsubscribeRequestParams"
    ),
    "revisions": (
        "BY_VERSION Era LATEST LATEST_LEGACY Revision REVISIONS"
    ),
    "roots": (
        "ListRootsResult Root"
    ),
    "sampling": (
        "CreateMessageRequestParams CreateMessageResult ModelHint ModelPreferences SamplingContent SamplingMessage "
        "SamplingMessageContentBlock ToolChoice ToolResultContent ToolUseContent"
    ),
    "subscriptions": (
        "SubscriptionFilter SubscriptionsAcknowledgedNotificationParams SubscriptionsListenRequestParams "
        "SubscriptionsListenResult"
    ),
    "task_extension": (
        "CreatedTask DetailedTask ExtensionTask UpdateTaskParams"
    ),
    "tasks": (
        "CancelTaskResult CreateTaskResult GetTaskPayloadResult GetTaskResult ListTasksResult RelatedTaskMetadata "
        "Task TaskAugmentedRequestParams TaskRequestParams TaskStatus TaskStatusNotificationParams"
    ),
    "tools": (
        "CallToolRequestParams CallToolResult ListToolsResult Tool ToolAnnotations ToolExecution"
    ),
    "utilities": (
        "CancelledNotificationParams LOGGING_LEVELS LoggingLevel LoggingMessageNotificationParams "
        "ProgressNotificationParams SetLevelRequestParams"
    ),
}
# fmt: on

_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}


if not TYPE_CHECKING:  # a type checker that sees the function accepts every name

    def __getattr__(name: str) -> Any:
        module = _HOME_OF.get(name)
        if module is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(importlib.import_module(f"{__name__}.{module}"), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
