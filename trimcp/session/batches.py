"""Batches: arrays of messages, which 2025-03-26 has and no other revision (basic of that revision)."""

from __future__ import annotations

from typing import Any

from trimcp.session.limits import Limits
from trimcp.types.metadata import PROTOCOL_VERSION
from trimcp.types.revisions import Revision

IN_A_BATCH = "initialize must not be part of a batch"


def batch_refusal(values: list[Any], revision: Revision | None, limits: Limits) -> str | None:
    """Why a whole array is refused with one error, if it is.

    Args:
        values: its members.
        revision: of the session; None before `initialize`.
        limits: of the session.
    """
    if revision is None or not revision.batches:
        spoken = "before initialize" if revision is None else f"in {revision.version}"
        return f"A message must be a JSON object: there are no batches {spoken}"
    if not values:
        return "A batch must not be empty"
    if len(values) > limits.batch_length:
        return f"A batch must not have more than {limits.batch_length} members"
    for value in values:
        params = value.get("params") if type(value) is dict else None
        meta = params.get("_meta") if type(params) is dict else None
        if type(meta) is dict and PROTOCOL_VERSION in meta:
            return f"A message that carries {PROTOCOL_VERSION} must not be part of a batch"
    return None


def is_owed(value: Any) -> bool:
    """Whether a member of a batch gets an answer: a request does, and what is no message gets an error."""
    if type(value) is not dict:
        return True
    return ("id" in value and "method" in value) or not ("method" in value or "result" in value or "error" in value)


def is_initialize(value: Any) -> bool:
    """Whether a member is what must not be one."""
    return type(value) is dict and value.get("method") == "initialize" and "id" in value
