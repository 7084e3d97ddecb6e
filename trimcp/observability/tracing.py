"""Trace context: what a request carries so that traces go on at the other end (W3C Trace Context; basic/index of
2026-07-28, "OpenTelemetry trace context").

Only where the program uses OpenTelemetry; it is never imported from here for its own sake.
"""

from __future__ import annotations

import sys
from typing import Final

KEYS: Final = ("traceparent", "tracestate", "baggage")
"""As they stand in `_meta`, and as header fields."""


def trace_context() -> dict[str, str]:
    """The context of the span that is active, by key; empty where there is none."""
    if "opentelemetry" not in sys.modules:
        return {}
    from opentelemetry.propagate import inject

    carrier: dict[str, str] = {}
    inject(carrier)
    return {key: carrier[key] for key in KEYS if key in carrier}
