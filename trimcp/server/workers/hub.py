"""The hub: relays the messages of the bus between workers. It lives in the supervisor, and keeps nothing."""

from __future__ import annotations

from trimcp.server.workers.link import Kind, Link, LinkFrame


class BusHub:
    """Gives each message to the links that it is for. A worker that does not read gets a gap, and holds up no other."""

    def __init__(self) -> None:
        self._nodes: dict[Link, int] = {}
        """The incarnation of the node behind each link."""

    def take(self, frame: LinkFrame, sender: Link) -> None:
        """Relay a frame that came over a link. Never waits."""
        if frame.kind is Kind.JOINED:
            self._nodes[sender] = frame.node
        elif frame.kind is Kind.SETTLED:
            sender.post(frame)
        elif frame.node:
            for link, node in self._nodes.items():
                if node == frame.node:
                    link.post(frame)
        else:
            for link in self._nodes:
                if link is not sender:
                    link.post(frame)

    def leave(self, link: Link) -> None:
        """Forget a link: its worker has ended. Idempotent."""
        self._nodes.pop(link, None)
