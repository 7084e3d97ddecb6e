"""MCP as tables and plain state: no I/O, no clock, no Trio. The actors of sessions own the state."""
