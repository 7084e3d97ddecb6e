"""A server on stdio whose tasks outlive it: `python durable_server.py sqlite:state.db`."""

from __future__ import annotations

import sys

from tests.tasks.workshop import Workshop
from trimcp.stores import node_store, store_at
from trimcp.stores.valkey import connection

# Before the store is made: its nodes count as dead soon, but not because the machine is busy.
node_store.LEASE = 4.0  # type: ignore[misc]
connection.DEADLINE = 5.0  # type: ignore[misc]
workshop = Workshop(store=store_at(sys.argv[1]))
if len(sys.argv) > 2:
    workshop.release.set()
workshop.server.run()
