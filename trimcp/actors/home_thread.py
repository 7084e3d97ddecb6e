"""The thread that actors live in: how a call from any other thread reaches them.

Actors are plain objects of one Trio run, and their doors are for its thread alone. Where users
call one from wherever they are (a watcher's own thread, a sync tool), the call goes through here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVarTuple, Unpack

import trio

Args = TypeVarTuple("Args")


class HomeThread:
    """The thread, and the run of Trio, that made this object."""

    __slots__ = ("_ident", "_token")

    def __init__(self) -> None:
        self._ident = threading.get_ident()
        self._token = trio.lowlevel.current_trio_token()

    def call_each(self, function: Callable[[Unpack[Args]], None], *args: *Args) -> None:
        """As `call`, but every call counts, and they keep their order: for what is said, and not merely so."""
        if threading.get_ident() == self._ident:
            function(*args)
            return
        try:
            self._token.run_sync_soon(function, *args)
        except trio.RunFinishedError:
            return  # nobody is left who could be told

    def call(self, function: Callable[[Unpack[Args]], None], *args: *Args) -> None:
        """Call a function that neither waits nor raises: at once at home, soon from another thread.

        Equal calls from other threads that have not run yet become one. What comes after the
        end of the run is dropped.
        """
        if threading.get_ident() == self._ident:
            function(*args)
            return
        try:
            self._token.run_sync_soon(function, *args, idempotent=True)
        except trio.RunFinishedError:
            return  # nobody is left who could be told
