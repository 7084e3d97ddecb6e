"""`ResultCache`: results that a server lets its client keep, for as long as it says (server/utilities/caching).

One cache belongs to one client, and so to one principal: `private` results are kept beside `public` ones. It keeps
JSON text, so a caller that changes its result does not change the result of the next caller. It has no task: it is
used in the turn of each caller.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson
import trio

from trimcp.codec.jsontext import dumps
from trimcp.errors import RequestFailed
from trimcp.schema.exact_json import decode, encode
from trimcp.types.jsonrpc import INVALID_PARAMS, METHOD_NOT_FOUND
from trimcp.types.methods import METHODS

LISTS: Final[dict[str, tuple[str, ...]]] = {
    "tools": ("tools/list",),
    "prompts": ("prompts/list",),
    "resources": ("resources/list", "resources/templates/list"),
}
"""The methods whose results are stale when the list of a feature has changed."""

LONGEST_TTL_MS: Final = 10**12
"""Some thirty years: a larger number of a server would break the arithmetic."""
LONGEST_PATH: Final = 2048
"""The longest URI whose parents are looked up; when a longer one changes, all read results are stale."""

Key = tuple[str, bytes]
"""The method, and its params as JSON text with sorted keys."""


class Fetch:
    """A request whose result may be kept, until it is answered."""

    __slots__ = ("key", "stale", "uri")

    def __init__(self, key: Key, uri: str | None) -> None:
        self.key: Key = key
        self.uri: str | None = uri
        self.stale: bool = False
        """Whether a notice came meanwhile that may be newer than the result."""


class _Entry:
    __slots__ = ("fresh_until", "is_private", "text", "uri")

    def __init__(self, text: bytes, fresh_until: float, is_private: bool, uri: str | None) -> None:
        self.text = text
        self.fresh_until = fresh_until
        self.is_private = is_private
        self.uri = uri


class ResultCache:
    """Keeps results by method and params. Of too many, those that were used least recently are dropped."""

    def __init__(self, entries: int, size: int) -> None:
        """Keep at most `entries` results, with `size` bytes of JSON text together."""
        self._most = entries
        self._most_bytes = size
        self._entries: dict[Key, _Entry] = {}
        self._by_uri: dict[str, set[Key]] = {}
        self._fetching: set[Fetch] = set()
        self.bytes: int = 0
        """Bytes of JSON text that are kept."""
        self.hits: int = 0
        """Requests that were answered from here."""

    def __len__(self) -> int:
        return len(self._entries)

    # --- one request ------------------------------------------------------------------

    def fetch(self, method: str, params: Mapping[str, Any] | None) -> Fetch | None:
        """Return the handle of a request; None where its result must not be kept.

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
            text = encode(params, option=orjson.OPT_SORT_KEYS)
        except TypeError:
            return None  # it cannot be sent either, and its caller gets the error
        return Fetch((method, _copied(text)), uri if type(uri) is str else None)

    def kept(self, fetch: Fetch) -> dict[str, Any] | None:
        """Return the result of an earlier equal request, while it is fresh."""
        entry = self._entries.get(fetch.key)
        if entry is None:
            return None
        if trio.current_time() >= entry.fresh_until:
            self._drop(fetch.key)
            return None
        self._entries[fetch.key] = self._entries.pop(fetch.key)
        self.hits += 1
        result: dict[str, Any] = decode(entry.text)
        return result

    def start(self, fetch: Fetch) -> None:
        """Take note that the request is made now: later notices may be newer than its result."""
        self._fetching.add(fetch)

    def finish(self, fetch: Fetch, result: dict[str, Any] | None) -> None:
        """Take note that the request has ended; keep its result, if there is one and the server allows it."""
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

    # --- changes ----------------------------------------------------------------------

    def noticed(self, method: str, params: Mapping[str, Any] | None) -> None:
        """Drop the results that a notification makes stale."""
        _, _, subject = method.partition("/")
        kind, _, change = subject.partition("/")
        if change == "list_changed" and kind in LISTS:
            self.changed(kind)
        elif subject == "resources/updated":
            uri = None if params is None else params.get("uri")
            if type(uri) is str:
                self.updated(uri)

    def changed(self, kind: str) -> None:
        """Drop a list that has changed: of `tools`, `prompts` or `resources`."""
        self._forget(methods=LISTS[kind])

    def updated(self, uri: str) -> None:
        """Drop a resource that has changed, and the resources that it is a part of."""
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
        """Drop the lists of a feature after a request for an item that does not exist: they may be stale."""
        if error.code in (INVALID_PARAMS, METHOD_NOT_FOUND):
            kind, _, _ = method.partition("/")
            if kind in LISTS:
                self.changed(kind)

    def forget_private(self) -> None:
        """Drop private results: another principal is authorized now."""
        for key, entry in list(self._entries.items()):
            if entry.is_private:
                self._drop(key)
        for fetch in self._fetching:
            fetch.stale = True

    def forget(self) -> None:
        """Drop all results: changes may have been missed."""
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
    """Return a copy of the text that takes no more room than it needs: orjson allocates more."""
    return bytes(memoryview(text))
