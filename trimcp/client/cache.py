"""Results that a server lets its client keep, for as long as it says (server/utilities/caching, 2026-07-28).

One cache belongs to one client, and so to one principal: what is `private` is kept beside what is
`public`. It keeps JSON text, so that nobody who changes a result changes what the next caller gets.
It has no task: it is asked, and told, in the turn of whoever does so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson
import trio

from trimcp.codec.jsontext import dumps
from trimcp.errors import RequestFailed
from trimcp.types.jsonrpc import INVALID_PARAMS, METHOD_NOT_FOUND
from trimcp.types.methods import METHODS

LISTS: Final[dict[str, tuple[str, ...]]] = {
    "tools": ("tools/list",),
    "prompts": ("prompts/list",),
    "resources": ("resources/list", "resources/templates/list"),
}
"""What is stale when the list of that feature has changed."""

LONGEST_TTL_MS: Final = 10**12
"""Some thirty years, so that no number that a server makes up breaks the arithmetic."""
LONGEST_PATH: Final = 2048
"""The longest URI whose parents are looked up; when a longer one changes, everything read is stale."""

Key = tuple[str, bytes]


class Fetch:
    """A request on its way whose result may be kept."""

    __slots__ = ("key", "stale", "uri")

    def __init__(self, key: Key, uri: str | None) -> None:
        self.key = key
        self.uri = uri
        self.stale = False
        """Whether news came meanwhile that may be newer than the result."""


class _Entry:
    __slots__ = ("fresh_until", "is_private", "text", "uri")

    def __init__(self, text: bytes, fresh_until: float, is_private: bool, uri: str | None) -> None:
        self.text = text
        self.fresh_until = fresh_until
        self.is_private = is_private
        self.uri = uri


class Cache:
    """Results by method and params, the least recently used of which go first when there are too many."""

    def __init__(self, entries: int, size: int) -> None:
        """At most so many results, of so many bytes of JSON text together."""
        self._most = entries
        self._most_bytes = size
        self._entries: dict[Key, _Entry] = {}
        self._by_uri: dict[str, set[Key]] = {}
        self._fetching: set[Fetch] = set()
        self.bytes = 0
        """Bytes of JSON text that are kept."""
        self.hits = 0
        """Requests that were answered from here."""

    def __len__(self) -> int:
        return len(self._entries)

    # --- one request ------------------------------------------------------------------

    def fetch(self, method: str, params: Mapping[str, Any] | None) -> Fetch | None:
        """What a request is known by here; None where its result is not to be kept.

        The retry of a request that the server had answered with questions depends on more than
        its params, and so may a request that brings metadata of its own.
        """
        row = METHODS.get(method)
        if row is None or not row.cacheable:
            return None
        params = params or {}
        if "_meta" in params or "inputResponses" in params or "requestState" in params:
            return None
        uri = params.get("uri")
        try:
            text = orjson.dumps(params, option=orjson.OPT_SORT_KEYS)
        except TypeError:
            return None  # nor can it be sent, as its caller will hear
        return Fetch((method, _copied(text)), uri if type(uri) is str else None)

    def kept(self, fetch: Fetch) -> dict[str, Any] | None:
        """The result of an earlier request like this, while it is fresh."""
        entry = self._entries.get(fetch.key)
        if entry is None:
            return None
        if trio.current_time() >= entry.fresh_until:
            self._drop(fetch.key)
            return None
        self._entries[fetch.key] = self._entries.pop(fetch.key)
        self.hits += 1
        result: dict[str, Any] = orjson.loads(entry.text)
        return result

    def start(self, fetch: Fetch) -> None:
        """The request is made now: what becomes known from here on may be newer than its result."""
        self._fetching.add(fetch)

    def finish(self, fetch: Fetch, result: dict[str, Any] | None) -> None:
        """The request has its result, or None, and with it an end: keep it where it may be kept."""
        self._fetching.discard(fetch)
        if result is None or fetch.stale:
            return
        self._drop(fetch.key)
        ttl = result.get("ttlMs")
        if (type(ttl) is not int and type(ttl) is not float) or not ttl > 0:
            return
        if result.get("resultType", "complete") != "complete":
            return
        text = _copied(dumps(result))
        if len(text) > self._most_bytes or self._most < 1:
            return
        fresh_until = trio.current_time() + min(ttl, LONGEST_TTL_MS) / 1000
        self._entries[fetch.key] = _Entry(text, fresh_until, result.get("cacheScope") != "public", fetch.uri)
        self.bytes += len(text)
        if fetch.uri is not None:
            self._by_uri.setdefault(fetch.uri, set()).add(fetch.key)
        while len(self._entries) > self._most or self.bytes > self._most_bytes:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is None:
            return
        self.bytes -= len(entry.text)
        if entry.uri is not None:
            same = self._by_uri[entry.uri]
            same.remove(key)
            if not same:
                del self._by_uri[entry.uri]

    # --- news -------------------------------------------------------------------------

    def noticed(self, method: str, params: Mapping[str, Any] | None) -> None:
        """A notification has arrived; it may be one that makes something stale."""
        _, _, news = method.partition("/")
        kind, _, what = news.partition("/")
        if what == "list_changed" and kind in LISTS:
            self.changed(kind)
        elif news == "resources/updated":
            uri = None if params is None else params.get("uri")
            if type(uri) is str:
                self.updated(uri)

    def changed(self, kind: str) -> None:
        """A list has changed: of `tools`, `prompts` or `resources`."""
        self._forget(methods=LISTS[kind])

    def updated(self, uri: str) -> None:
        """A resource has changed, and with it those that it is a part of."""
        if len(uri) > LONGEST_PATH:
            self._forget(methods=("resources/read",))
            return
        wholes = {uri, *(uri[: at + extra] for at, char in enumerate(uri) if char == "/" for extra in (0, 1))}
        for whole in wholes & self._by_uri.keys():
            for key in list(self._by_uri[whole]):
                self._drop(key)
        for fetch in self._fetching:
            if fetch.uri in wholes:
                fetch.stale = True

    def doubted(self, method: str, error: RequestFailed) -> None:
        """A request failed as it does for what is not there: the lists that it was taken from may be stale."""
        if error.code in (INVALID_PARAMS, METHOD_NOT_FOUND):
            kind, _, _ = method.partition("/")
            if kind in LISTS:
                self.changed(kind)

    def forget_private(self) -> None:
        """Somebody else is authorised now: keep only what is the same for all."""
        for key, entry in list(self._entries.items()):
            if entry.is_private:
                self._drop(key)
        for fetch in self._fetching:
            fetch.stale = True

    def forget(self) -> None:
        """Changes may have been missed: keep nothing."""
        for key in list(self._entries):
            self._drop(key)
        for fetch in self._fetching:
            fetch.stale = True

    def _forget(self, *, methods: Iterable[str]) -> None:
        for key in [key for key in self._entries if key[0] in methods]:
            self._drop(key)
        for fetch in self._fetching:
            if fetch.key[0] in methods:
                fetch.stale = True


def _copied(text: bytes) -> bytes:
    """The text without the room that orjson had for more: what is kept for long should be no larger than it is."""
    return bytes(memoryview(text))
