"""The names of the events that trimcp logs: dotted, in the past tense, listed once.

Each is emitted with keys; `session` and `request` (the internal serial) where there are such.
"""

from __future__ import annotations

from typing import Final

SESSION_OPENED: Final = "session.opened"
SESSION_ENDED: Final = "session.ended"
SESSION_FAILED: Final = "session.failed"
SESSION_REFUSED: Final = "session.refused"
SESSION_REOPENED: Final = "session.reopened"
SESSION_IDLE: Final = "session.idle"
SESSION_NOT_HERE: Final = "session.not_here"
STORE_FAILED: Final = "store.failed"
EVENTS_NOT_KEPT: Final = "events.not_kept"
CARETAKER_FAILED: Final = "caretaker.failed"
STREAM_DETACHED: Final = "stream.detached"
HANDSHAKE_COMPLETED: Final = "handshake.completed"

MESSAGE_REFUSED: Final = "message.refused"
MESSAGE_LOST: Final = "message.lost"
MESSAGE_IGNORED: Final = "message.ignored"
BATCH_REFUSED: Final = "batch.refused"

REQUEST_FAILED: Final = "request.failed"
REQUEST_REFUSED: Final = "request.refused"
REQUEST_DUPLICATED: Final = "request.duplicated"
REQUEST_CHALLENGED: Final = "request.challenged"
REQUEST_CANCELLED: Final = "request.cancelled"
REQUEST_OVERSTAYED: Final = "request.overstayed"
HANDLER_FAILED: Final = "handler.failed"
PROVIDER_FAILED: Final = "provider.failed"
DEFINITION_SHADOWED: Final = "definition.shadowed"

CANCEL_IGNORED: Final = "cancel.ignored"
PROGRESS_IGNORED: Final = "progress.ignored"
RESPONSE_IGNORED: Final = "response.ignored"
RESULT_UNCHECKED: Final = "result.unchecked"
LOGS_DROPPED: Final = "logs.dropped"

WRITER_BLOCKED: Final = "writer.blocked"
STREAM_LOST: Final = "stream.lost"
TOOL_LEFT_OUT: Final = "tool.left_out"
CONNECTION_LOST: Final = "connection.lost"
LISTENER_FAILED: Final = "listener.failed"
DRAIN_STARTED: Final = "drain.started"
DRAIN_FINISHED: Final = "drain.finished"

ACCEPT_FAILED: Final = "accept.failed"
LISTENER_RESTARTED: Final = "listener.restarted"
CONNECTION_FAILED: Final = "connection.failed"
STDERR_CALLBACK_FAILED: Final = "stderr_callback.failed"
SERVER_OUTLIVED: Final = "server.outlived"

APPLICATION_NOT_RUNNING: Final = "application.not_running"
LIFESPAN_FAILED: Final = "lifespan.failed"
WEBSOCKET_REFUSED: Final = "websocket.refused"

MEMBER_LOST: Final = "member.lost"
MEMBER_FAILED: Final = "member.failed"
MEMBER_LISTEN_ENDED: Final = "member.listen_ended"
CONFIGURATION_KEY_IGNORED: Final = "configuration.key_ignored"
