"""What each definition of the official schemas is here: one row for each name and span of revisions.

`test_definitions` holds the table against the schemas in both directions; `test_examples` and
`test_refusals` go through it. A new revision begins with its rows here.
"""

import attrs

from trimcp.types.jsonrpc import ErrorResponse, Notification, Request, Response
from trimcp.types.revisions import REVISIONS, Revision


@attrs.frozen
class Value:
    """A class, union or alias of `trimcp.types`, by its dotted name."""

    type: str


@attrs.frozen
class Message:
    """A request or notification: a row of the method table, and the class of its params there."""

    method: str


@attrs.frozen
class Answer:
    """The response to a request: the class of its result, or `InputRequiredResult`."""

    method: str


@attrs.frozen
class Envelope:
    """A JSON-RPC message as such: the classes of `trimcp.types.jsonrpc` it may be."""

    kinds: tuple[type, ...]
    batch: bool = False
    """Whether it is an array of such messages."""


@attrs.frozen
class ErrorObject:
    """The `error` of a response; the constant is in `trimcp.types.jsonrpc`."""

    code: str | None = None


@attrs.frozen
class ErrorMessage:
    """A response with an error of a certain code, and the class of its data."""

    code: str
    data: str | None = None


@attrs.frozen
class Parts:
    """Properties that several classes have in common."""

    types: tuple[str, ...]


@attrs.frozen
class Sent:
    """The union of all messages of a kind that one side sends."""

    side: str
    kind: str


@attrs.frozen
class Results:
    """The union of all results of one side, each of which has its own row."""


@attrs.frozen
class AnyJson:
    """Any JSON value; it stays raw."""


@attrs.frozen
class Abstract:
    """What messages have in common before they have a method: nothing of its own here."""


Target = Value | Message | Answer | Envelope | ErrorObject | ErrorMessage | Parts | Sent | Results | AnyJson | Abstract


@attrs.frozen
class Row:
    """One definition in a span of revisions, both ends by their order."""

    name: str
    target: Target
    since: int
    until: int

    def exists_in(self, revision: Revision) -> bool:
        return self.since <= revision.order <= self.until


