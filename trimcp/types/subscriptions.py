"""`subscriptions/listen` of 2026-07-28: one long request for news of the server (basic/patterns/subscriptions)."""

from __future__ import annotations

from typing import Any

import attrs

from trimcp.types.payload import NotificationParams, RequestParams, Result


@attrs.define
class SubscriptionFilter:
    """Which news are wanted, or were granted.

    Attributes:
        tools_list_changed: of the list of tools.
        prompts_list_changed: of the list of prompts.
        resources_list_changed: of the list of resources.
        resource_subscriptions: of what is in these resources, by URI.
    """

    tools_list_changed: bool | None = None
    prompts_list_changed: bool | None = None
    resources_list_changed: bool | None = None
    resource_subscriptions: list[str] | None = None
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class SubscriptionsListenRequestParams(RequestParams):
    """A request for news, answered when they end."""

    notifications: SubscriptionFilter


@attrs.define
class SubscriptionsListenResult(Result):
    """The end of a subscription; `meta` says of which (`SUBSCRIPTION_ID`)."""


@attrs.define
class SubscriptionsAcknowledgedNotificationParams(NotificationParams):
    """The first message of a subscription: what the server granted of what was wanted."""

    notifications: SubscriptionFilter
