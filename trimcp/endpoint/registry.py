"""The registry of live sessions that users could replace: refused, with what to do instead.

A live session cannot be in another process. What processes share are records: see `trimcp.stores.session_store`.
"""

from __future__ import annotations

from typing import Any

from trimcp.errors import UsageError


class SessionRegistry:
    """The interface of trimcp's first registries. There are none any more."""

    def __init_subclass__(cls, **options: Any) -> None:
        raise UsageError(
            f"Invalid registry {cls.__name__}: SessionRegistry is no more; derive it from "
            "trimcp.stores.session_store.SessionStore, which keeps records of sessions"
        )
