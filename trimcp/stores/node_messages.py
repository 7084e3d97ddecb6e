"""The messages between the nodes of a shared store: an actor that sends them, and a task that receives them.

A message is a JSON array: the incarnation of the sender, the kind, and what belongs to the kind. The bus loses
messages, so a part of the server that takes them also learns of gaps, and then reads what it needs from the stores.
"""

from __future__ import annotations

import functools
from collections.abc import Hashable, Iterable
from typing import Any, Final, Protocol

import attrs
import trio

from trimcp.actors.actor import Actor, Owner
from trimcp.actors.backoff import doubled_pause
from trimcp.actors.mailbox import Mailbox, MailboxFull, Overflow
from trimcp.actors.reply import Reply
from trimcp.codec.jsontext import dumps, loads
from trimcp.observability import events, log
from trimcp.stores.bus import Bus, Gap
from trimcp.stores.contained import DirectCalls, StoreFailed, log_failure
from trimcp.stores.node_lease import NodeLease, NodeObserver

CAPACITY: Final = 4096
"""Messages that may wait to be sent. Further ones are lost, and the other nodes are told of a gap."""
SEND_SECONDS: Final = 1.0
"""Seconds that the bus may take for one message."""
SHORTEST_PAUSE: Final = 0.05
"""Seconds before the bus is tried again after its first failure; each further failure doubles them."""
LONGEST_PAUSE: Final = 3.0
GAP_SECONDS: Final = 1.0
"""Seconds between two gaps, since each makes much work: the sessions are read again, and all changes are told."""
DEPTH: Final = 16
"""The deepest nesting of a message. Frames of MCP are strings in it."""

GAP: Final = "gap"
"""The kind of message that says that earlier messages of its sender were not sent."""


class MessageTaker(Protocol):
    """A part of the server that takes messages of some kinds. Its methods never wait."""

    def take_message(self, sender: int, kind: str, content: list[Any]) -> None:
        """Take a message of another node, with the incarnation of its sender."""
        ...

    def take_gap(self) -> None:
        """Take note that messages may have been lost."""
        ...


@attrs.frozen
class _Outgoing:
    """A message to all other nodes, or to one."""

    kind: str
    content: tuple[Any, ...]
    to: int | None = None
    key: Hashable | None = None
    ahead: Reply[None] | None = None
    """Set when it is ahead of later messages, or is lost."""


