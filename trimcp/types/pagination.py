"""Lists that come in pages (server/utilities/pagination)."""

from __future__ import annotations

import attrs

from trimcp.types.payload import CacheableResult, RequestParams, Result

Cursor = str
"""Where the next page starts; opaque to the client."""


@attrs.define
class PaginatedRequestParams(RequestParams):
    """The params of a request for one page of a list.

    Attributes:
        cursor: the `next_cursor` of the page before; None for the first page.
    """

    cursor: Cursor | None = None


@attrs.define
class PaginatedResult(Result):
    """One page of a list.

    Attributes:
        next_cursor: what asks for the next page; None on the last one.
    """

    next_cursor: Cursor | None = attrs.field(default=None, kw_only=True)


@attrs.define
class CacheablePage(CacheableResult):
    """A `PaginatedResult` that is a `CacheableResult` as well, as all lists of a server are.

    (Classes with slots cannot inherit from both.)
    """

    next_cursor: Cursor | None = attrs.field(default=None, kw_only=True)
