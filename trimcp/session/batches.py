"""Batches: arrays of messages, which 2025-03-26 has and no other revision (basic of that revision)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trimcp.codec.envelope import InvalidMessage, read_message
from trimcp.observability import events, log
from trimcp.session.limits import Limits
from trimcp.session.outlet import Batch
from trimcp.types.jsonrpc import INVALID_REQUEST, Message
from trimcp.types.metadata import PROTOCOL_VERSION
from trimcp.types.revisions import Revision

if TYPE_CHECKING:
    from trimcp.session.register import Register

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


def open_batch(register: Register, values: list[Any]) -> Batch | None:
    """Open the outlet of a batch on a duplex session; None where the whole batch is refused, which is answered."""
    session, limits = register.session, register.session.limits
    register.batches = [batch for batch in register.batches if not batch.is_complete]
    refusal = batch_refusal(values, session.revision, limits)
    if refusal is None and len(register.batches) >= limits.batches:
        refusal = f"Busy: {limits.batches} batches of this session are under way"
    if refusal is not None:
        log.debug(events.BATCH_REFUSED, why=refusal)
        session.violations.refuse(INVALID_REQUEST, refusal)
        return None
    batch = Batch(session.writer, limits.result_bytes)
    register.batches.append(batch)
    return batch


def read_member(value: Any) -> Message:
    """Read a member of a batch.

    Raises:
        InvalidMessage: it is no message, or `initialize`.
    """
    if is_initialize(value):
        id = value.get("id")
        raise InvalidMessage(INVALID_REQUEST, IN_A_BATCH, "$.method", id if type(id) in (int, str) else None, "request")
    return read_message(value)
