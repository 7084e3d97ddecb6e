"""Trace context: the fields of a request by which a trace continues at the other end.

W3C Trace Context; basic/index of 2026-07-28, "OpenTelemetry trace context". Used only where the program itself imports
OpenTelemetry.
"""

from __future__ import annotations

import sys
from typing import Final

KEYS: Final = ("traceparent", "tracestate", "baggage")
"""The names of the fields, in `_meta` and as header fields."""


def trace_context() -> dict[str, str]:
    """Return the context of the active span, by key; empty where there is none."""
    if "opentelemetry" not in sys.modules:
        return {}
    from opentelemetry.propagate import inject

    carrier: dict[str, str] = {}
    inject(carrier)
    return {key: carrier[key] for key in KEYS if key in carrier}
