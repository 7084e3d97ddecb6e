"""Lists and finds the definitions of a server: its declared functions first, then its providers in their order.

The first source that finds a name owns the name, so a list leaves out items that a call would not reach. A cursor names
a provider, the provider's own cursor, and the last item that was looked at, under the MAC of the server. A cursor
stays valid while other items and providers come and go.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

import attrs
import trio

from trimcp.observability import events, log
from trimcp.server.context.client_view import ContextRun
from trimcp.server.context.context import Context
from trimcp.server.features import Feature
from trimcp.server.features.access import permits, visible
from trimcp.server.features.pagination import CURSOR_BYTES, Page, Paginator, invalid_cursor, keys_after
from trimcp.server.features.provider import ProvidedPage, ProvidedPrompt, ProvidedResource, ProvidedTool
from trimcp.server.features.provider_registry import AddedProvider, ProviderRegistry
from trimcp.session.request import InboundRequest

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
P = TypeVar("P", bound=ProvidedTool | ProvidedResource | ProvidedPrompt)

PROVIDER_CURSOR: Final = 4096
"""The most characters in a cursor of a provider: the cursor of the server contains it."""
MOST_PAGES: Final = 100
"""Pages of providers that are read for one page of the server: a list of empty pages must end."""
CHECKED_AT_ONCE: Final = 256
"""Items that are looked at before other tasks get a turn."""


@attrs.frozen(eq=False, repr=False)
class DefinitionList(Generic[T, P]):
    """One list of the protocol, and how providers list and find its items."""

    feature: Feature
    label: str
    """The name of the list in its cursors and in errors."""
    item: type[T]
    key: Callable[[T], str]
    list_method: str
    """The method of a provider that lists."""
    find_method: str = ""
    """The method of a provider that finds one item by its key."""
    found: type[P] | None = None
    """The class that the find method returns; None if providers have no such method."""


class Declared(Protocol[T_co]):
    """A declared tool, resource, template or prompt."""

    @property
    def scopes(self) -> frozenset[str]:
        """The scopes that it needs."""
        ...

    @property
    def definition(self) -> T_co:
        """The definition to list."""
        ...


@attrs.frozen(eq=False, repr=False)
class _Position:
    """A place in the lists of all sources."""

    provider: str
    """The name of the provider; empty for the declared functions."""
    cursor: str | None
    """The provider's own cursor of the page that the place is on."""
    key: str | None
    """The last item that was looked at; None before the first item of the page."""


