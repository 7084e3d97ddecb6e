"""SIGTERM and SIGINT of a process that trimcp owns, also while a handler blocks the event loop.

A function that blocks (`time.sleep` in an `async def`, a write to a full pipe) keeps Trio from receiving signals. Then
nothing can drain, and only SIGKILL would end the process. So a further signal ends it in the turn of the signal itself.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType
from typing import Any, Final

import trio

from trimcp.observability.stderr import write_line

EXIT_ABANDONED: Final = 3
"""A handler did not end, and was abandoned."""
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
BLOCKED: Final = 1.0
"""Seconds that a signal waits to be received until a further one ends the process."""
PATIENCE: Final = 0.5
"""Seconds that the last line may take."""


class ReceivedSignals:
    """Iterates over the signals, as they are received."""

    def __init__(self, received: AsyncIterator[int]) -> None:
        self._received = received
        self._since: float | None = None
        """When the first signal that was not received yet came."""

    def __aiter__(self) -> ReceivedSignals:
        return self

    async def __anext__(self) -> int:
        number = await anext(self._received)
        self._since = None
        return number

    def arrive(self, deliver: Callable[[int, FrameType | None], Any], number: int, frame: FrameType | None) -> None:
        """Deliver a signal to Trio, or end the process: Trio has not received the one before."""
        now = time.monotonic()
        if self._since is None:
            self._since = now
        elif now - self._since >= BLOCKED:
            where = "" if frame is None else f", at {frame.f_code.co_filename}:{frame.f_lineno}"
            write_line(f"trimcp: ending: a function blocks the event loop{where}", patience=PATIENCE)
            os._exit(EXIT_ABANDONED)
        deliver(number, frame)


@contextmanager
def open_signals() -> Iterator[ReceivedSignals]:
    """Receive SIGTERM and SIGINT in the block. Where Trio receives none for a second, the next one ends the process."""
    with trio.open_signal_receiver(*SIGNALS) as received:
        signals = ReceivedSignals(received)
        for number in SIGNALS:
            deliver: Any = signal.getsignal(number)  # Trio's, which puts the handler before it back at the end
            signal.signal(number, partial(signals.arrive, deliver))
        yield signals
