"""The logger of trimcp: lines on stderr, or events for structlog where the program has configured it.

It never waits and never raises. Peers cause most of its lines, so every value is cut and cleaned, and warnings and
errors are throttled by their event; the next line of an event says how many were suppressed. Nothing is imported for
a line: the first one may be that the process has no descriptors left.
"""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Protocol

import attrs

from trimcp.observability.cleaning import loggable
from trimcp.observability.stderr import is_terminal, write_line
from trimcp.observability.tracebacks import format_failure
from trimcp.values import FrozenValue

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "off": 100}

BURST: Final = 10
"""Lines of one event that are written in a row; then as many as `RATE`."""
RATE: Final = 1.0
"""Lines of one event in a second."""

_threshold = LEVELS.get(os.environ.get("TRIMCP_LOG", "").lower(), LEVELS["warning"])
informs: bool = _threshold <= 20
"""Whether `info` is logged. An attribute, since it is looked at for each request."""


def set_level(level: str) -> None:
    """Set what is logged: `debug`, `info`, `warning` (the default), `error` or `off`.

    The environment variable `TRIMCP_LOG` sets the same before the program starts.

    Raises:
        ValueError: the level is none of these.
    """
    global _threshold, informs
    if level not in LEVELS:
        raise ValueError(f"Invalid log level {level!r}: use one of {', '.join(LEVELS)}")
    _threshold = LEVELS[level]
    informs = _threshold <= 20


class _Throttle:
    """Counts the lines of one event that may be written, and those that were not."""

    __slots__ = ("at", "left", "suppressed")

    def __init__(self) -> None:
        self.at = time.monotonic()
        self.left = float(BURST)
        self.suppressed = 0

    def allows(self) -> bool:
        now = time.monotonic()
        self.left = min(BURST, self.left + (now - self.at) * RATE)
        self.at = now
        if self.left < 1:
            self.suppressed += 1
            return False
        self.left -= 1
        return True


_throttles: Final[dict[str, _Throttle]] = {}
"""By event. Events are names in the code, so they are few."""


@attrs.frozen(eq=False, repr=False)
class LogLine(FrozenValue):
    """One line of the log, with its keys as they were given."""

    level: str
    event: str
    keys: Mapping[str, Any]


class LineSink(Protocol):
    """Takes every line of the log. It is called in any thread, and must not wait, raise or log."""

    def append(self, line: LogLine, /) -> None:
        """Take a line."""
        ...


_captures: Final[list[LineSink]] = []
_written = 0
"""The least level that is written while lines are captured: all are made then."""


@contextmanager
def captured(keep: int = 10_000) -> Iterator[deque[LogLine]]:
    """Collect every line of the process, from `debug` on, for as long as the context lasts.

    What is written stays as it is.

    Args:
        keep: how many lines are kept, the newest.
    """
    lines: deque[LogLine] = deque(maxlen=keep)
    capture_into(lines)
    try:
        yield lines
    finally:
        stop_capture(lines)


def capture_into(sink: LineSink) -> None:
    """Give a sink every line of the process from now on, from `debug` on. What is written stays as it is."""
    global _threshold, _written
    if not _captures:
        _threshold, _written = LEVELS["debug"], _threshold
    _captures.append(sink)


def stop_capture(sink: LineSink) -> None:
    """Give it no more. Idempotent."""
    global _threshold
    was_capturing = bool(_captures)
    _captures[:] = [each for each in _captures if each is not sink]
    if was_capturing and not _captures:
        _threshold = _written


def _emit(level: str, event: str, keys: dict[str, Any]) -> None:
    for sink in _captures:
        sink.append(LogLine(level, event, dict(keys)))
    if _captures and LEVELS[level] < _written:
        return
    if LEVELS[level] >= LEVELS["warning"]:
        throttle = _throttles.get(event)
        if throttle is None:
            throttle = _throttles[event] = _Throttle()
        if not throttle.allows():
            return
        if throttle.suppressed:
            keys["suppressed"], throttle.suppressed = throttle.suppressed, 0
    try:
        failure: BaseException | None = keys.pop("exc_info", None)
        clean = {key: loggable(value) for key, value in keys.items()}
        structlog: Any = sys.modules.get("structlog")  # a program that has configured it has imported it
        if structlog is None or not structlog.is_configured():
            write_line(_line(level, event, clean, failure))
            return
        if failure is not None:
            clean["exception"] = format_failure(failure)
        getattr(structlog.get_logger("trimcp"), level)(event, **clean)
    except Exception:  # noqa: BLE001 - of a processor of the program, or of a value's repr: a line is lost, and no more
        return


def _line(level: str, event: str, keys: Mapping[str, Any], failure: BaseException | None) -> str:
    now = time.time()
    stamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1e6):06d}Z"
    words = [f"timestamp={stamp} level={level} event={event}"]
    words += [f"{key}={_quoted(value)}" for key, value in keys.items()]
    if failure is None:
        return " ".join(words)
    text = format_failure(failure)
    if is_terminal():
        return " ".join(words) + "\n    " + text.replace("\n", "\n    ")
    return " ".join([*words, f"exception={_quoted(text)}"])


def _quoted(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    if not text or any(character in text for character in ' ="\n\t'):
        text = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
        return f'"{text}"'
    return text


def debugging() -> bool:
    """Whether `debug` is on: ask first where the keys cost something to compute."""
    return _threshold <= 10


def debug(event: str, **keys: Any) -> None:
    """Log details of the protocol, for debugging."""
    if _threshold <= 10:
        _emit("debug", event, keys)


def info(event: str, **keys: Any) -> None:
    """Log normal events for an operator."""
    if _threshold <= 20:
        _emit("info", event, keys)


def access(event: str, **keys: Any) -> None:
    """Log a line of an access log, which has an option of its own: at every level but `off`."""
    if _threshold <= 40:
        _emit("info", event, keys)


def warning(event: str, **keys: Any) -> None:
    """Log what went wrong at the peer, or was given up."""
    if _threshold <= 30:
        _emit("warning", event, keys)


def error(event: str, *, exc_info: BaseException | None = None, **keys: Any) -> None:
    """Log what went wrong here; `exc_info` adds the traceback, which no peer ever sees."""
    if _threshold <= 40:
        if exc_info is not None:
            keys["exc_info"] = exc_info
        _emit("error", event, keys)
