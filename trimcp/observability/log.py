"""The logger of trimcp: structlog, on stderr, imported when there is first something to say.

structlog takes half as long to import as Trio does, and most processes never log anything
of ours, so the level is compared here before structlog is touched. Where the program has
configured structlog, its configuration rules; otherwise lines go to stderr, since stdout may
be the protocol's own stream.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any, Final

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "off": 100}

_threshold = LEVELS.get(os.environ.get("TRIMCP_LOG", "").lower(), LEVELS["warning"])
_logger: Any = None
_stream: Any = None
"""The stderr that `_logger` writes to."""


def set_level(level: str) -> None:
    """Set what is logged: `debug`, `info`, `warning` (the default), `error` or `off`.

    The environment variable `TRIMCP_LOG` sets the same before the program starts.

    Raises:
        ValueError: the level is none of these.
    """
    global _threshold
    if level not in LEVELS:
        raise ValueError(f"no log level {level!r}; there are {', '.join(LEVELS)}")
    _threshold = LEVELS[level]


def _emit(level: str, event: str, keys: dict[str, Any]) -> None:
    import structlog

    logger = structlog.get_logger("trimcp") if structlog.is_configured() else _own_logger()
    # Nobody may read the log any more: a pipe that broke, a stream that was closed. That ends nothing.
    with contextlib.suppress(OSError, ValueError):
        getattr(logger, level)(event, **keys)


def _own_logger() -> Any:
    """A logger on what stderr is now, which programs and tests replace."""
    global _logger, _stream
    import structlog

    if _logger is None or _stream is not sys.stderr:
        _stream = sys.stderr
        _logger = structlog.wrap_logger(
            # Without a stderr, structlog would write to stdout.
            structlog.ReturnLogger() if _stream is None else structlog.WriteLogger(_stream),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso"),
                structlog.processors.format_exc_info,
                structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
            ],
            wrapper_class=structlog.BoundLogger,
            cache_logger_on_first_use=False,
        )
    return _logger


def debugging() -> bool:
    """Whether `debug` is on: ask first where the keys cost something to compute."""
    return _threshold <= 10


def debug(event: str, **keys: Any) -> None:
    """Log what only somebody who debugs the protocol wants to see."""
    if _threshold <= 10:
        _emit("debug", event, keys)


def info(event: str, **keys: Any) -> None:
    """Log what an operator may want to see."""
    if _threshold <= 20:
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


def is_worth_saying(count: int) -> bool:
    """Whether the `count`th event of a kind that a peer may set off without end is logged: the first ten, then
    every thousandth."""
    return count <= 10 or count % 1000 == 0
