"""What the calls of each feature stand on: one request at a time, and lists that come in pages.

`Client` is the `Requester`; `tools`, `resources` and `prompts` are written against it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from trimcp.errors import InvalidPayload, InvalidResult, RequestFailed
from trimcp.types.jsonrpc import INVALID_PARAMS

if TYPE_CHECKING:
    from trimcp.codec.revisions import RevisionCodec
    from trimcp.session.calls import OnProgress

T = TypeVar("T")

PAGES: Final = 1000
"""The most pages of one list that are read: a server whose list never ends is refused."""
RESTARTS: Final = 3
"""Times that a list is begun again, where it changed so that the next page cannot be found."""


class Requester:
    """The part of `Client` that all calls share."""

    _codec: RevisionCodec

    async def request(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,
        on_progress: OnProgress | None = None,
        fresh: bool = False,
    ) -> dict[str, Any]:
        """See `Client.request`."""
        raise NotImplementedError

    async def in_rounds(
        self,
        method: str,
        params: dict[str, Any],
        decode: Callable[[Mapping[str, Any]], Any],
        *,
        timeout: float | None = None,
        on_progress: OnProgress | None = None,
        fresh: bool = False,
    ) -> Any:
        """See `Client.in_rounds`."""
        raise NotImplementedError

    async def _page(self, method: str, cursor: str | None, *, fresh: bool) -> Any:
        """One page of a list, as the method's result object."""
        params = None if cursor is None else {"cursor": cursor}
        return self._decoded(self._codec.result_decoder(method), await self.request(method, params, fresh=fresh))

    def _decoded(self, decode: Callable[[Mapping[str, Any]], Any], raw: dict[str, Any]) -> Any:
        try:
            return decode(raw)
        except InvalidPayload as exc:
            raise InvalidResult(exc.problems) from None


class Paged(Protocol):
    """A page of any list."""

    next_cursor: str | None


P = TypeVar("P", bound=Paged)


class Listing(Generic[T]):
    """The items of a list, page after page: `async for item in …`, from the first to the last.

    The next page is asked for when it is needed. It holds nothing that would need closing, so the
    loop may be left at any point. Each loop begins anew.
    """

    def __init__(self, page: Callable[[str | None], Awaitable[P]], items: Callable[[P], list[T]], what: str) -> None:
        """
        Args:
            page: gets the page at a cursor.
            items: takes the items out of one.
            what: the list is of, for errors.
        """
        self._page: Callable[[str | None], Awaitable[Any]] = page
        self._items: Callable[[Any], list[T]] = items
        self._what = what

    def __aiter__(self) -> AsyncIterator[T]:
        return _Items(self._page, self._items, self._what)

    async def all(self) -> list[T]:
        """All items. Where the list changes so that its next page cannot be found, it is begun again, three times.

        Raises:
            InvalidResult: the list does not end.
            RequestFailed: it cannot be read.
        """
        for restarts in range(RESTARTS + 1):
            items = _Items(self._page, self._items, self._what)
            try:
                return [item async for item in items]
            except RequestFailed as exc:
                if exc.code != INVALID_PARAMS or not items.began or restarts == RESTARTS:
                    raise
        raise AssertionError("the last round returns or raises")


class _Items(Generic[T]):
    """One way through a list."""

    def __init__(
        self, page: Callable[[str | None], Awaitable[Any]], items: Callable[[Any], list[T]], what: str
    ) -> None:
        self._page = page
        self._items = items
        self._what = what
        self._ready: list[T] = []
        self._cursor: str | None = None
        self._pages = 0
        self._ended = False

    @property
    def began(self) -> bool:
        """Whether a first page was read."""
        return self._pages > 0

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        while not self._ready:
            if self._ended:
                raise StopAsyncIteration
            if self._pages == PAGES:
                raise InvalidResult([f"the server's list of {self._what} has more than {PAGES} pages"])
            page = await self._page(self._cursor)
            self._pages += 1
            self._cursor = page.next_cursor
            self._ended = self._cursor is None  # an empty one is a cursor like any other
            self._ready = self._items(page)[::-1]
        return self._ready.pop()