class ProviderLists:
    """Answers lists and look-ups of one run of a server."""

    def __init__(self, registry: ProviderRegistry, paginator: Paginator, run: ContextRun) -> None:
        self._registry = registry
        self._paginator = paginator
        self._run = run

    @property
    def is_needed(self) -> bool:
        """Whether the server has providers beside its declared functions."""
        return bool(self._registry.added)

    @property
    def has_tasks(self) -> bool:
        """Whether calls of the tools of any provider may be tasks."""
        return any(added.provider.tasks for added in self._registry.added)

    def scopes(self, feature: Feature, key: str) -> frozenset[str]:
        """Return the scopes that an item of the providers needs. See `ProviderRegistry`."""
        return self._registry.scopes(feature, key)

    async def find(self, listed: DefinitionList[Any, P], ctx: Context, key: str) -> P | None:
        """Ask the providers for one definition, in their order. The declared functions are not asked.

        Raises:
            RequestFailed: a provider failed, or took too long.
        """
        for added in self._registry.of(listed.feature):
            found = await _find(added, listed, ctx, key)
            if found is not None:
                return found
        return None

    # --- listing ----------------------------------------------------------------------

    async def page(
        self,
        listed: DefinitionList[T, Any],
        declared: Mapping[str, Declared[T]],
        request: InboundRequest,
        cursor: str | None,
        *,
        reachable: Container[str] = (),
    ) -> Page[T]:
        """Return the page of a list that a cursor leads to.

        Args:
            listed: the list.
            declared: the declared items, by their keys.
            request: the request for the list.
            cursor: the cursor that the client sent; None for the first page.
            reachable: further keys that lead to declared items: the URIs that match templates.

        Raises:
            InvalidParams: the cursor is invalid for this list, or its place is gone.
            RequestFailed: a provider failed, or took too long.
        """
        if not self._registry.added:
            page = self._paginator.page(visible(request.delivery, declared), cursor, label=listed.label)
            return Page([item.definition for item in page.items], page.next_cursor)
        position = None if cursor is None else self._position(listed, cursor)
        providers = self._registry.of(listed.feature)
        reader = _PageReader(self, listed, Context(request, self._run), providers, self._paginator.size)
        if not await reader.read(declared, reachable, position):
            return Page(reader.items, None)
        return Page(reader.items, self._cursor(listed, providers, reader.last))

    def log_shadowed(self, listed: DefinitionList[Any, Any], key: str, added: AddedProvider, owner: str) -> None:
        """Log that a definition of a provider cannot be reached, since another source owns its name."""
        owner = owner or "a declared function"
        log.warning(events.DEFINITION_SHADOWED, kind=listed.feature, name=key, provider=added.name, by=owner)

    # --- cursors ----------------------------------------------------------------------

    def _cursor(
        self, listed: DefinitionList[Any, Any], providers: Sequence[AddedProvider], last: _Position | None
    ) -> str:
        assert last is not None
        if not last.provider:
            return self._paginator.seal(listed.label, last.key or "")
        place = json.dumps([last.provider, last.cursor, last.key], separators=(",", ":"))
        cursor = self._paginator.seal(_label_of_providers(listed), place)
        if len(cursor) > CURSOR_BYTES:
            added = next(added for added in providers if added.name == last.provider)
            raise added.failure(f"{listed.list_method} returned names that are too long for a cursor")
        return cursor

    def _position(self, listed: DefinitionList[Any, Any], cursor: str) -> _Position:
        key = self._paginator.unseal(listed.label, cursor)
        if key is not None:
            return _Position("", None, key)
        place = self._paginator.unseal(_label_of_providers(listed), cursor)
        if place is None:
            raise invalid_cursor()
        return _Position(*json.loads(place))


