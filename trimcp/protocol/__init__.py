"""MCP as tables and plain state: no I/O, no clock, no Trio. The session's actors own what is here."""
