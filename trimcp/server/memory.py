"""How much memory trimcp's own buffers can take, computed from the limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimcp.server.features.subscriptions.listener import LISTS, NOTICE
from trimcp.session.limits import Limits
from trimcp.transports.lines import READ_CHUNK

if TYPE_CHECKING:
    from trimcp.transports.http.limits import HttpLimits


def memory_bound(limits: Limits, http: HttpLimits | None, *, batches: bool) -> int:
    """The most that the buffers of one run can hold; see `Server.memory_bound`.

    Args:
        limits: of the server.
        http: of its listener, if it is served by one.
        batches: whether a revision that has them is offered.
    """
    # What is being read, what waits for the Router, and the message that goes over its bound.
    reading = 3 * limits.message_bytes + READ_CHUNK + limits.session_request_bytes + limits.out_bytes
    # A resource subscribed to is kept once, and waits to leave once at the most.
    reading += limits.subscriptions * (2 * limits.uri_bytes + NOTICE) + limits.listens * len(LISTS) * NOTICE
    places = min(limits.server_requests, limits.sessions * limits.session_requests)
    bound = limits.sessions * reading + places * limits.result_bytes
    if batches:
        bound += limits.sessions * limits.batches * limits.result_bytes
    if http is not None:
        bound += http.connections * (http.head_bytes + READ_CHUNK + limits.message_bytes)
        # The place of a request is free when it is answered, though the answer may wait for a peer that reads slowly.
        bound += http.connections * (limits.result_bytes + limits.out_bytes)
        bound += places * limits.out_bytes + limits.stored_bytes
    return bound
