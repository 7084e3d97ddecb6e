"""Compare-and-set of records in stores that compare in Python."""

from __future__ import annotations

from typing import TypeVar

import attrs

from trimcp.stores.session_store import SessionRecord
from trimcp.stores.task_store import TaskRecord

R = TypeVar("R", SessionRecord, TaskRecord)


def replacement(kept: R | None, record: R) -> R | None:
    """Return a record with the next version, to be kept in place of `kept`.

    Returns None where the store has no such record, or has another version of it: the update is refused.
    """
    if kept is None or kept.version != record.version:
        return None
    return attrs.evolve(record, version=record.version + 1)
