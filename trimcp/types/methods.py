"""The table of MCP's methods: the sender, the revisions, params and result of each.

Codec, session, documentation and tests read it; a method that a revision dropped is a row that
ended. Dotted strings name the classes, which are imported on first use, since each takes half a
millisecond to make.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from typing import Any, Final, Literal

import attrs

from trimcp.types.revisions import LATEST, R2025_03_26, R2025_06_18, R2025_11_25, R2026_07_28, Revision
from trimcp.values import FrozenValue

Kind = Literal["request", "notification"]
Side = Literal["client", "server"]
Sender = Literal["client", "server", "both"]

DEFAULT_DEADLINE: Final = 60.0
"""The default deadline of a caller, in seconds: that of the widely used SDKs."""
HUMAN_DEADLINE: Final = 600.0
"""The deadline, in seconds, for answers of a person, or of a model that a person watches."""


@attrs.frozen(eq=False, repr=False)
class Method(FrozenValue):
    """Holds one method in a span of revisions."""

    name: str
    kind: Kind
    sender: Sender
    """The sides that may send it."""
    params: str
    """The class of its params, as `module.Class` below `trimcp.types`; `resolve` finds it."""
    result: str | None = None
    """The class of its result; None for notifications."""
    since: int = 0
    """The order of the first revision that has it."""
    until: int = LATEST.order
    """The order of the last one."""
    capability: str | None = None
    """The capability that must be declared, as a path of attributes: by the receiver of a request, or by
    the sender of a notification, in its `ServerCapabilities` or `ClientCapabilities`."""
    cancellable: bool = True
    """Whether its sender may cancel it."""
    takes_place: bool = True
    """Whether it counts among the requests in flight. Requests that must work while the receiver is
    busy do not, nor does `subscriptions/listen`, which has a limit of its own."""
    default_deadline: float | None = DEFAULT_DEADLINE
    """The seconds that its caller waits by default; None: without a limit."""
    asks: bool = False
    """Whether its result may be `input_required` (2026-07-28)."""
    cacheable: bool = False
    """Whether its result has caching hints (2026-07-28)."""
    augmentable: bool = False
    """Whether its sender may make it a task (2025-11-25)."""

    def exists_in(self, revision: Revision) -> bool:
        """Tell whether the revision has this row."""
        return self.since <= revision.order <= self.until

    def sent_by(self, side: Side) -> bool:
        """Tell whether that side may send it."""
        return self.sender == side or self.sender == "both"


_LEGACY: Final = R2025_11_25


def _request(name: str, sender: Sender, params: str, result: str, **more: Any) -> Method:
    return Method(name, "request", sender, params, result, **more)


def _notification(
    name: str, sender: Sender, params: str = "payload.NotificationParams", since: int = 0, **more: Any
) -> Method:
    return Method(
        name,
        "notification",
        sender,
        params,
        since=since,
        cancellable=False,
        takes_place=False,
        default_deadline=None,
        **more,
    )


# fmt: off
ROWS: Final = (
    # Lifecycle and discovery.
    _request("initialize", "client", "lifecycle.InitializeRequestParams", "lifecycle.InitializeResult", until=_LEGACY,
        cancellable=False, takes_place=False),
    _notification("notifications/initialized", "client", until=_LEGACY),
    _request("server/discover", "client", "payload.RequestParams", "lifecycle.DiscoverResult", since=R2026_07_28,
        takes_place=False, cacheable=True),
    _request("ping", "both", "payload.RequestParams", "payload.Result", until=_LEGACY, takes_place=False),
    # Utilities of requests.
    _notification("notifications/cancelled", "both", "utilities.CancelledNotificationParams"),
    _notification("notifications/progress", "both", "utilities.ProgressNotificationParams", until=_LEGACY),
    _notification("notifications/progress", "server", "utilities.ProgressNotificationParams", since=R2026_07_28),
    # Tools.
    _request("tools/list", "client", "payload.PaginatedRequestParams", "tools.ListToolsResult", capability="tools",
        cacheable=True),
    _request("tools/call", "client", "tools.CallToolRequestParams", "tools.CallToolResult", capability="tools",
        asks=True, augmentable=True),
    _notification("notifications/tools/list_changed", "server", capability="tools.list_changed"),
    # Resources.
    _request("resources/list", "client", "payload.PaginatedRequestParams", "resources.ListResourcesResult",
        capability="resources", cacheable=True),
    _request("resources/templates/list", "client", "payload.PaginatedRequestParams",
        "resources.ListResourceTemplatesResult", capability="resources", cacheable=True),
    _request("resources/read", "client", "resources.ReadResourceRequestParams", "resources.ReadResourceResult",
        capability="resources", asks=True, cacheable=True),
    _request("resources/subscribe", "client", "resources.SubscribeRequestParams", "payload.Result", until=_LEGACY,
        capability="resources.subscribe"),
    _request("resources/unsubscribe", "client", "resources.UnsubscribeRequestParams", "payload.Result", until=_LEGACY,
        capability="resources.subscribe"),
    _notification("notifications/resources/list_changed", "server", capability="resources.list_changed"),
    _notification("notifications/resources/updated", "server", "resources.ResourceUpdatedNotificationParams",
        capability="resources.subscribe"),
    # Prompts and completion.
    _request("prompts/list", "client", "payload.PaginatedRequestParams", "prompts.ListPromptsResult",
        capability="prompts", cacheable=True),
    _request("prompts/get", "client", "prompts.GetPromptRequestParams", "prompts.GetPromptResult",
        capability="prompts", asks=True),
    _notification("notifications/prompts/list_changed", "server", capability="prompts.list_changed"),
    # 2024-11-05 has completion but no capability for it.
    _request("completion/complete", "client", "completion.CompleteRequestParams", "completion.CompleteResult",
        until=0),
    _request("completion/complete", "client", "completion.CompleteRequestParams", "completion.CompleteResult",
        since=R2025_03_26, capability="completions"),
    # Logging.
    _request("logging/setLevel", "client", "utilities.SetLevelRequestParams", "payload.Result", until=_LEGACY,
        capability="logging"),
    _notification("notifications/message", "server", "utilities.LoggingMessageNotificationParams",
        capability="logging"),
    # Subscriptions of 2026-07-28.
    _request("subscriptions/listen", "client", "subscriptions.SubscriptionsListenRequestParams",
        "subscriptions.SubscriptionsListenResult", since=R2026_07_28, takes_place=False, default_deadline=None),
    _notification("notifications/subscriptions/acknowledged", "server",
        "subscriptions.SubscriptionsAcknowledgedNotificationParams", since=R2026_07_28),
    # Requests of a server to a client; in 2026-07-28 they are in `InputRequiredResult`.
    _request("sampling/createMessage", "server", "sampling.CreateMessageRequestParams",
        "sampling.CreateMessageResult", until=_LEGACY, capability="sampling", default_deadline=HUMAN_DEADLINE,
        augmentable=True),
    _request("elicitation/create", "server", "elicitation.ElicitRequestParams", "elicitation.ElicitResult",
        since=R2025_06_18, until=_LEGACY, capability="elicitation", default_deadline=HUMAN_DEADLINE,
        augmentable=True),
    _notification("notifications/elicitation/complete", "server", "elicitation.ElicitationCompleteNotificationParams",
        since=R2025_11_25, until=R2025_11_25),
    _request("roots/list", "server", "payload.RequestParams", "roots.ListRootsResult", until=_LEGACY,
        capability="roots"),
    _notification("notifications/roots/list_changed", "client", until=_LEGACY, capability="roots.list_changed"),
    # Tasks of 2025-11-25.
    _request("tasks/get", "both", "tasks.TaskRequestParams", "tasks.GetTaskResult", since=R2025_11_25,
        until=R2025_11_25, capability="tasks"),
    # tasks/result is answered when the task is done.
    _request("tasks/result", "both", "tasks.TaskRequestParams", "tasks.GetTaskPayloadResult", since=R2025_11_25,
        until=R2025_11_25, capability="tasks", default_deadline=None),
    _request("tasks/cancel", "both", "tasks.TaskRequestParams", "tasks.CancelTaskResult", since=R2025_11_25,
        until=R2025_11_25, capability="tasks.cancel"),
    _request("tasks/list", "both", "payload.PaginatedRequestParams", "tasks.ListTasksResult", since=R2025_11_25,
        until=R2025_11_25, capability="tasks.list"),
    _notification("notifications/tasks/status", "both", "tasks.TaskStatusNotificationParams", since=R2025_11_25,
        until=R2025_11_25, capability="tasks"),
)
# fmt: on
"""Every row, grouped by feature. A method that changed has several rows, for spans that do not overlap."""

METHODS: Final[dict[str, Method]] = {row.name: row for row in ROWS}
"""Method → its latest row, for facts that hold in all revisions."""


@functools.cache
def methods_of(revision: Revision, sender: Side | None = None) -> Mapping[str, Method]:
    """Return the methods of a revision by name: all, or those that one side may send."""
    return {row.name: row for row in ROWS if row.exists_in(revision) and (sender is None or row.sent_by(sender))}


@functools.cache
def resolve(dotted: str) -> Any:
    """Return the class (or union of classes) that a row names; imports it on the first call."""
    module, _, name = dotted.rpartition(".")
    return getattr(importlib.import_module(f"trimcp.types.{module}"), name)
