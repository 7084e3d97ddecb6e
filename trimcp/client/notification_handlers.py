"""The notification actor: it calls the functions of programs that are told of a server's notifications.

They are called one at a time, in the order in which the notifications were read, and never in the turn of the Reader.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from trimcp.actors.actor import Actor, Owner
from trimcp.actors.mailbox import Mailbox, Overflow
from trimcp.observability import events, log

if TYPE_CHECKING:
    from trimcp.client.client import Client

Handler = Callable[["Client", Any], None]


@attrs.frozen
class _Call:
    """A notification has arrived that functions are declared for."""

    method: str
    params: Any
    handlers: Sequence[Handler]


class NotificationHandlers(Actor[_Call]):
    """Calls the functions of one client. What they raise goes to the log."""

    name = "notification handlers"

    def __init__(self, owner: Owner, client: Client, most: int) -> None:
        """
        Args:
            owner: the supervisor of the client.
            client: what the functions are given.
            most: notifications that may wait; beyond, the oldest are dropped, and the log says so.
        """
        super().__init__(owner, Mailbox(most, Overflow.DROP_OLDEST))
        self._client = client

    def call(self, method: str, params: Any, handlers: Sequence[Handler]) -> None:
        """Have the functions called soon with the params of a notification. Never waits."""
        dropped = self.mailbox.dropped
        self.tell(_Call(method, params, handlers))
        if self.mailbox.dropped != dropped and log.is_worth_saying(self.mailbox.dropped):
            log.warning(events.MESSAGE_IGNORED, method=method, why="too many wait", count=self.mailbox.dropped)

    def handle(self, message: _Call) -> None:
        """See `Actor`."""
        for handler in message.handlers:
            try:
                handler(self._client, message.params)
            except KeyboardInterrupt:
                raise
            except BaseException as exc:  # noqa: BLE001 - the program's own; it waits for nothing, so no cancel is ours
                log.error(events.HANDLER_FAILED, exc_info=exc, method=message.method)
