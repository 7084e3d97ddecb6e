"""Cache hints of 2026-07-28: how long clients may keep the answers of a server.

The hint of a resource comes before the hints of the server. The codec leaves hints out in older revisions.
server/utilities/caching.
"""

from __future__ import annotations

from typing import Any, Final, get_args

import attrs

from trimcp.errors import InvalidResult, UsageError
from trimcp.types.payload import CacheableResult, CacheScope
from trimcp.values import FrozenValue

LONGEST: Final = 2**53 - 1
"""The largest integer that all JSON decoders read exactly."""


def check_ttl(instance: object, attribute: Any, value: int | None) -> None:
    """Check a time to live, as an attrs validator.

    Raises:
        UsageError: the value is no number of milliseconds from 0 on.
    """
    if value is not None and (type(value) is not int or not 0 <= value <= LONGEST):
        raise UsageError(f"Invalid {attribute.name} {value!r}: use a number of milliseconds from 0 to {LONGEST}")


def check_scope(instance: object, attribute: Any, value: CacheScope | None) -> None:
    """Check a cache scope, as an attrs validator.

    Raises:
        UsageError: the value is neither `public` nor `private`.
    """
    if value is not None and value not in get_args(CacheScope):
        raise UsageError(f"Invalid {attribute.name} {value!r}: use public or private")


@attrs.frozen(eq=False, repr=False)
class CacheHint(FrozenValue):
    """How long clients may keep one kind of answer, and for which users.

    Attributes:
        ttl_ms: the milliseconds for which the answer is fresh; 0 means that clients must not keep it.
        scope: `private` for answers to one user; `public` for answers that are the same for all users.
    """

    ttl_ms: int = attrs.field(default=0, validator=check_ttl)
    scope: CacheScope = attrs.field(default="private", validator=check_scope)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Caching(FrozenValue):
    """The cache hints of a server.

    Attributes:
        default: for answers without a hint below.
        discover: for `server/discover`.
        tools: for the list of tools.
        prompts: for the list of prompts.
        resources: for the list of resources.
        templates: for the list of resource templates.
        reads: for the contents of resources that have no hint of their own.
    """

    default: CacheHint = CacheHint()
    discover: CacheHint | None = None
    tools: CacheHint | None = None
    prompts: CacheHint | None = None
    resources: CacheHint | None = None
    templates: CacheHint | None = None
    reads: CacheHint | None = None

    def of(self, method: str) -> CacheHint:
        """Return the hint for the answers of a method."""
        own = getattr(self, _SETTINGS[method], None) if method in _SETTINGS else None
        return self.default if own is None else own


_SETTINGS: Final = {
    "server/discover": "discover",
    "tools/list": "tools",
    "prompts/list": "prompts",
    "resources/list": "resources",
    "resources/templates/list": "templates",
    "resources/read": "reads",
}


def with_hint(result: Any, hint: CacheHint) -> Any:
    """Add a hint to a cacheable result that has none, and return the result.

    Raises:
        InvalidResult: the time to live of the result is negative.
    """
    if isinstance(result, CacheableResult):
        if result.ttl_ms is None:
            result.ttl_ms = hint.ttl_ms
        elif result.ttl_ms < 0:
            raise InvalidResult([f"invalid ttl_ms {result.ttl_ms}: use 0 or more"])
        if result.cache_scope is None:
            result.cache_scope = hint.scope
    return result
