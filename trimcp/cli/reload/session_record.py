"""Remembers what a client has told its server once, so that a new server can be told the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

MOST_SUBSCRIPTIONS: Final = 1000
"""Subscriptions that are repeated to a new server; later ones are not."""
LISTS: Final = {
    "tools": "notifications/tools/list_changed",
    "prompts": "notifications/prompts/list_changed",
    "resources": "notifications/resources/list_changed",
}


class SessionRecord:
    """Holds the handshake of a legacy session, its log level and its subscriptions."""

    def __init__(self) -> None:
        self._initialize: Mapping[str, Any] | None = None
        self._is_answered = False
        self._has_begun = False
        self._level: Mapping[str, Any] | None = None
        self._subscriptions: dict[str, Mapping[str, Any]] = {}
        self._capabilities: Mapping[str, Any] = {}

    def sent(self, message: Mapping[str, Any]) -> None:
        """Note a message of the client."""
        method = message.get("method")
        uri = (message.get("params") or {}).get("uri") if isinstance(message.get("params"), Mapping) else None
        if method == "initialize":
            self._initialize = message
        elif method == "notifications/initialized":
            self._has_begun = True
        elif method == "logging/setLevel":
            self._level = message
        elif method == "resources/subscribe" and isinstance(uri, str):
            if len(self._subscriptions) < MOST_SUBSCRIPTIONS:
                self._subscriptions[uri] = message
        elif method == "resources/unsubscribe" and isinstance(uri, str):
            self._subscriptions.pop(uri, None)

    def answered(self, request: Mapping[str, Any], response: Mapping[str, Any]) -> None:
        """Note the first answer to `initialize`: it says what the client expects to be told."""
        result = response.get("result")
        if request.get("method") == "initialize" and isinstance(result, Mapping) and not self._is_answered:
            self._is_answered = True
            self._capabilities = result.get("capabilities") or {}

    def to_repeat(self) -> Iterator[Mapping[str, Any]]:
        """Yield the messages for a new server, in order."""
        if self._initialize is None or not self._is_answered:
            return
        yield self._initialize
        if self._has_begun:
            yield {"jsonrpc": "2.0", "method": "notifications/initialized"}
            if self._level is not None:
                yield self._level
            yield from self._subscriptions.values()

    def to_announce(self) -> Iterator[Mapping[str, Any]]:
        """Yield the notifications by which the client learns that lists may have changed."""
        for name, method in LISTS.items() if self._has_begun else ():
            declared = self._capabilities.get(name)
            if isinstance(declared, Mapping) and declared.get("listChanged"):
                yield {"jsonrpc": "2.0", "method": method}
