"""Telemetry of servers and clients: spans and histograms by OpenTelemetry, and bound lines of structlog.

    server.use_telemetry(trimcp.telemetry.OpenTelemetry())
    server.middleware(trimcp.telemetry.log_context)
    trimcp.connect(url, telemetry=trimcp.telemetry.OpenTelemetry())

`OpenTelemetry` needs the extra `otel`. docs/observing.md shows how to use them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trimcp.telemetry.bound_log import log_context
    from trimcp.telemetry.opentelemetry import OpenTelemetry

__all__ = ["OpenTelemetry", "log_context"]


if not TYPE_CHECKING:  # a type checker that sees the function accepts every name

    def __getattr__(name: str) -> Any:
        if name == "OpenTelemetry":
            from trimcp.telemetry.opentelemetry import OpenTelemetry

            return OpenTelemetry
        if name == "log_context":
            from trimcp.telemetry.bound_log import log_context

            return log_context
        raise AttributeError(f"module 'trimcp.telemetry' has no attribute {name!r}")
