"""`ListenRequest`: one `subscriptions/listen` request of a client. It has no task.

The NotificationHub owns it while it is open. basic/patterns/subscriptions of 2026-07-28.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from trimcp.actors.reply import Reply
from trimcp.client.notifications.notices import ListenEnd, Notices, Topics
from trimcp.codec.revisions import codec_for
from trimcp.errors import InvalidPayload, InvalidResult, RequestFailed, TrimcpError
from trimcp.types.jsonrpc import CANCELLED_BY_SERVER

if TYPE_CHECKING:
    from trimcp.session.call import CallWatcher, OpenCall
    from trimcp.session.negotiation import Agreement
    from trimcp.session.pending_calls import Calls
    from trimcp.types.jsonrpc import RequestId
    from trimcp.types.subscriptions import SubscriptionFilter


class ListenRequest:
    """One listen request, from its sending to its end."""

    def __init__(
        self, calls: Calls, agreement: Agreement, asked: Topics, notices: Notices | None, watcher: CallWatcher | None
    ) -> None:
        """Send the request. Does not wait.

        Args:
            calls: of the session.
            agreement: with the server, for that session.
            asked: the topics that the client wants.
            notices: the queue for its notices, beside the queues that take all notices; None: only those get them.
            watcher: is told when the server, or the end of the connection, ends the request; None: no actor is.

        Raises:
            ConnectionEnded: the connection is gone.
        """
        self._calls = calls
        self._revision = agreement.revision
        self._asked = asked
        self.notices: Notices | None = notices
        self.granted: Reply[Topics] = Reply()
        """The topics that the server agrees to tell of; fails where it does not agree."""
        self.call: OpenCall = calls.begin("subscriptions/listen", self._params(agreement.stamp), watcher)

    @property
    def id(self) -> RequestId:
        """The id that its notices carry."""
        return self.call.id

    @property
    def has_ended(self) -> bool:
        """Whether the server, or the end of the connection, has ended the request."""
        return self.call.is_settled

    def abandon(self, why: str) -> None:
        """Cancel the request, unless the server has ended it. Never waits."""
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

    # --- for the NotificationHub ------------------------------------------------------

    def acknowledge(self, params: Mapping[str, Any]) -> None:
        """Take the acknowledgement of the server. Only the first one counts."""
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
        """Return the granted topics of extensions, without members that the client did not ask for."""
        return {
            member: tuple(key for key in members[member] if isinstance(key, str))
            for member in self._asked.more
            if isinstance(members.get(member), list)
        }

    def settle(self) -> tuple[ListenEnd, TrimcpError | None]:
        """Take the answer of the server, or the error in its place; return how the request ended."""
        error = self.call.error
        if isinstance(error, RequestFailed) and error.code == CANCELLED_BY_SERVER:
            end, why = ListenEnd.CANCELLED, None
        elif isinstance(error, TrimcpError):
            self.granted.fail(error)
            end, why = ListenEnd.FAILED, error
        else:
            end, why = ListenEnd.FINISHED, None
        self.granted.set(Topics())  # no effect where it was acknowledged before
        return end, why
