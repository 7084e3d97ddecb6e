"""Scopes of access tokens (RFC 6749, section 3.3), as servers and tools name them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from trimcp.errors import UsageError

_SCOPE: Final = re.compile(r"[!#-\[\]-~]+")


def check_scopes(scopes: Iterable[str], name: str = "scopes") -> tuple[str, ...]:
    """Return scopes, each once.

    Raises:
        UsageError: it is one string, or a scope has a space, a quote or another character that scopes cannot have.
    """
    if isinstance(scopes, str):
        raise UsageError(f"Invalid {name} {scopes!r}: give a list of scopes")
    found = tuple(dict.fromkeys(scopes))
    for scope in found:
        if not _SCOPE.fullmatch(scope):
            raise UsageError(f"Invalid scope {scope!r} in {name}: use visible ASCII but quotes and backslashes")
    return found
