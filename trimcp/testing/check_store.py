"""The rules of a `Store`, as checks that run against any store.

trimcp's own stores pass them, and the author of another store runs them in one test:

    async def test_my_store() -> None:
        await check_store(open_handles)

The checks use only the interface, and data of their own: they may run on a store that has data. A store whose lease
is short makes the checks of leases short.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final

import trio

from trimcp.stores.store import Store
from trimcp.testing.store_checks import events, nodes, sessions, tasks

OpenHandles = Callable[[], AbstractAsyncContextManager[tuple[Store, Store]]]
"""Opens two handles on the same data, as two processes have them; the same one twice, where a store is not shared."""
Check = Callable[[Store, Store], Awaitable[None]]

PATIENCE: Final = 30.0
"""The seconds after which a check has failed, beside the leases that it waits for."""
CHECKS: Final[Sequence[Check]] = (*sessions.CHECKS, *events.CHECKS, *tasks.CHECKS, *nodes.CHECKS)


async def check_store(open_handles: OpenHandles, *, checks: Sequence[Check] = CHECKS) -> None:
    """Run every check against a store, each on new handles.

    Args:
        open_handles: opens two handles; called about forty times.
        checks: the checks to run; all, if not given.

    Raises:
        AssertionError: a check failed; a note names it.
    """
    for check in checks:
        try:
            async with open_handles() as (store, other):
                with trio.fail_after(PATIENCE + 3 * store.nodes.lease):
                    await check(store, other)
        except Exception as exc:
            exc.add_note(f"the check `{check.__name__}` failed")
            raise
