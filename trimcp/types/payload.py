"""The base classes of params and results: `_meta`, unknown fields, caching hints, pages of lists.

The other modules of this package derive their params and results from these.
"""

from typing import Any, ClassVar, Literal

import attrs

from trimcp.types.fields import Extensible, spec


@attrs.define(eq=False, repr=False)
class RequestParams(Extensible):
    """The params of a request.

    Attributes:
        meta: `_meta` as received; its reserved keys are in `trimcp.types.metadata`.
        extra: fields that the revision does not have, by their names on the wire.
    """

    meta: dict[str, Any] | None = attrs.field(default=None, kw_only=True, metadata=spec(check="request_meta"))


@attrs.define(eq=False, repr=False)
class NotificationParams(Extensible):
    """The params of a notification; see `RequestParams`."""

    meta: dict[str, Any] | None = attrs.field(default=None, kw_only=True)


@attrs.define(eq=False, repr=False)
class TaskMetadata(Extensible):
    """Makes a request a task (2025-11-25), as a field of its params.

    Attributes:
        ttl: the time to keep the task after its creation, in milliseconds.
    """

    ttl: int | None = None


@attrs.define(eq=False, repr=False)
class Result(Extensible):
    """The result of a request; the class itself is an empty result.

    Attributes:
        result_type: the `resultType` that the codec writes and expects, where the revision has it; None
            for results of the legacy era only.
        meta: `_meta` as received, or to send.
        extra: fields that the revision does not have, by their names on the wire.
    """

    result_type: ClassVar[str | None] = "complete"

    meta: dict[str, Any] | None = attrs.field(default=None, kw_only=True)


EmptyResult = Result

ResultType = str
"""`complete`, `input_required`, or a tag of an extension."""

CacheScope = Literal["private", "public"]


@attrs.define(eq=False, repr=False)
class CacheableResult(Result):
    """A result that the client may cache (server/utilities/caching of 2026-07-28).

    Attributes:
        ttl_ms: the time for which it is fresh, in milliseconds from its arrival; None in older
            revisions. In 2026-07-28 None is sent as 0, and a missing or negative value is read as 0.
        cache_scope: whether it is the same for all clients. None is sent, and read, as `private`.
    """

    ttl_ms: int | None = attrs.field(
        default=None,
        kw_only=True,
        metadata=spec(since="2026-07-28", required_since="2026-07-28", fill=0, check="ttl"),
    )
    cache_scope: CacheScope | None = attrs.field(
        default=None,
        kw_only=True,
        metadata=spec(since="2026-07-28", required_since="2026-07-28", fill="private"),
    )


Cursor = str
"""The start of the next page; opaque to the client."""


@attrs.define(eq=False, repr=False)
class PaginatedRequestParams(RequestParams):
    """The params of a request for one page of a list.

    Attributes:
        cursor: the `next_cursor` of the page before; None for the first page.
    """

    cursor: Cursor | None = None


@attrs.define(eq=False, repr=False)
class PaginatedResult(Result):
    """One page of a list.

    Attributes:
        next_cursor: the cursor of the next page; None on the last page.
    """

    next_cursor: Cursor | None = attrs.field(default=None, kw_only=True)


@attrs.define(eq=False, repr=False)
class CacheablePage(CacheableResult):
    """A `PaginatedResult` that is also a `CacheableResult`, like all lists of a server.

    (Classes with slots cannot inherit from both.)
    """

    next_cursor: Cursor | None = attrs.field(default=None, kw_only=True)
