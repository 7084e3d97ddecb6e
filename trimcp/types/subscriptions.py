"""`subscriptions/listen` of 2026-07-28, a long request for notifications (basic/patterns/subscriptions)."""

import attrs

from trimcp.types.fields import Extensible
from trimcp.types.payload import NotificationParams, RequestParams, Result


@attrs.define(eq=False, repr=False)
class SubscriptionFilter(Extensible):
    """The notifications that are requested, or accepted.

    Attributes:
        tools_list_changed: changes of the list of tools.
        prompts_list_changed: changes of the list of prompts.
        resources_list_changed: changes of the list of resources.
        resource_subscriptions: the URIs of resources whose changes are notified.
    """

    tools_list_changed: bool | None = None
    prompts_list_changed: bool | None = None
    resources_list_changed: bool | None = None
    resource_subscriptions: list[str] | None = None


@attrs.define(eq=False, repr=False)
class SubscriptionsListenRequestParams(RequestParams):
    """A request for notifications; its response is the end of the subscription."""

    notifications: SubscriptionFilter


@attrs.define(eq=False, repr=False)
class SubscriptionsListenResult(Result):
    """The end of a subscription; its id is in `meta` (`SUBSCRIPTION_ID`)."""


@attrs.define(eq=False, repr=False)
class SubscriptionsAcknowledgedNotificationParams(NotificationParams):
    """The first message of a subscription: the notifications that the server accepted."""

    notifications: SubscriptionFilter
