"""One `subscriptions/listen` request of a client's (2026-07-28): from its making to its end, without a task of its own.

The NotificationHub owns it while it is open. basic/patterns/subscriptions of 2026-07-28.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trimcp.actors.reply import Reply
from trimcp.client.notices import ListenEnd, Notices, Topics
from trimcp.codec.revisions import codec_for
from trimcp.errors import InvalidPayload, InvalidResult, RequestFailed, TrimcpError
from trimcp.types.jsonrpc import CANCELLED_BY_SERVER

if TYPE_CHECKING:
    from trimcp.client.negotiation import Agreement
    from trimcp.session.calls import Calls, CallWatcher
    from trimcp.types.jsonrpc import RequestId
    from trimcp.types.subscriptions import SubscriptionFilter


class Listen:
    """A listen that was asked for."""

    def __init__(
        self, calls: Calls, agreement: Agreement, asked: Topics, notices: Notices | None, watcher: CallWatcher
    ) -> None:
        """Make the request. Does not wait.

        Args:
            calls: of the session.
            agreement: what is spoken on it.
            asked: what the server is asked to tell.
            notices: where the notices of this request go, beside the queues that take all; None for nowhere.
            watcher: is told when the server ends it, or the connection does.

        Raises:
            ConnectionEnded: the connection is gone.
        """
        self._calls = calls
        self._revision = agreement.revision
        self._asked = asked
        self.notices = notices
        self.granted: Reply[Topics] = Reply()
        """What the server agrees to tell; fails where it does not."""
        self.has_ended = False
        """Whether the server, or the end of the connection, has ended it."""
        self.call = calls.begin("subscriptions/listen", self._params(agreement.stamp), watcher)

    @property
    def id(self) -> RequestId:
        """What its notices carry."""
        return self.call.id

    @property
    def is_settled(self) -> bool:
        """Whether the server, or the connection, has ended it, known here or not."""
        return self.call.is_settled

    def abandon(self, why: str) -> None:
        """Tell the server that it is not wanted any more, unless the server has ended it. Never waits."""
        self._calls.abandon(self.call, why)

    def _params(self, stamp: dict[str, Any] | None) -> dict[str, Any]:
        from trimcp.types.subscriptions import SubscriptionFilter, SubscriptionsListenRequestParams

        asked = self._asked
        wanted = SubscriptionFilter(
            tools_list_changed=asked.tools or None,
            prompts_list_changed=asked.prompts or None,
            resources_list_changed=asked.resources or None,
            resource_subscriptions=list(asked.uris) or None,
            extra={member: list(keys) for member, keys in asked.more.items()},
        )
        encode = codec_for(self._revision).params_encoder("subscriptions/listen")
        return encode(SubscriptionsListenRequestParams(notifications=wanted, meta=stamp))

    # --- what becomes of it, for the NotificationHub ----------------------------------

    def acknowledge(self, params: Mapping[str, Any]) -> None:
        """Take the acknowledgement of the server. Only the first counts."""
        decode = codec_for(self._revision).params_decoder("notifications/subscriptions/acknowledged")
        try:
            granted: SubscriptionFilter = decode(params).notifications
        except InvalidPayload as exc:
            self.granted.fail(InvalidResult(exc.problems))
            return
        self.granted.set(
            Topics(
                bool(granted.tools_list_changed),
                bool(granted.prompts_list_changed),
                bool(granted.resources_list_changed),
                tuple(granted.resource_subscriptions or ()),
                self._granted_more(granted.extra),
            )
        )

    def _granted_more(self, members: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
        """What of extensions' topics is granted; whatever else is in there was not asked for."""
        return {
            member: tuple(key for key in members[member] if isinstance(key, str))
            for member in self._asked.more
            if isinstance(members.get(member), list)
        }

    def settle(self) -> tuple[ListenEnd, TrimcpError | None]:
        """Take the answer, by which the server has ended it, or that there will be none; say how it ended."""
        self.has_ended = True
        error = self.call.error
        if isinstance(error, RequestFailed) and error.code == CANCELLED_BY_SERVER:
            end, why = ListenEnd.CANCELLED, None
        elif isinstance(error, TrimcpError):
            self.granted.fail(error)
            end, why = ListenEnd.FAILED, error
        else:
            end, why = ListenEnd.FINISHED, None
        self.granted.set(Topics())  # where it was never acknowledged
        return end, why
