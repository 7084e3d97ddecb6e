"""Formats the traceback of a failure for the log: the frames of the user first, bounded, and clean.

The frames of trimcp and Trio that lead to a function of the user are left out. A failure of trimcp itself keeps its
frames.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from typing import Final

from trimcp.observability.cleaning import escaped_lines

MOST: Final = 16_000
"""Characters of one traceback. Of a longer one the middle is left out."""


def format_failure(failure: BaseException) -> str:
    """Return the traceback of a failure as lines of text."""
    formatted = traceback.TracebackException.from_exception(failure)
    for each in _chain(formatted):
        _leave_out_leading(each)
    text = "".join(formatted.format()).rstrip()
    if len(text) > MOST:
        half = MOST // 2
        text = f"{text[:half]}\n… ({len(text) - MOST} characters are left out)\n{text[-half:]}"
    return escaped_lines(text)


def _chain(formatted: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    """Yield a traceback and those that its format shows with it. Their number is bounded by Python's own format."""
    pending = [formatted]
    while pending:
        each = pending.pop()
        yield each
        others = (each.__cause__, each.__context__, *(each.exceptions or ()))
        pending += [other for other in others if other is not None]


def _leave_out_leading(formatted: traceback.TracebackException) -> None:
    folders = _own_folders()
    stack = formatted.stack
    first = next((at for at, frame in enumerate(stack) if not frame.filename.startswith(folders)), 0)
    del stack[:first]


def _own_folders() -> tuple[str, ...]:
    names = (name for name in ("trimcp", "trio", "outcome") if name in sys.modules)
    files = (sys.modules[name].__file__ for name in names)
    return tuple(os.path.dirname(file) + os.sep for file in files if file is not None)
