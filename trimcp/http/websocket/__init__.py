"""WebSocket connections, on both ends: a custom transport of trimcp."""
