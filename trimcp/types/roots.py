"""Roots: the places in which a client lets its servers work (client/roots)."""

from typing import Any, ClassVar

import attrs

from trimcp.types.fields import Extensible, spec, spec_field
from trimcp.types.payload import Result


@attrs.define(eq=False, repr=False)
class Root(Extensible):
    """A root.

    Attributes:
        uri: its file URI.
        name: its name for people.
    """

    uri: str
    name: str | None = None
    meta: dict[str, Any] | None = spec_field(since="2025-06-18")


@attrs.define(eq=False, repr=False)
class ListRootsResult(Result):
    """The client's roots; in 2026-07-28 the answer to an input request, which has no `_meta`."""

    result_type: ClassVar[str | None] = None

    roots: list[Root]
    meta: dict[str, Any] | None = attrs.field(default=None, kw_only=True, metadata=spec(until="2025-11-25"))
