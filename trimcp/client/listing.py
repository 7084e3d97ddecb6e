"""The lists of a server: their pages, and all items, page after page. Each list has bounds.

A server may declare a feature and lack one of its lists, and one item of a list may break the schema: the rest of the
list is read all the same.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

import attrs
import trio

from trimcp.codec.jsontext import dumps
from trimcp.errors import InvalidResult, RequestFailed, RequestTimedOut
from trimcp.observability import events, log
from trimcp.types.jsonrpc import INVALID_PARAMS, METHOD_NOT_FOUND

if TYPE_CHECKING:
    from trimcp.codec.revisions import RevisionCodec
    from trimcp.session.negotiation import Agreement

T = TypeVar("T")

PAGES: Final = 1000
"""The most pages of one list that are read; a longer list is refused."""
MESSAGES: Final = 2
"""The most bytes of a list of several pages, as a multiple of `Limits.message_bytes`."""
RESTARTS: Final = 3
"""Times that a list is read again from the start, where it has changed and its next page cannot be found."""
LEFT_OUT: Final = "trimcp/leftOut"
"""The key in the `_meta` of a page with the items that were left out: the problem of each, by its name."""
EMPTY: Final[dict[str, str | int]] = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
"""What a page of 2026-07-28 has beside its items."""


@attrs.frozen
class ListMethod:
    """A method that returns a list."""

    feature: str
    """The capability of servers that have the list."""
    wire: str
    """The member of its result with the items, on the wire."""
    items: str
    """The attribute of the result object."""
    key: str
    """The member that names an item, on the wire."""


LISTS: Final = {
    "tools/list": ListMethod("tools", "tools", "tools", "name"),
    "prompts/list": ListMethod("prompts", "prompts", "prompts", "name"),
    "resources/list": ListMethod("resources", "resources", "resources", "uri"),
    "resources/templates/list": ListMethod("resources", "resourceTemplates", "resource_templates", "uriTemplate"),
    "tasks/list": ListMethod("tasks", "tasks", "tasks", "taskId"),
}


class PageRequests(Protocol):
    """The requests of a client, as its lists see them."""

    codec: RevisionCodec
    agreement: Agreement

    async def request(
        self, method: str, params: Mapping[str, Any] | None = None, *, fresh: bool = False
    ) -> dict[str, Any]:
        """Make a request, or take its result from the cache."""
        ...

    def decoded(self, decode: Callable[[Mapping[str, Any]], Any], raw: dict[str, Any]) -> Any:
        """Return the result object of a raw result.

        Raises:
            InvalidResult: it breaks the schema.
        """
        ...


class Items(list[T]):
    """The items of a list.

    Attributes:
        left_out: the problem of each item that breaks the schema and was left out, by its name.
    """

    def __init__(self) -> None:
        super().__init__()
        self.left_out: dict[str, str] = {}


@attrs.frozen
class Page:
    """One page of a list."""

    result: Any
    size: int
    """Its bytes, where other pages follow."""

    @property
    def left_out(self) -> dict[str, str]:
        """The problem of each item that was left out, by its name."""
        left_out: dict[str, str] = (self.result.meta or {}).get(LEFT_OUT, {})
        return left_out


async def read_page(requests: PageRequests, method: str, cursor: str | None, *, fresh: bool) -> Page:
    """Read one page of a list; an empty one, without asking, where the server did not declare the feature.

    Raises:
        InvalidResult: the page breaks the schema, and not by single items.
    """
    listed, decode = LISTS[method], requests.codec.result_decoder(method)
    raw: dict[str, Any] = {**EMPTY, listed.wire: []}
    if getattr(requests.agreement.capabilities, listed.feature) is None:
        await trio.lowlevel.checkpoint()
        return Page(requests.decoded(decode, raw), 0)
    try:
        raw = await requests.request(method, None if cursor is None else {"cursor": cursor}, fresh=fresh)
    except RequestFailed as exc:
        if exc.code != METHOD_NOT_FOUND or cursor is not None:
            raise
        log.debug(events.MESSAGE_IGNORED, method=method, why="the server lacks this list")
    size = 0 if raw.get("nextCursor") is None else len(dumps(raw))
    try:
        return Page(requests.decoded(decode, raw), size)
    except InvalidResult:
        items = raw.get(listed.wire)
        if type(items) is not list:
            raise
        kept, left_out = _sound(requests, listed, decode, items)
        if not left_out:
            raise
        result = requests.decoded(decode, {**raw, listed.wire: kept})
        for name, problem in left_out.items():
            log.warning(events.ITEM_LEFT_OUT, method=method, name=name, why=problem)
        result.meta = {**(result.meta or {}), LEFT_OUT: left_out}
        return Page(result, size)


def _sound(
    requests: PageRequests, listed: ListMethod, decode: Callable[[Mapping[str, Any]], Any], items: list[Any]
) -> tuple[list[Any], dict[str, str]]:
    """Return the items that fit the schema, and the problem of each of the others, by its name."""
    kept: list[Any] = []
    left_out: dict[str, str] = {}
    for number, item in enumerate(items):
        try:
            requests.decoded(decode, {**EMPTY, listed.wire: [item]})
        except InvalidResult as exc:
            named = [item.get(key) for key in ("name", "uri", "uriTemplate", "taskId")] if type(item) is dict else []
            name = next((each for each in named if type(each) is str), f"number {number}")
            left_out[name] = "; ".join(exc.problems).replace(f"{listed.wire}[0]", f"{listed.wire}[{number}]")
        else:
            kept.append(item)
    return kept, left_out


# --- all pages ------------------------------------------------------------------------


class Listing(Generic[T]):
    """The items of a list, page after page: `async for item in …`, from the first to the last.

    Each page is asked for when it is needed. Nothing has to be closed, so the loop may be left at any point. Each
    loop begins anew.
    """

    def __init__(
        self, items: str, page: Callable[[str | None], Awaitable[Page]], *, most_bytes: float, most_seconds: float
    ) -> None:
        """Read nothing yet.

        Args:
            items: the member of a page that has its items, such as `tools`.
            page: reads the page at a cursor.
            most_bytes: of all pages, where there are several.
            most_seconds: that the server may take for all pages.
        """
        self._items = items
        self._page = page
        self._most_bytes = most_bytes
        self._most_seconds = most_seconds

    def __aiter__(self) -> AsyncIterator[T]:
        return self._begin()

    def _begin(self) -> _Reading[T]:
        return _Reading(self._items, self._page, self._most_bytes, self._most_seconds)

    async def all(self) -> Items[T]:
        """Read all items. A list that changes so that its next page cannot be found is begun again, three times.

        Raises:
            InvalidResult: the list does not end, or is too long.
            RequestTimedOut: the server takes too long for all of it.
            RequestFailed: it cannot be read.
        """
        for restarts in range(RESTARTS + 1):
            reading, items = self._begin(), Items[T]()
            try:
                async for item in reading:
                    items.append(item)
            except RequestFailed as exc:
                if exc.code != INVALID_PARAMS or not reading.pages or restarts == RESTARTS:
                    raise
            else:
                items.left_out = reading.left_out
                return items
        raise AssertionError("the last round returns or raises")


class _Reading(Generic[T]):
    """Goes once through a list."""

    def __init__(
        self, items: str, page: Callable[[str | None], Awaitable[Page]], most_bytes: float, most_seconds: float
    ) -> None:
        self._items = items
        self._page = page
        self._most_bytes = most_bytes
        self._most_seconds = most_seconds
        self._seconds = 0.0
        self._size = 0
        self._ready: list[T] = []
        self._cursor: str | None = None
        self._cursors: set[str] = set()
        self._ended = False
        self.left_out: dict[str, str] = {}
        self.pages = 0
        """Pages that were read."""

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        while not self._ready:
            if self._ended:
                raise StopAsyncIteration
            await self._read()
        return self._ready.pop()

    async def _read(self) -> None:
        began = trio.current_time()
        page = await self._page(self._cursor)
        self._seconds += trio.current_time() - began
        self.pages += 1
        self._size += page.size
        self.left_out |= page.left_out
        self._cursor = page.result.next_cursor
        self._ended = self._cursor is None  # an empty cursor leads on like any other
        self._check()
        self._ready = getattr(page.result, self._items)[::-1]

    def _check(self) -> None:
        """Refuse a list that does not end.

        Raises:
            InvalidResult: it has a cursor twice, or too many pages or bytes.
            RequestTimedOut: it takes too long.
        """
        if self._cursor is None:
            return
        whole = f"the server's list of {self._items.replace('_', ' ')}"
        if self._cursor in self._cursors:
            raise InvalidResult([f"{whole} does not end: page {self.pages} has a cursor that an earlier page had"])
        self._cursors.add(self._cursor)
        if self.pages == PAGES:
            raise InvalidResult([f"{whole} has more than {PAGES} pages"])
        if self._size > self._most_bytes:
            raise InvalidResult([f"{whole} has more than {self._most_bytes:.0f} bytes"])
        if self._seconds > self._most_seconds:
            raise RequestTimedOut(f"{whole} was not read within {self._most_seconds:g} s")
