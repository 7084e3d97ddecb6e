"""How the command line ends: its exit codes, and what it says on stderr about what went wrong."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any, Final

from trimcp.errors import RequestFailed, RequestTimedOut, TrimcpError, UsageError

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
UNREACHED: Final = 3
TIMED_OUT: Final = 4
INTERRUPTED: Final = 130

EXPLAINED: Final = """\
exit codes:
  0    all went well; of a server: everything that was accepted was answered
  1    the tool said that it failed, or the request did; of a server: something was lost
  2    a mistake in how it was called, or an address that cannot be listened on
  3    no connection could be made; of a server: a handler would not end, and was left behind
  4    no answer came in time
  130  interrupted by Ctrl-C
"""


class Unreached(TrimcpError):
    """No session with the server could be opened."""


def told(group: BaseException) -> int:
    """Say what failed, one line each; return the exit code."""
    code = OK
    for exc in failures(group):
        print(f"trimcp: {exc}", file=sys.stderr)
        for line in _hints(exc):
            print(f"        {line}", file=sys.stderr)
        # What is not the caller's own mistake is said rather than what is.
        code = code_of(exc) if code in (OK, USAGE) else code
    return code


def failures(exc: BaseException) -> Iterator[BaseException]:
    """What is in a group, one by one, or the exception itself."""
    if isinstance(exc, BaseExceptionGroup):
        for each in exc.exceptions:
            yield from failures(each)
    else:
        yield exc


def code_of(exc: BaseException) -> int:
    """The exit code of one exception of trimcp's."""
    if isinstance(exc, UsageError):
        return USAGE
    if isinstance(exc, Unreached):
        return UNREACHED
    if isinstance(exc, RequestTimedOut):
        return TIMED_OUT
    return FAILED


def as_json(exc: BaseException) -> dict[str, Any]:
    """What failed, for scripts."""
    if not isinstance(exc, RequestFailed):
        return {"error": {"message": str(exc)}}
    said: dict[str, Any] = {"code": exc.code, "message": exc.message}
    if exc.data is not None:
        said["data"] = exc.data
    return {"error": said}


def unread() -> int:
    """Whoever read stdout is gone (`| head`): end as other programs do, without a word."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is still buffered goes nowhere at exit
    return FAILED


_MISSING: Final = {
    "sampling": "the server asked for a model, and the command line has none",
    "elicitation": "the server asked for its user: run this on a terminal, or give --answers FILE",
    "roots": "the server asked for folders to work in: give --root DIR",
}


def _hints(exc: BaseException) -> Iterator[str]:
    """What a server needed of us that was not there."""
    data = exc.data if isinstance(exc, RequestFailed) else None
    required = data.get("requiredCapabilities") if isinstance(data, dict) else None
    if isinstance(required, dict):
        yield from (_MISSING[name] for name in required if name in _MISSING)
