"""Roots: the places that a client lets its servers work in (client/roots)."""

from __future__ import annotations

from typing import Any, ClassVar

import attrs

from trimcp.types.fields import spec, spec_field
from trimcp.types.payload import Result


@attrs.define
class Root:
    """One such place.

    Attributes:
        uri: a file URI.
        name: for people.
    """

    uri: str
    name: str | None = None
    meta: dict[str, Any] | None = spec_field(since="2025-06-18")
    extra: dict[str, Any] = attrs.field(factory=dict, kw_only=True)


@attrs.define
class ListRootsResult(Result):
    """The client's roots; in 2026-07-28 an answer to an input request, which has no `_meta` of its own."""

    result_type: ClassVar[str | None] = None

    roots: list[Root]
    meta: dict[str, Any] | None = attrs.field(default=None, kw_only=True, metadata=spec(until="2025-11-25"))