class _PageReader(Generic[T]):
    """Reads one page from the sources of a list."""

    def __init__(
        self,
        lists: ProviderLists,
        listed: DefinitionList[T, Any],
        ctx: Context,
        providers: Sequence[AddedProvider],
        size: int,
    ) -> None:
        self._lists = lists
        self._listed = listed
        self._ctx = ctx
        self._providers = providers
        self._size = size
        self._declared: tuple[Container[str], ...] = ()
        self._owners: dict[str, str] = {}  # the names of the sources of the items, by key
        self._pages = 0
        self._looked_at = 0
        self.items: list[T] = []
        self.last: _Position | None = None
        """The last item that was looked at."""

    async def read(
        self, declared: Mapping[str, Declared[T]], reachable: Container[str], position: _Position | None
    ) -> bool:
        """Fill the page. Returns whether it is full and there may be more."""
        self._declared = (declared, reachable)
        start = 0
        if position is not None and position.provider:
            names = [added.name for added in self._providers]
            if position.provider not in names:
                raise invalid_cursor()
            start = names.index(position.provider)
        else:
            # A declared item that is hidden from the sender still owns its name.
            shown = visible(self._ctx.request.delivery, declared)
            if self._read_declared(shown, None if position is None else position.key):
                return True
            position = None
        for index in range(start, len(self._providers)):
            if await self._read_provider(index, position):
                return True
            position = None
        return False

    def _read_declared(self, declared: Mapping[str, Declared[T]], after: str | None) -> bool:
        for key in list(declared) if after is None else keys_after(list(declared), after):
            if self._is_full:
                return True
            self.last = _Position("", None, key)
            self._owners[key] = ""
            self.items.append(declared[key].definition)
        return False

    async def _read_provider(self, index: int, position: _Position | None) -> bool:
        added, listed = self._providers[index], self._listed
        cursor, after = (None, None) if position is None else (position.cursor, position.key)
        while True:
            items, next_cursor = await self._read_page(added, cursor)
            for key in list(items) if after is None else keys_after(list(items), after):
                if self._is_full:
                    return True
                self._looked_at += 1
                if not self._looked_at % CHECKED_AT_ONCE:
                    await trio.lowlevel.checkpoint()
                owner = self._owners.get(key)
                if owner is None:
                    owner = await self._owner_before(index, key)
                if owner is None:
                    self._owners[key] = added.name
                    if self._is_hidden(key):
                        continue  # the cursor does not name it either
                    self.items.append(items[key])
                self.last = _Position(added.name, cursor, key)
                if owner is not None:
                    self._lists.log_shadowed(listed, key, added, owner)
            if next_cursor is None:
                return False
            cursor, after = next_cursor, None
            self.last = _Position(added.name, cursor, None)
            if self._is_full:
                return True

    async def _read_page(self, added: AddedProvider, cursor: str | None) -> tuple[dict[str, T], str | None]:
        """Read one page of a provider, and check it. Returns its items by key, and the next cursor."""
        listed = self._listed
        self._pages += 1
        if self._pages > MOST_PAGES:
            raise added.failure(f"{listed.list_method} came to no end within {MOST_PAGES} pages")
        method = getattr(added.provider, listed.list_method)
        items: Any = await added.ask((ProvidedPage, Sequence), method, self._ctx, cursor)
        next_cursor: Any = None
        if isinstance(items, ProvidedPage):
            items, next_cursor = items.items, items.next_cursor
        if not isinstance(items, Sequence) or not all(isinstance(item, listed.item) for item in items):
            raise added.failure(f"{listed.list_method} returned something else than {listed.item.__name__}s")
        by_key: dict[str, T] = {}  # a key leads to one place in the page: the first one
        for item in items:
            key = listed.key(item)
            if not isinstance(key, str):
                raise added.failure(f"{listed.list_method} returned a {listed.item.__name__} whose name is no text")
            if by_key.setdefault(key, item) is not item:
                self._lists.log_shadowed(listed, key, added, added.name)
        if next_cursor is not None and (not isinstance(next_cursor, str) or len(next_cursor) > PROVIDER_CURSOR):
            raise added.failure(
                f"{listed.list_method} returned no text of up to {PROVIDER_CURSOR} characters as its cursor"
            )
        return by_key, next_cursor

    async def _owner_before(self, index: int, key: str) -> str | None:
        """Return the name of the first source before a provider that finds a key; None if no source does."""
        if self._listed.found is None:
            return None
        if any(key in names for names in self._declared):
            return ""
        for added in self._providers[:index]:
            if await _find(added, self._listed, self._ctx, key) is not None:
                return added.name
        return None

    def _is_hidden(self, key: str) -> bool:
        delivery = self._ctx.request.delivery
        return delivery.hides_forbidden and not permits(delivery, self._lists.scopes(self._listed.feature, key))

    @property
    def _is_full(self) -> bool:
        return len(self.items) >= self._size


async def _find(added: AddedProvider, listed: DefinitionList[Any, P], ctx: Context, key: str) -> P | None:
    assert listed.found is not None
    method = getattr(added.provider, listed.find_method)
    found: P | None = await added.ask((listed.found, type(None)), method, ctx, key)
    if found is not None and listed.found is not ProvidedResource and getattr(found.definition, "name", None) != key:
        raise added.failure(f"{listed.find_method} returned another one than {key!r}")
    return found


def _label_of_providers(listed: DefinitionList[Any, Any]) -> str:
    return f"{listed.label} of providers"
