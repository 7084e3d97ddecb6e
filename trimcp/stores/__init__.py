"""Stores: the data that a server keeps beside its live objects, behind interfaces with async methods.

    server = trimcp.Server("adder", store=trimcp.stores.MemoryStore())

`Store` has all interfaces as one object, each in a module of its own. `MemoryStore` keeps the data in this process,
`SQLite` in a file for the processes of one machine, `Valkey` for any number of machines. Each call of a store is
atomic. `contained` calls stores of users with a deadline, and turns their failures into errors. Names are imported when
they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trimcp.stores.failures import StoreUnavailable
    from trimcp.stores.memory_store import MemoryStore
    from trimcp.stores.sqlite.store import SQLite
    from trimcp.stores.store import Store
    from trimcp.stores.urls import store_at
    from trimcp.stores.valkey.store import Valkey

_PLACES = {
    "MemoryStore": "memory_store",
    "SQLite": "sqlite.store",
    "Store": "store",
    "StoreUnavailable": "failures",
    "Valkey": "valkey.store",
    "store_at": "urls",
}

__all__ = ["MemoryStore", "SQLite", "Store", "StoreUnavailable", "Valkey", "store_at"]


if not TYPE_CHECKING:  # a type checker that sees the function accepts every name

    def __getattr__(name: str) -> Any:
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
        globals()[name] = value
        return value
