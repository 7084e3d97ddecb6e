"""How the command line ends: its exit codes, and the report of failures on stderr."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, Final

from trimcp.errors import ExchangeFailed, RequestFailed, RequestTimedOut, TrimcpError, UsageError
from trimcp.observability.cleaning import printable

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
UNREACHED: Final = 3
TIMED_OUT: Final = 4
GATE: Final = 5
INVALID: Final = 6
DIFFERENT: Final = 7
INTERRUPTED: Final = 130
TERMINATED: Final = 143

EXPLAINED: Final = """\
exit codes:
  0    success; of a server: every accepted request was answered
  1    the tool reported an error, or the request failed; of a server: something was lost
  2    wrong usage, or an address that cannot be listened on
  3    no connection could be made, or a sign-in is missing, was refused, or lacks a scope;
       of a server: a handler did not end, and was abandoned
  4    no answer came in time
  5    of bench: a gate failed, or no rate was held
  6    of bench: the run is invalid, since the load generator did not keep up
  7    of replay: the server did not do the same as when it was recorded
  130  interrupted by Ctrl-C
  143  of a client: ended by SIGTERM
"""


class Unreached(TrimcpError):
    """No connection with the server could be opened."""


def report(group: BaseException, about: str = "") -> int:
    """Print the failures to stderr, one line each; return the exit code.

    Args:
        group: the failures.
        about: the tool, the prompt or the URI of the request, for errors of the server that do not name it.
    """
    code = OK
    for exc in failures(group):
        names = isinstance(exc, RequestFailed) and about and about not in str(exc)
        problem = f"trimcp: {f'{about}: ' if names else ''}{exc}"
        for line in (problem, *(f"        {hint}" for hint in _hints(exc))):
            with contextlib.suppress(OSError, ValueError):  # a stderr that is full or closed changes no exit code
                print(printable(line), file=sys.stderr, flush=True)
        # The code of a failure goes before that of wrong usage.
        code = code_of(exc) if code in (OK, USAGE) else code
    return code


def failures(exc: BaseException) -> Iterator[BaseException]:
    """Yield the exceptions of a group one by one, or the exception itself."""
    if isinstance(exc, BaseExceptionGroup):
        for each in exc.exceptions:
            yield from failures(each)
    else:
        yield exc


def code_of(exc: BaseException) -> int:
    """Return the exit code of one exception of trimcp."""
    if isinstance(exc, UsageError):
        return USAGE
    if isinstance(exc, RequestTimedOut):
        return TIMED_OUT
    return UNREACHED if isinstance(exc, Unreached) or _is_refused(exc) else FAILED


def _is_refused(exc: BaseException) -> bool:
    """Whether a sign-in is missing, was refused, or lacks a scope: at the connection, or at a later request."""
    from trimcp.types.jsonrpc import INSUFFICIENT_SCOPE  # late: the help needs nothing of it

    if isinstance(exc, RequestFailed):
        return exc.code == INSUFFICIENT_SCOPE
    return (isinstance(exc, ExchangeFailed) and exc.status in (401, 403)) or refusal_in(exc) is not None


def refusal_in(exc: BaseException) -> TrimcpError | None:
    """Return why no token could be got, if that is why something has failed."""
    from trimcp.auth.errors import AuthorizationFailed

    at: BaseException | None = exc
    while at is not None:
        if isinstance(at, AuthorizationFailed):
            return at
        at = at.__cause__
    return None


def as_json(exc: BaseException) -> dict[str, Any]:
    """Return a failure as JSON, for scripts."""
    if not isinstance(exc, RequestFailed):
        return {"error": {"message": str(exc)}}
    error: dict[str, Any] = {"code": exc.code, "message": exc.message}
    if exc.data is not None:
        error["data"] = exc.data
    return {"error": error}


def reader_left() -> int:
    """End silently, as other programs do, after the reader of stdout has left (`| head`); return the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # discards the rest of the buffer at exit
    return FAILED


_MISSING: Final = {
    "sampling": "the server asked for a model (sampling): the command line has none",
    "elicitation": "the server asked for user input (elicitation): run this on a terminal, or give --answers FILE",
    "roots": "the server asked for roots: give --root DIR",
}


def _hints(exc: BaseException) -> Iterator[str]:
    """Yield what the error says beside its message, and a hint for each client capability that the server needed."""
    data = exc.data if isinstance(exc, RequestFailed) else None
    if isinstance(data, dict):
        problems = data.get("problems")
        shown = [data.get("uri"), *(problems if isinstance(problems, list) else ())]
        yield from (text for text in shown if isinstance(text, str) and text not in str(exc))
    required = data.get("requiredCapabilities") if isinstance(data, dict) else None
    if isinstance(required, dict):
        yield from (_MISSING[name] for name in required if name in _MISSING)
