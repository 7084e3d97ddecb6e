"""Observability: events for logs, counters and timings, and trace context."""
