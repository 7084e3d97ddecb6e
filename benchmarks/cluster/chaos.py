"""What goes wrong: nodes are killed, frozen and rolled, and the store is restarted, one after the other."""

from __future__ import annotations

import random
import signal
from collections import Counter
from collections.abc import Sequence
from typing import Final

import attrs
import trio

from benchmarks.cluster.nodes import Node
from benchmarks.cluster.store_servers import StoreServer

KINDS: Final = ("kill", "freeze", "roll", "store")


@attrs.define
class Chaos:
    """Disturbs one node, or the store, at a time."""

    nodes: Sequence[Node]
    store: StoreServer
    kinds: Sequence[str]
    every: float
    """Seconds between the end of one disturbance and the next, on average."""
    freeze_seconds: tuple[float, float]
    """How long a node is frozen, at least and at most: shorter and longer than its lease."""
    log: int | None = None
    """The descriptor of the nodes' log."""
    done: Counter[str] = attrs.field(factory=Counter)

    async def run(self, seconds: float) -> None:
        """Disturb for so long, then bring everything back."""
        kinds = [kind for kind in self.kinds if kind != "store" or self.store.can_restart]
        turns = [*kinds]  # each of them at least once, if there is time
        with trio.move_on_after(seconds):
            while kinds:
                await trio.sleep(random.uniform(0.5, 1.5) * self.every)
                kind = turns.pop(0) if turns else random.choice(kinds)
                with trio.CancelScope(shield=True):  # a node is never left frozen or dead
                    await self._disturb(kind, random.choice(self.nodes))
                self.done[kind] += 1
        if not kinds:
            await trio.sleep(seconds)

    async def _disturb(self, kind: str, node: Node) -> None:
        if kind == "kill":
            node.send_signal(signal.SIGKILL)
            await node.ended()
            await trio.sleep(random.uniform(0, 1))
            await node.start(self.log)
        elif kind == "roll":
            await node.stop()
            await node.start(self.log)
        elif kind == "freeze":
            node.send_signal(signal.SIGSTOP)
            await trio.sleep(random.uniform(*self.freeze_seconds))
            node.send_signal(signal.SIGCONT)
        else:
            await self.store.restart()
