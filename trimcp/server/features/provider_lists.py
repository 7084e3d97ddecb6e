"""Lists and finds over all providers of a server: whose definition a name stands for, and pages that lead on.

The functions that the program declares come first, then the added providers in their order. The first
provider that finds a name has it: a list leaves out what a call would not reach. A cursor names a provider,
the provider's own cursor, and the last item that was looked at, under the server's MAC; it stays good while
other items and providers come and go.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import attrs
import trio

from trimcp.observability import events, log
from trimcp.server.features.pagination import CURSOR_BYTES, Page, Pages, invalid_cursor
from trimcp.server.features.provider import ProvidedPage, ProvidedPrompt, ProvidedResource, ProvidedTool
from trimcp.server.features.provider_registry import AddedProvider, ProviderRegistry

if TYPE_CHECKING:
    from trimcp.server.context import Context
    from trimcp.server.features.kinds import Kind

T = TypeVar("T")
Provided = ProvidedTool | ProvidedResource | ProvidedPrompt
P = TypeVar("P", bound=Provided)

PROVIDER_CURSOR: Final = 4096
"""The longest cursor that a provider may have, in characters: the server's cursor contains it."""
MOST_PAGES: Final = 100
"""Pages of providers that are read for one page of the server; a provider with so many empty pages has no end."""
CHECKED_AT_ONCE: Final = 256
"""Items that are looked at before other tasks get a turn."""


@attrs.frozen
class Listed(Generic[T]):
    """One list of the protocol."""

    kind: Kind
    label: str
    """Of the list, for its cursors."""
    item: type[T]
    key: Callable[[T], str]
    list_method: str
    """The method of a provider that lists."""
    find_method: str | None = None
    """The method that finds one by its key; None where the providers have no such method."""
    found: type[Provided] | None = None
    """The class of what it finds."""


@attrs.frozen
class _Position:
    """A place in the lists of all providers."""

    provider: str
    """By name; empty for the declared functions."""
    cursor: str | None
    """The provider's own, for the page that the place is on."""
    key: str | None
    """The last item that was looked at; None before the first one of the page."""


