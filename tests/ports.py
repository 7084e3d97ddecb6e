"""Ports for programs that have to be told one, and that others know before they listen."""

import contextlib
import secrets
import socket


def free_port() -> int:
    """Return a port that nothing listens on, of those that the system gives to no connection by itself."""
    while True:
        port = 10_000 + secrets.randbelow(22_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
