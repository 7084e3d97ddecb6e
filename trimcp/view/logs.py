"""The logs: the last lines that trimcp and the program have logged, each with its request where it has one.

They are collected while a page looks, from three sources: trimcp's own log, from `debug` on; the root logger of
`logging`, at the levels that the program has set; and the log messages that handlers send to clients. A line of the
program has its request where `trimcp.telemetry.log_context` has bound it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

import attrs
from structlog.contextvars import get_contextvars

from trimcp.codec.jsontext import dumps, loads
from trimcp.observability import log
from trimcp.observability.cleaning import loggable
from trimcp.observability.tracebacks import format_failure
from trimcp.view.masking import MASKED, Mask, is_secret_member, mask_text
from trimcp.view.ring import Ring

MOST_LINES: Final = 2000
"""Lines that are kept. Beyond it the oldest are removed."""
MOST_BYTES: Final = 4 * 2**20
"""Characters of all lines. Beyond it the oldest are removed."""
LONGEST: Final = 4000
"""Characters of a line that are kept."""
LEVELS: Final = {10: "debug", 20: "info", 30: "warning", 40: "error", 50: "critical"}
_BOUND: Final = ("session", "request")


@attrs.frozen(kw_only=True, eq=False)
class Line:
    """One line of a log."""

    at: float
    """Seconds since 1970."""
    source: str
    """`trimcp`, `program`, or `client` for a message that a handler has sent."""
    level: str
    logger: str | None
    text: str
    """Of the program or of the message, or the event of trimcp."""
    keys: Mapping[str, Any]
    session: int | None
    request: int | None
    """The serial of its request."""

    def shown(self, number: int) -> dict[str, Any]:
        """Return the line for the page, masked, with its number."""
        shown = attrs.asdict(self, filter=attrs.filters.exclude("keys"))
        shown["number"] = number
        shown["text"] = mask_text(self.text)
        shown["logger"] = None if self.logger is None else mask_text(self.logger)
        shown["keys"] = {key: _masked(key, value) for key, value in self.keys.items()}
        return shown


def _masked(key: str, value: Any) -> Any:
    if is_secret_member(key, value) and key not in _BOUND:
        return MASKED
    return mask_text(value) if isinstance(value, str) else value


class Logs(logging.Handler):
    """Collects lines while it is open. Lines come from any thread."""

    def __init__(self) -> None:
        super().__init__()
        self.ring: Ring[Line] = Ring(MOST_LINES, MOST_BYTES)
        self._adding = threading.Lock()

    def open(self) -> None:
        """Collect lines from now on."""
        log.capture_into(self)
        logging.getLogger().addHandler(self)

    def stop(self) -> None:
        """Collect no more. Idempotent."""
        log.stop_capture(self)
        logging.getLogger().removeHandler(self)

    # --- the three sources ------------------------------------------------------------

    def append(self, line: log.LogLine) -> None:
        """See `LineSink`."""
        keys = dict(line.keys)
        failure = keys.pop("exc_info", None)
        if isinstance(failure, BaseException):
            keys["exception"] = format_failure(failure)
        self._add("trimcp", line.level, None, line.event, {**_bound(), **keys})

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`. A record whose text cannot be made is left out."""
        try:
            text = record.getMessage()
            if record.exc_info and record.exc_info[1] is not None:
                text = f"{text}\n{format_failure(record.exc_info[1])}"
        except Exception:  # noqa: BLE001 - arguments of the program: other handlers of the record tell of them
            return
        level = LEVELS.get(record.levelno, record.levelname.lower())
        self._add("program", level, record.name, text, _bound())

    def posted(self, session: int, request: int, frame: bytes) -> None:
        """Take a message that a handler sends before its answer, if it is a log message."""
        if b'"notifications/message"' not in frame:
            return
        bound = {"session": session, "request": request}
        if len(frame) > LONGEST:
            self._add("client", "info", None, f"A log message of {len(frame)} bytes, too long to be kept", bound)
            return
        params: dict[str, Any] = loads(frame)["params"]
        data = Mask().masked(params.get("data"))  # before it becomes text, which has no names
        text = data if isinstance(data, str) else dumps(data).decode()
        self._add("client", str(params.get("level")), params.get("logger"), text, bound)

    def _add(self, source: str, level: str, logger: str | None, text: str, keys: Mapping[str, Any]) -> None:
        shown = {key: loggable(value) for key, value in keys.items()}
        session, request = (value if isinstance(value := shown.pop(key, None), int) else None for key in _BOUND)
        line = Line(
            at=round(time.time(), 3),
            source=source,
            level=level,
            logger=logger,
            text=text if len(text) <= LONGEST else f"{text[:LONGEST]}…",
            keys=shown,
            session=session,
            request=request,
        )
        with self._adding:
            self.ring.add(line, len(line.text) + sum(len(str(value)) for value in shown.values()))


def _bound() -> dict[str, Any]:
    """Return what `log_context` has bound in this task or thread."""
    return get_contextvars()
