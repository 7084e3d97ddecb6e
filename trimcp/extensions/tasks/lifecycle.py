"""The life of a task as pure steps: from a record to the next one, or None if nothing changes.

A task begins as `working`, is `input_required` while questions wait for answers, and ends once: `completed`, `failed`
or `cancelled` (basic/utilities/tasks of 2025-11-25, "Task Status Lifecycle"; the same in the extension).
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection, Mapping
from typing import Any, Final

import attrs

from trimcp.codec.jsontext import dumps
from trimcp.codec.revisions import codec_for
from trimcp.schema.exact_json import decode, encode
from trimcp.server.context.sealed_state import State
from trimcp.session.request import InboundRequest
from trimcp.stores.task_store import TaskRecord
from trimcp.types.jsonrpc import NODE_LOST
from trimcp.types.metadata import CLIENT_CAPABILITIES, CLIENT_INFO, PROTOCOL_VERSION
from trimcp.types.tasks import TaskStatus

ID_BYTES: Final = 24
"""Random bytes of an id. It is a bearer token where clients have no principal."""
LEAST_TTL: Final = 1.0
"""The shortest time to live, in seconds."""
ROUND: Final = ("inputResponses", "requestState", "task")
"""Members of params that are of one request, and not of its task."""
NO_NODE: Final = 0
"""The incarnation of a task that a node has handed over: any node may take it."""


def now() -> float:
    """Return the time of day, in seconds since the epoch: that of all records."""
    return time.time()


def new_id() -> str:
    """Make the id of a task. It is hexadecimal: with a hyphen in front it would be an option on a command line."""
    return secrets.token_hex(ID_BYTES)


def granted_ttl(wanted: float | None, default: float, most: float) -> float:
    """Return the seconds for which a task is kept, from the milliseconds that the client asks for."""
    if wanted is None:
        return min(default, most)
    return max(min(wanted / 1000, most), LEAST_TTL)


def stored_params(request: InboundRequest) -> bytes:
    """Return the params of a request as its task keeps them: with what the client has told about itself.

    In 2026-07-28 that is in the `_meta` of each request; for a session it is put there in the same form.
    """
    params = {name: value for name, value in (request.params or {}).items() if name not in ROUND}
    profile = request.profile
    if request.revision.server_asks and profile is not None:
        codec = codec_for(request.revision)
        meta = {
            **(params.get("_meta") or {}),
            CLIENT_CAPABILITIES: codec.unstructure(profile.capabilities),
            PROTOCOL_VERSION: request.revision.version,
        }
        if profile.info is not None:
            meta[CLIENT_INFO] = codec.unstructure(profile.info)
        params["_meta"] = meta
    return dumps(params)


def stored_answers(state: State) -> bytes | None:
    """Return the answers of the rounds before a call became a task, as its record keeps them."""
    return dumps({key: {"result": raw} for key, (_, raw) in state.answers.items()}) if state.answers else None


def stored_steps(state: State) -> bytes | None:
    """Return the results of `ctx.once` before a call became a task, as its record keeps them."""
    return encode(state.kept) if state.kept else None


def questions_of(record: TaskRecord) -> dict[str, Any]:
    """Return the input requests that wait for answers, by key."""
    return _object(record.questions)


def answers_of(record: TaskRecord) -> dict[str, Any]:
    """Return the answers given so far, by key: `{"result": …}`, or `{"error": …}` where the client refused."""
    return _object(record.answers)


def kept_of(record: TaskRecord) -> dict[str, Any]:
    """Return the results of `ctx.once`, by key."""
    return _object(record.kept)


def _object(text: bytes | None) -> dict[str, Any]:
    value: dict[str, Any] = {} if text is None else decode(text)
    return value


def asked(record: TaskRecord, requests: Mapping[str, Any], now: float) -> TaskRecord | None:
    """Ask the client. Questions that are answered or that wait already are not asked again."""
    if record.is_final:
        return None
    known = answers_of(record)
    waiting = questions_of(record)
    new = {key: request for key, request in requests.items() if key not in known and key not in waiting}
    if not new:
        return None
    return _with_questions(record, {**waiting, **new}, now)


def answered(record: TaskRecord, answers: Mapping[str, Any], now: float) -> TaskRecord | None:
    """Take the answers to questions that wait; others are ignored. None if nothing changes."""
    waiting = questions_of(record)
    taken = {key: answer for key, answer in answers.items() if key in waiting}
    if record.is_final or not taken:
        return None
    record = attrs.evolve(record, answers=dumps({**answers_of(record), **taken}))
    return _with_questions(record, {key: waiting[key] for key in waiting if key not in taken}, now)


def kept(record: TaskRecord, key: str, value: Any) -> TaskRecord | None:
    """Keep the result of a step, which does not run again when the task does."""
    return None if record.is_final else attrs.evolve(record, kept=encode({**kept_of(record), key: value}))


def forgotten(record: TaskRecord, keys: Collection[str], now: float) -> TaskRecord | None:
    """Take questions back that no part of the work waits for any more."""
    waiting = questions_of(record)
    left = {key: waiting[key] for key in waiting if key not in keys}
    return None if record.is_final or len(left) == len(waiting) else _with_questions(record, left, now)


def _with_questions(record: TaskRecord, waiting: Mapping[str, Any], now: float) -> TaskRecord:
    record = attrs.evolve(record, questions=dumps(waiting) if waiting else None)
    return _with_status(record, "input_required" if waiting else "working", now)


def _with_status(record: TaskRecord, status: TaskStatus, now: float) -> TaskRecord:
    if record.status == status:
        return record
    # The clock of another node may be ahead: time does not go back.
    return attrs.evolve(record, status=status, updated_at=max(now, record.updated_at))


def ended(
    record: TaskRecord, status: TaskStatus, outcome: bytes | None, message: str | None, now: float
) -> TaskRecord | None:
    """End the task, once."""
    if record.is_final:
        return None
    record = attrs.evolve(record, questions=None, outcome=outcome, status_message=message, is_cancelling=False)
    return _with_status(record, status, now)


def cancelled(record: TaskRecord, now: float) -> TaskRecord | None:
    """Cancel the task at once; its work, wherever it runs, is cancelled after that."""
    return ended(record, "cancelled", None, "The client cancelled the task", now)


def described(record: TaskRecord, message: str | None) -> TaskRecord | None:
    """Set the text that describes the state. It is no change of the status."""
    return None if record.is_final or record.status_message == message else attrs.evolve(record, status_message=message)


def extended(record: TaskRecord, keep: float, now: float) -> TaskRecord | None:
    """Keep a task that still works for `keep` more seconds from now on, if that is longer."""
    ttl = now - record.created_at + keep
    if record.is_final or record.ttl is None or ttl <= record.ttl:
        return None
    return attrs.evolve(record, ttl=ttl)


def lost(record: TaskRecord, now: float, reason: str = "shutdown") -> TaskRecord | None:
    """Let a task fail whose node has stopped or died."""
    why = "The server has stopped" if reason == "shutdown" else "The node that ran the task has died"
    message = f"{why}, and the task with it"
    error = {"code": NODE_LOST, "message": message, "data": {"reason": reason}}
    return ended(record, "failed", dumps({"error": error}), message, now)


def handed_over(record: TaskRecord) -> TaskRecord | None:
    """Leave a task to any other node."""
    return taken_over(record, NO_NODE)


def taken_over(record: TaskRecord, incarnation: int) -> TaskRecord | None:
    """Give the task to a node, which runs it from its beginning, with the answers given so far.

    Its questions stay: an answer that comes before they are asked again is not lost.
    """
    return None if record.is_final else attrs.evolve(record, incarnation=incarnation, status_message=None)