class ProviderLists:
    """The lists of one server, whose providers may have more than is declared."""

    def __init__(self, registry: ProviderRegistry, pages: Pages) -> None:
        self.registry = registry
        self._pages = pages
        self._shadowed = 0

    @property
    def is_needed(self) -> bool:
        """Whether there is more than the declared functions."""
        return bool(self.registry.added)

    # --- finding ----------------------------------------------------------------------

    async def find(self, kind: Kind, method: str, expected: type[P], ctx: Context, key: str) -> P | None:
        """Ask the added providers for one definition, in their order.

        Raises:
            RequestFailed: a provider failed, or took too long.
        """
        for added in self.registry.of(kind):
            found = await self._find(added, method, expected, ctx, key)
            if found is not None:
                return found
        return None

    async def _find(self, added: AddedProvider, method: str, expected: type[P], ctx: Context, key: str) -> P | None:
        found: P | None = await added.ask((expected, type(None)), getattr(added.provider, method), ctx, key)
        if found is not None and expected is not ProvidedResource and getattr(found.definition, "name", None) != key:
            raise added.failure(f"{method} returned another one than {key!r}")
        return found

    # --- listing ----------------------------------------------------------------------

    async def page(self, listed: Listed[T], ctx: Context, cursor: str | None) -> Page[T]:
        """Return the page of a list that a cursor leads to.

        Raises:
            InvalidParams: the cursor is not one of this list, or its place is gone.
            RequestFailed: a provider failed, or took too long.
        """
        walk: _Walk[T] = _Walk(self._pages.size)
        position = None if cursor is None else self._position(listed, cursor)
        providers = (self.registry.declared, *self.registry.of(listed.kind))
        if position is not None:
            names = [added.name for added in providers]
            if position.provider not in names:
                raise invalid_cursor()
            start = names.index(position.provider)
        else:
            start = 0
        for index in range(start, len(providers)):
            own = position if index == start else None
            if await self._read(providers[: index + 1], listed, ctx, own, walk):
                return Page(walk.items, self._cursor(listed, walk, providers[index]))
        return Page(walk.items, None)

    async def _read(
        self,
        providers: Sequence[AddedProvider],
        listed: Listed[T],
        ctx: Context,
        position: _Position | None,
        walk: _Walk[T],
    ) -> bool:
        """Read on in the last of these providers. Returns whether the page is full, and there may be more."""
        added = providers[-1]
        inner, after = (None, None) if position is None else (position.cursor, position.key)
        while True:
            items, next_cursor = await self._read_page(added, listed, ctx, inner, walk)
            for item in _items_after(items, after, listed.key):
                if walk.is_full:
                    return True
                walk.looked_at += 1
                if not walk.looked_at % CHECKED_AT_ONCE:
                    await trio.lowlevel.checkpoint()
                key = listed.key(item)
                walk.last = _Position(added.name, inner, key)
                if key in walk.owners:
                    self._log_shadowed(listed, key, added, walk.owners[key])
                elif not await self._is_shadowed(providers, listed, ctx, key):
                    walk.owners[key] = added
                    walk.items.append(item)
            if next_cursor is None:
                return False
            inner, after = next_cursor, None
            walk.last = _Position(added.name, inner, None)
            if walk.is_full:
                return True

    async def _read_page(
        self, added: AddedProvider, listed: Listed[T], ctx: Context, cursor: str | None, walk: _Walk[T]
    ) -> tuple[Sequence[T], str | None]:
        """Read one page of a provider, and check it."""
        walk.pages += 1
        if walk.pages > MOST_PAGES:
            raise added.failure(f"{listed.list_method} came to no end within {MOST_PAGES} pages")
        listing = await added.ask((ProvidedPage, Sequence), getattr(added.provider, listed.list_method), ctx, cursor)
        items: Any = listing
        next_cursor: Any = None
        if isinstance(listing, ProvidedPage):
            items, next_cursor = listing.items, listing.next_cursor
        if not isinstance(items, Sequence) or not all(isinstance(item, listed.item) for item in items):
            raise added.failure(f"{listed.list_method} returned something else than {listed.item.__name__}s")
        by_key: dict[Any, T] = {}  # a key leads to one place in the page: the first one
        for item in items:
            key = listed.key(item)
            if not isinstance(key, str):
                raise added.failure(f"{listed.list_method} returned a {listed.item.__name__} whose name is no text")
            if by_key.setdefault(key, item) is not item:
                self._log_shadowed(listed, key, added, added)
        if next_cursor is not None and (not isinstance(next_cursor, str) or len(next_cursor) > PROVIDER_CURSOR):
            raise added.failure(
                f"{listed.list_method} returned no text of up to {PROVIDER_CURSOR} characters as its cursor"
            )
        return list(by_key.values()), next_cursor

    async def _is_shadowed(self, providers: Sequence[AddedProvider], listed: Listed[T], ctx: Context, key: str) -> bool:
        """Whether a provider before the last one of these has the definition of that name."""
        *earlier, last = providers
        if listed.find_method is None or listed.found is None:
            return False
        for added in earlier:
            if await self._find(added, listed.find_method, listed.found, ctx, key) is not None:
                self._log_shadowed(listed, key, last, added)
                return True
        return False

    def _log_shadowed(self, listed: Listed[Any], key: str, added: AddedProvider, by: AddedProvider) -> None:
        self._shadowed += 1
        if log.is_worth_saying(self._shadowed):
            winner = by.name or "a declared function"
            log.warning(events.DEFINITION_SHADOWED, kind=listed.kind, name=key, provider=added.name, by=winner)

    # --- cursors ----------------------------------------------------------------------

    def _cursor(self, listed: Listed[T], walk: _Walk[T], added: AddedProvider) -> str:
        last = walk.last
        assert last is not None
        if not last.provider:
            return self._pages.seal(listed.label, last.key or "")
        place = json.dumps([last.provider, last.cursor, last.key], separators=(",", ":"))
        cursor = self._pages.seal(_of_providers(listed), place)
        if len(cursor) > CURSOR_BYTES:
            raise added.failure(f"{listed.list_method} returned names that are too long for a cursor")
        return cursor

    def _position(self, listed: Listed[T], cursor: str) -> _Position:
        key = self._pages.unseal(listed.label, cursor)
        if key is not None:
            return _Position("", None, key)
        place = self._pages.unseal(_of_providers(listed), cursor)
        if place is None:
            raise invalid_cursor()
        return _Position(*json.loads(place))


class _Walk(Generic[T]):
    """One page as it fills."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.items: list[T] = []
        self.owners: dict[str, AddedProvider] = {}
        self.last: _Position | None = None
        self.pages = 0
        self.looked_at = 0

    @property
    def is_full(self) -> bool:
        return len(self.items) >= self._size


def _items_after(items: Sequence[T], after: str | None, key: Callable[[T], str]) -> Sequence[T]:
    """The items of a page behind one of them.

    Raises:
        InvalidParams: it is gone.
    """
    if after is None:
        return items
    for index, item in enumerate(items):
        if key(item) == after:
            return items[index + 1 :]
    raise invalid_cursor()


def _of_providers(listed: Listed[Any]) -> str:
    return f"{listed.label} of providers"
