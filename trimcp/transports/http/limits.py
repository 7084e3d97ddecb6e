"""Every bound of the direct door, in one place, with what happens there.

The longest body is not among them: what is behind the door says it, as `Handler.body_limit`.
"""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class HttpLimits:
    """The bounds that the listener keeps. Sizes are bytes, times are seconds.

    Times are looked after once a second, so they may be exceeded by that much.
    """

    head_bytes: int = 16 * 2**10
    """The longest head: target, names and values. A longer one is answered with 431. The trailers of a
    chunked body may be as long."""
    head_fields: int = 100
    """The most fields of a head; more are answered with 431."""
    head_timeout: float = 10.0
    """How long a head may take from its first byte; then it is answered with 408."""
    body_idle_timeout: float = 30.0
    """How long a body may make no progress; then it is answered with 408."""
    body_timeout: float = 300.0
    """How long a body may take in all; then it is answered with 408."""
    refused_body: int = 64 * 2**10
    """The rest of a refused request's body that is read and dropped to keep the connection; where more is
    to come, the connection is closed instead."""
    keep_alive: float = 75.0
    """How long a connection may be without a request; then it is closed."""
    write_timeout: float = 30.0
    """How long the peer may take nearly nothing (less than 8 KiB) of what waits to leave; then it is cut off."""
    linger: float = 2.0
    """How long a peer that was answered with a closing response may go on sending before its connection is
    closed: closing at once would destroy the answer on its way."""
    linger_bytes: int = 2**20
    """What it may send meanwhile."""
    connections: int = 16384
    """Connections of one listener at once; further ones wait unaccepted."""