ROWS = (
    Row(
        "Annotated",
        Parts(("content.TextContent", "content.ImageContent", "content.EmbeddedResource", "resources.Resource")),
        0,
        0,
    ),
    Row("Annotations", Value("metadata.Annotations"), 1, 4),
    Row("AudioContent", Value("content.AudioContent"), 1, 4),
    Row("BaseMetadata", Parts(("metadata.Implementation", "tools.Tool", "resources.Resource", "prompts.Prompt")), 2, 4),
    Row("BlobResourceContents", Value("content.BlobResourceContents"), 0, 4),
    Row("BooleanSchema", Value("elicitation_schemas.BooleanSchema"), 2, 4),
    Row("CacheableResult", Value("payload.CacheableResult"), 4, 4),
    Row("CallToolRequest", Message("tools/call"), 0, 4),
    Row("CallToolRequestParams", Value("tools.CallToolRequestParams"), 3, 4),
    Row("CallToolResult", Value("tools.CallToolResult"), 0, 4),
    Row("CallToolResultResponse", Answer("tools/call"), 4, 4),
    Row("CancelTaskRequest", Message("tasks/cancel"), 3, 3),
    Row("CancelTaskResult", Value("tasks.CancelTaskResult"), 3, 3),
    Row("CancelledNotification", Message("notifications/cancelled"), 0, 4),
    Row("CancelledNotificationParams", Value("utilities.CancelledNotificationParams"), 3, 4),
    Row("ClientCapabilities", Value("capabilities.ClientCapabilities"), 0, 4),
    Row("ClientNotification", Sent("client", "notification"), 0, 3),
    Row("ClientNotification", Message("notifications/cancelled"), 4, 4),
    Row("ClientRequest", Sent("client", "request"), 0, 4),
    Row("ClientResult", Results(), 0, 4),
    Row("CompleteRequest", Message("completion/complete"), 0, 4),
    Row("CompleteRequestParams", Value("completion.CompleteRequestParams"), 3, 4),
    Row("CompleteResult", Value("completion.CompleteResult"), 0, 4),
    Row("CompleteResultResponse", Answer("completion/complete"), 4, 4),
    Row("ContentBlock", Value("content.ContentBlock"), 2, 4),
    Row("CreateMessageRequest", Message("sampling/createMessage"), 0, 3),
    Row("CreateMessageRequest", Value("input_required.CreateMessageRequest"), 4, 4),
    Row("CreateMessageRequestParams", Value("sampling.CreateMessageRequestParams"), 3, 4),
    Row("CreateMessageResult", Value("sampling.CreateMessageResult"), 0, 4),
    Row("CreateTaskResult", Value("tasks.CreateTaskResult"), 3, 3),
    Row("Cursor", Value("payload.Cursor"), 0, 4),
    Row("DiscoverRequest", Message("server/discover"), 4, 4),
    Row("DiscoverResult", Value("lifecycle.DiscoverResult"), 4, 4),
    Row("DiscoverResultResponse", Answer("server/discover"), 4, 4),
    Row("ElicitRequest", Message("elicitation/create"), 2, 3),
    Row("ElicitRequest", Value("input_required.ElicitRequest"), 4, 4),
    Row("ElicitRequestFormParams", Value("elicitation.ElicitRequestFormParams"), 3, 4),
    Row("ElicitRequestParams", Value("elicitation.ElicitRequestParams"), 3, 4),
    Row("ElicitRequestURLParams", Value("elicitation.ElicitRequestURLParams"), 3, 4),
    Row("ElicitResult", Value("elicitation.ElicitResult"), 2, 4),
    Row("ElicitationCompleteNotification", Message("notifications/elicitation/complete"), 3, 3),
    Row("EmbeddedResource", Value("content.EmbeddedResource"), 0, 4),
    Row("EmptyResult", Value("payload.EmptyResult"), 0, 4),
    Row("EnumSchema", Value("elicitation_schemas.LegacyTitledEnumSchema"), 2, 2),
    Row("EnumSchema", Value("elicitation_schemas.EnumSchema"), 3, 4),
    Row("Error", ErrorObject(), 3, 4),
    Row("GetPromptRequest", Message("prompts/get"), 0, 4),
    Row("GetPromptRequestParams", Value("prompts.GetPromptRequestParams"), 3, 4),
    Row("GetPromptResult", Value("prompts.GetPromptResult"), 0, 4),
    Row("GetPromptResultResponse", Answer("prompts/get"), 4, 4),
    Row("GetTaskPayloadRequest", Message("tasks/result"), 3, 3),
    Row("GetTaskPayloadResult", Value("tasks.GetTaskPayloadResult"), 3, 3),
    Row("GetTaskRequest", Message("tasks/get"), 3, 3),
    Row("GetTaskResult", Value("tasks.GetTaskResult"), 3, 3),
    Row("HeaderMismatchError", ErrorMessage("HEADER_MISMATCH"), 4, 4),
    Row("Icon", Value("metadata.Icon"), 3, 4),
    Row("Icons", Parts(("metadata.Implementation", "tools.Tool", "resources.Resource", "prompts.Prompt")), 3, 4),
    Row("ImageContent", Value("content.ImageContent"), 0, 4),
    Row("Implementation", Value("metadata.Implementation"), 0, 4),
    Row("InitializeRequest", Message("initialize"), 0, 3),
    Row("InitializeRequestParams", Value("lifecycle.InitializeRequestParams"), 3, 3),
    Row("InitializeResult", Value("lifecycle.InitializeResult"), 0, 3),
    Row("InitializedNotification", Message("notifications/initialized"), 0, 3),
    Row("InputRequest", Value("input_required.InputRequest"), 4, 4),
    Row("InputRequests", Value("input_required.InputRequests"), 4, 4),
    Row("InputRequiredResult", Value("input_required.InputRequiredResult"), 4, 4),
    Row("InputResponse", Value("input_required.InputResponse"), 4, 4),
    Row("InputResponseRequestParams", Value("input_required.InputResponseRequestParams"), 4, 4),
    Row("InputResponses", Value("input_required.InputResponses"), 4, 4),
    Row("InternalError", ErrorObject("INTERNAL_ERROR"), 4, 4),
    Row("InvalidParamsError", ErrorObject("INVALID_PARAMS"), 4, 4),
    Row("InvalidRequestError", ErrorObject("INVALID_REQUEST"), 4, 4),
    Row("JSONArray", AnyJson(), 4, 4),
    Row("JSONObject", AnyJson(), 4, 4),
    Row("JSONRPCBatchRequest", Envelope((Request, Notification), batch=True), 1, 1),
    Row("JSONRPCBatchResponse", Envelope((Response, ErrorResponse), batch=True), 1, 1),
    Row("JSONRPCError", Envelope((ErrorResponse,)), 0, 2),
    Row("JSONRPCErrorResponse", Envelope((ErrorResponse,)), 3, 4),
    Row("JSONRPCMessage", Envelope((Request, Notification, Response, ErrorResponse)), 0, 4),
    Row("JSONRPCNotification", Envelope((Notification,)), 0, 4),
    Row("JSONRPCRequest", Envelope((Request,)), 0, 4),
    Row("JSONRPCResponse", Envelope((Response,)), 0, 2),
    Row("JSONRPCResponse", Envelope((Response, ErrorResponse)), 3, 4),
    Row("JSONRPCResultResponse", Envelope((Response,)), 3, 4),
    Row("JSONValue", AnyJson(), 4, 4),
    Row("LegacyTitledEnumSchema", Value("elicitation_schemas.LegacyTitledEnumSchema"), 3, 4),
    Row("ListPromptsRequest", Message("prompts/list"), 0, 4),
    Row("ListPromptsResult", Value("prompts.ListPromptsResult"), 0, 4),
    Row("ListPromptsResultResponse", Answer("prompts/list"), 4, 4),
    Row("ListResourceTemplatesRequest", Message("resources/templates/list"), 0, 4),
    Row("ListResourceTemplatesResult", Value("resources.ListResourceTemplatesResult"), 0, 4),
    Row("ListResourceTemplatesResultResponse", Answer("resources/templates/list"), 4, 4),
    Row("ListResourcesRequest", Message("resources/list"), 0, 4),
    Row("ListResourcesResult", Value("resources.ListResourcesResult"), 0, 4),
    Row("ListResourcesResultResponse", Answer("resources/list"), 4, 4),
    Row("ListRootsRequest", Message("roots/list"), 0, 3),
    Row("ListRootsRequest", Value("input_required.ListRootsRequest"), 4, 4),
    Row("ListRootsResult", Value("roots.ListRootsResult"), 0, 4),
    Row("ListTasksRequest", Message("tasks/list"), 3, 3),
    Row("ListTasksResult", Value("tasks.ListTasksResult"), 3, 3),
    Row("ListToolsRequest", Message("tools/list"), 0, 4),
    Row("ListToolsResult", Value("tools.ListToolsResult"), 0, 4),
    Row("ListToolsResultResponse", Answer("tools/list"), 4, 4),
    Row("LoggingLevel", Value("utilities.LoggingLevel"), 0, 4),
    Row("LoggingMessageNotification", Message("notifications/message"), 0, 4),
    Row("LoggingMessageNotificationParams", Value("utilities.LoggingMessageNotificationParams"), 3, 4),
    Row("MetaObject", Value("meta_objects.MetaObject"), 4, 4),
    Row("MethodNotFoundError", ErrorObject("METHOD_NOT_FOUND"), 4, 4),
    Row(
        "MissingRequiredClientCapabilityError",
        ErrorMessage("MISSING_CLIENT_CAPABILITY", "meta_objects.MissingRequiredClientCapabilityData"),
        4,
        4,
    ),
    Row("ModelHint", Value("sampling.ModelHint"), 0, 4),
    Row("ModelPreferences", Value("sampling.ModelPreferences"), 0, 4),
    Row("MultiSelectEnumSchema", Value("elicitation_schemas.MultiSelectEnumSchema"), 3, 4),
    Row("Notification", Abstract(), 0, 4),
    Row("NotificationMetaObject", Value("meta_objects.NotificationMetaObject"), 4, 4),
    Row("NotificationParams", Value("payload.NotificationParams"), 3, 4),
    Row("NumberSchema", Value("elicitation_schemas.NumberSchema"), 2, 4),
    Row("PaginatedRequest", Abstract(), 0, 4),
    Row("PaginatedRequestParams", Value("payload.PaginatedRequestParams"), 3, 4),
    Row("PaginatedResult", Value("payload.PaginatedResult"), 0, 4),
    Row("ParseError", ErrorObject("PARSE_ERROR"), 4, 4),
    Row("PingRequest", Message("ping"), 0, 3),
    Row("PrimitiveSchemaDefinition", Value("elicitation_schemas.PrimitiveSchemaDefinition"), 2, 4),
    Row("ProgressNotification", Message("notifications/progress"), 0, 4),
    Row("ProgressNotificationParams", Value("utilities.ProgressNotificationParams"), 3, 4),
    Row("ProgressToken", Value("jsonrpc.ProgressToken"), 0, 4),
    Row("Prompt", Value("prompts.Prompt"), 0, 4),
    Row("PromptArgument", Value("prompts.PromptArgument"), 0, 4),
    Row("PromptListChangedNotification", Message("notifications/prompts/list_changed"), 0, 4),
    Row("PromptMessage", Value("prompts.PromptMessage"), 0, 4),
    Row("PromptReference", Value("prompts.PromptReference"), 0, 4),
    Row("ReadResourceRequest", Message("resources/read"), 0, 4),
    Row("ReadResourceRequestParams", Value("resources.ReadResourceRequestParams"), 3, 4),
    Row("ReadResourceResult", Value("resources.ReadResourceResult"), 0, 4),
    Row("ReadResourceResultResponse", Answer("resources/read"), 4, 4),
    Row("RelatedTaskMetadata", Value("tasks.RelatedTaskMetadata"), 3, 3),
    Row("Request", Abstract(), 0, 4),
    Row("RequestId", Value("jsonrpc.RequestId"), 0, 4),
    Row("RequestMetaObject", Value("meta_objects.RequestMetaObject"), 4, 4),
    Row("RequestParams", Value("payload.RequestParams"), 3, 4),
    Row("Resource", Value("resources.Resource"), 0, 4),
    Row("ResourceContents", Parts(("content.TextResourceContents", "content.BlobResourceContents")), 0, 4),
    Row("ResourceLink", Value("content.ResourceLink"), 2, 4),
    Row("ResourceListChangedNotification", Message("notifications/resources/list_changed"), 0, 4),
    Row("ResourceReference", Value("resources.ResourceTemplateReference"), 0, 1),
    Row("ResourceRequestParams", Value("resources.ResourceRequestParams"), 3, 4),
    Row("ResourceTemplate", Value("resources.ResourceTemplate"), 0, 4),
    Row("ResourceTemplateReference", Value("resources.ResourceTemplateReference"), 2, 4),
    Row("ResourceUpdatedNotification", Message("notifications/resources/updated"), 0, 4),
    Row("ResourceUpdatedNotificationParams", Value("resources.ResourceUpdatedNotificationParams"), 3, 4),
    Row("Result", Value("payload.Result"), 0, 4),
    Row("ResultMetaObject", Value("meta_objects.ResultMetaObject"), 4, 4),
    Row("ResultType", Value("payload.ResultType"), 4, 4),
    Row("Role", Value("metadata.Role"), 0, 4),
    Row("Root", Value("roots.Root"), 0, 4),
    Row("RootsListChangedNotification", Message("notifications/roots/list_changed"), 0, 3),
    Row("SamplingMessage", Value("sampling.SamplingMessage"), 0, 4),
    Row("SamplingMessageContentBlock", Value("sampling.SamplingMessageContentBlock"), 3, 4),
    Row("ServerCapabilities", Value("capabilities.ServerCapabilities"), 0, 4),
    Row("ServerNotification", Sent("server", "notification"), 0, 4),
    Row("ServerRequest", Sent("server", "request"), 0, 3),
    Row("ServerResult", Results(), 0, 4),
    Row("SetLevelRequest", Message("logging/setLevel"), 0, 3),
    Row("SetLevelRequestParams", Value("utilities.SetLevelRequestParams"), 3, 3),
    Row("SingleSelectEnumSchema", Value("elicitation_schemas.SingleSelectEnumSchema"), 3, 4),
    Row("StringSchema", Value("elicitation_schemas.StringSchema"), 2, 4),
    Row("SubscribeRequest", Message("resources/subscribe"), 0, 3),
    Row("SubscribeRequestParams", Value("resources.SubscribeRequestParams"), 3, 3),
    Row("SubscriptionFilter", Value("subscriptions.SubscriptionFilter"), 4, 4),
    Row("SubscriptionsAcknowledgedNotification", Message("notifications/subscriptions/acknowledged"), 4, 4),
    Row(
        "SubscriptionsAcknowledgedNotificationParams",
        Value("subscriptions.SubscriptionsAcknowledgedNotificationParams"),
        4,
        4,
    ),
    Row("SubscriptionsListenRequest", Message("subscriptions/listen"), 4, 4),
    Row("SubscriptionsListenRequestParams", Value("subscriptions.SubscriptionsListenRequestParams"), 4, 4),
    Row("SubscriptionsListenResult", Value("subscriptions.SubscriptionsListenResult"), 4, 4),
    Row("SubscriptionsListenResultMetaObject", Value("meta_objects.SubscriptionsListenResultMetaObject"), 4, 4),
    Row("SubscriptionsListenResultResponse", Answer("subscriptions/listen"), 4, 4),
    Row("Task", Value("tasks.Task"), 3, 3),
    Row("TaskAugmentedRequestParams", Value("tasks.TaskAugmentedRequestParams"), 3, 3),
    Row("TaskMetadata", Value("payload.TaskMetadata"), 3, 3),
    Row("TaskStatus", Value("tasks.TaskStatus"), 3, 3),
    Row("TaskStatusNotification", Message("notifications/tasks/status"), 3, 3),
    Row("TaskStatusNotificationParams", Value("tasks.TaskStatusNotificationParams"), 3, 3),
    Row("TextContent", Value("content.TextContent"), 0, 4),
    Row("TextResourceContents", Value("content.TextResourceContents"), 0, 4),
    Row("TitledMultiSelectEnumSchema", Value("elicitation_schemas.TitledMultiSelectEnumSchema"), 3, 4),
    Row("TitledSingleSelectEnumSchema", Value("elicitation_schemas.TitledSingleSelectEnumSchema"), 3, 4),
    Row("Tool", Value("tools.Tool"), 0, 4),
    Row("ToolAnnotations", Value("tools.ToolAnnotations"), 1, 4),
    Row("ToolChoice", Value("sampling.ToolChoice"), 3, 4),
    Row("ToolExecution", Value("tools.ToolExecution"), 3, 3),
    Row("ToolListChangedNotification", Message("notifications/tools/list_changed"), 0, 4),
    Row("ToolResultContent", Value("sampling.ToolResultContent"), 3, 4),
    Row("ToolUseContent", Value("sampling.ToolUseContent"), 3, 4),
    Row(
        "URLElicitationRequiredError",
        ErrorMessage("URL_ELICITATION_REQUIRED", "elicitation.URLElicitationRequiredData"),
        3,
        3,
    ),
    Row("UnsubscribeRequest", Message("resources/unsubscribe"), 0, 3),
    Row("UnsubscribeRequestParams", Value("resources.UnsubscribeRequestParams"), 3, 3),
    Row(
        "UnsupportedProtocolVersionError",
        ErrorMessage("UNSUPPORTED_PROTOCOL_VERSION", "meta_objects.UnsupportedProtocolVersionData"),
        4,
        4,
    ),
    Row("UntitledMultiSelectEnumSchema", Value("elicitation_schemas.UntitledMultiSelectEnumSchema"), 3, 4),
    Row("UntitledSingleSelectEnumSchema", Value("elicitation_schemas.UntitledSingleSelectEnumSchema"), 3, 4),
)


def rows_of(revision: Revision) -> dict[str, Row]:
    """The definitions of a revision, by name."""
    return {row.name: row for row in ROWS if row.exists_in(revision)}


CASES = [(revision, row) for revision in REVISIONS for row in rows_of(revision).values()]
"""Every definition of every revision."""


def case_id(value: object) -> str:
    """How pytest shows an entry of `CASES`."""
    return value.version if isinstance(value, Revision) else getattr(value, "name", str(value))
