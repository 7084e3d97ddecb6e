"""How long clients may keep what a server answers: the hints of 2026-07-28, from the server's settings.

server/utilities/caching. Older revisions have no such hints: there the codec leaves them out. What
a resource says itself comes before what is said here.
"""

from __future__ import annotations

from typing import Any, Final, get_args

import attrs

from trimcp.errors import InvalidResult, UsageError
from trimcp.types.payload import CacheableResult, CacheScope

LONGEST: Final = 2**53 - 1
"""The largest integer that every JSON reader takes."""


def check_ttl(instance: object, attribute: Any, value: int | None) -> None:
    """
    Raises:
        UsageError: it is no number of milliseconds from 0 on.
    """
    if value is not None and (type(value) is not int or not 0 <= value <= LONGEST):
        raise UsageError(f"{attribute.name} is a number of milliseconds from 0 to {LONGEST}, not {value!r}")


def check_scope(instance: object, attribute: Any, value: CacheScope | None) -> None:
    """
    Raises:
        UsageError: it is neither `public` nor `private`.
    """
    if value is not None and value not in get_args(CacheScope):
        raise UsageError(f"{attribute.name} is public or private, not {value!r}")


@attrs.frozen
class CacheHint:
    """How long one kind of answer may be kept, and for whom.

    Attributes:
        ttl_ms: milliseconds that it counts as fresh; 0 is not at all.
        scope: `private`, for the one who asked; `public`, for everybody, whatever they may see otherwise.
    """

    ttl_ms: int = attrs.field(default=0, validator=check_ttl)
    scope: CacheScope = attrs.field(default="private", validator=check_scope)


@attrs.frozen(kw_only=True)
class Caching:
    """The hints of a server.

    Attributes:
        default: for what has no hint of its own below.
        discover: for `server/discover`.
        tools: for the list of tools.
        prompts: for the list of prompts.
        resources: for the list of resources.
        templates: for the list of resource templates.
        reads: for the contents of resources that say nothing themselves.
    """

    default: CacheHint = CacheHint()
    discover: CacheHint | None = None
    tools: CacheHint | None = None
    prompts: CacheHint | None = None
    resources: CacheHint | None = None
    templates: CacheHint | None = None
    reads: CacheHint | None = None

    def of(self, method: str) -> CacheHint:
        """The hint for what a method answers."""
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
    """The result with a hint for what it does not say itself; results that cannot be kept as they are.

    Raises:
        InvalidResult: it says itself that it may be kept for less than no time.
    """
    if isinstance(result, CacheableResult):
        if result.ttl_ms is None:
            result.ttl_ms = hint.ttl_ms
        elif result.ttl_ms < 0:
            raise InvalidResult([f"a time to live is 0 or more, not {result.ttl_ms}"])
        if result.cache_scope is None:
            result.cache_scope = hint.scope
    return result