class NodeMessages(Actor[_Outgoing], NodeObserver):
    """The actor that sends the messages of this node, one after the other, and hands out those of the others."""

    name = "node messages"

    def __init__(self, owner: Owner, bus: Bus, lease: NodeLease) -> None:
        """
        Args:
            owner: the supervisor of the run.
            bus: of the shared store.
            lease: of this node.
        """
        super().__init__(owner, Mailbox(CAPACITY, Overflow.REPLACE, key=lambda message: message.key))
        self.lease: NodeLease = lease
        self._bus = bus
        self._calls = DirectCalls()
        self._takers: dict[str, list[MessageTaker]] = {}
        self._has_lost = False
        """Whether messages were lost here, so that the other nodes must be told."""
        self._receiving = trio.CancelScope()
        self._gap = trio.Event()
        """Set when messages may have been lost, and a gap was handed out a moment before."""
        self._gap_at = float("-inf")
        lease.observe(self)

    # --- for the parts of the server --------------------------------------------------

    def send(self, kind: str, *content: Any, to: int | None = None, key: Hashable | None = None) -> None:
        """Send a message to all other nodes, or to one. Never waits; the message may be lost.

        A later message with the same key replaces one that has not left.
        """
        if to == self.lease.incarnation:
            return
        try:
            self.tell(_Outgoing(kind, content, to, key))
        except MailboxFull:
            self._has_lost = True

    async def send_ahead(self, kind: str, *content: Any) -> None:
        """Send a message to all other nodes, and wait until it is ahead of all that any node sends later.

        Where that takes too long, or the bus loses the message, the other nodes are told of a gap later.
        """
        ahead: Reply[None] = Reply()
        try:
            self.tell(_Outgoing(kind, content, ahead=ahead))
        except MailboxFull:
            self._has_lost = True
            return
        with trio.move_on_after(SEND_SECONDS):
            await ahead.wait()

    def add_taker(self, kinds: Iterable[str], taker: MessageTaker) -> None:
        """Hand the messages of these kinds to a part of the server from now on, and tell it of gaps."""
        for kind in (*kinds, GAP):
            self._takers.setdefault(kind, []).append(taker)

    def remove_taker(self, taker: MessageTaker) -> None:
        """Hand nothing more to a part of the server."""
        for takers in self._takers.values():
            if taker in takers:
                takers.remove(taker)

    # --- the actor that sends ---------------------------------------------------------

    async def run(self) -> None:
        """Send each message, until cancelled."""
        failures = 0
        while True:
            if not self._has_lost:
                message = await self.mailbox.receive()
                self._has_lost = not await self._sent(message)
                self.handle(message)
            elif await self._sent(_Outgoing(GAP, ())):
                self._has_lost, failures = False, 0
            else:
                failures += 1
                await trio.sleep(_pause(failures))

    def handle(self, message: _Outgoing) -> None:
        """End the wait for a message that was sent or lost, or is dropped since the run is over."""
        if message.ahead is not None:
            message.ahead.set(None)

    async def _sent(self, message: _Outgoing) -> bool:
        data = dumps([self.lease.incarnation, message.kind, *message.content])
        publish = functools.partial(self._bus.publish, data, to=message.to)
        try:
            await self._calls.call(SEND_SECONDS, publish)
            if message.ahead is not None:
                await self._calls.call(SEND_SECONDS, self._bus.settle)
        except StoreFailed as exc:  # the bus is down, and the message is lost
            log_failure(exc)
            return False
        return True

    # --- the task that receives -------------------------------------------------------

    async def receive(self) -> None:
        """Hand out the messages of other nodes until cancelled. Opens the bus again where it fails."""
        failures = 0
        may_have_missed = False
        while True:
            with trio.CancelScope() as self._receiving:
                try:
                    async with self._bus.subscribe(self.lease.incarnation) as channel:
                        if may_have_missed:
                            self._note_gap()
                        may_have_missed = True
                        async for data in channel:
                            failures = 0
                            self._hand_out(data)
                except Exception as exc:  # noqa: BLE001 - the bus is down, and is opened again
                    may_have_missed = True
                    log_failure(exc)
            if not self._receiving.cancelled_caught:  # which `node_joined` does
                failures += 1
                await trio.sleep(_pause(failures))

    def node_joined(self, incarnation: int) -> None:
        """See `NodeObserver`. Messages to this node go to its new incarnation."""
        self._receiving.cancel()

    def _hand_out(self, data: bytes | Gap) -> None:
        if isinstance(data, Gap):
            self._note_gap()
            return
        try:
            sender, kind, *content = loads(data, max_depth=DEPTH)
            if sender == self.lease.incarnation:
                return
            if kind == GAP:
                self._note_gap()
                return
            for taker in tuple(self._takers.get(kind, ())):
                taker.take_message(sender, kind, content)
        except Exception as exc:  # noqa: BLE001 - a message of another version of trimcp, or a failure of one taker
            log.error(events.NODE_MESSAGE_FAILED, exc_info=exc)

    def _note_gap(self) -> None:
        """Hand out a gap; a moment later, where there was one a moment ago."""
        if trio.current_time() < self._gap_at + GAP_SECONDS:
            self._gap.set()
        else:
            self._hand_out_gap()

    async def hand_out_gaps(self) -> None:
        """Hand out the gaps that had to wait, as one, until cancelled."""
        while True:
            await self._gap.wait()
            await trio.sleep_until(self._gap_at + GAP_SECONDS)
            self._hand_out_gap()

    def _hand_out_gap(self) -> None:
        self._gap, self._gap_at = trio.Event(), trio.current_time()
        log.warning(events.NODE_MESSAGES_LOST, incarnation=self.lease.incarnation)
        for taker in tuple(self._takers.get(GAP, ())):
            try:
                taker.take_gap()
            except Exception as exc:  # noqa: BLE001 - a failure of one taker
                log.error(events.NODE_MESSAGE_FAILED, exc_info=exc)


def _pause(failures: int) -> float:
    return doubled_pause(failures, first=SHORTEST_PAUSE, longest=LONGEST_PAUSE)
