"""What every params and every result carries: `_meta`, unknown fields, and what 2026-07-28 adds.

The other modules of this package derive their params and results from these.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import attrs

from trimcp.types.fields import spec


@attrs.define
class RequestParams:
    """The params of a request.

    Attributes:
        meta: `_meta` as it came; its reserved keys are in `trimcp.types.metadata`.
        extra: fields that the revision does not have, by their names on the wire.
    """

    meta: dict[str, Any] | None = attrs.field(default=None, kw_only=True, metadata=spec(shape="request_meta"))
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class NotificationParams:
    """The params of a notification; see `RequestParams`."""

    meta: dict[str, Any] | None = attrs.field(default=None, kw_only=True)
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class TaskMetadata:
    """Makes a request a task (2025-11-25), as a field of its params.

    Attributes:
        ttl: how long the task is to be kept after its creation, in milliseconds.
    """

    ttl: int | None = None
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class Result:
    """The result of a request; by itself, one that says nothing but that it is done.

    Attributes:
        result_type: the `resultType` that the codec writes and expects where the revision
            has it; None for what is a result in the legacy era alone.
        meta: `_meta` as it came or is to be sent.
        extra: fields that the revision does not have, by their names on the wire.
    """

    result_type: ClassVar[str | None] = "complete"

    meta: dict[str, Any] | None = attrs.field(default=None, kw_only=True)
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


EmptyResult = Result

ResultType = str
"""`complete`, `input_required`, or what an extension defines."""

CacheScope = Literal["private", "public"]


@attrs.define
class CacheableResult(Result):
    """A result that the client may keep (server/utilities/caching of 2026-07-28).

    Attributes:
        ttl_ms: how long it may count as fresh, in milliseconds from its arrival. Older revisions
            do not have it: None there. In 2026-07-28 None is sent as 0, and a missing or
            negative one is read as 0.
        cache_scope: whether it is the same for everybody. None is sent, and read, as `private`.
    """

    ttl_ms: int | None = attrs.field(
        default=None,
        kw_only=True,
        metadata=spec(since="2026-07-28", required_since="2026-07-28", fill=0, shape="ttl"),
    )
    cache_scope: CacheScope | None = attrs.field(
        default=None,
        kw_only=True,
        metadata=spec(since="2026-07-28", required_since="2026-07-28", fill="private"),
    )
