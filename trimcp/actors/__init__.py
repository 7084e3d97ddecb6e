"""The actor kernel on Trio. It knows nothing of MCP.

An actor owns its state and lives in the nursery of its supervisor. It is spoken to by messages, which go
through its mailbox, a bounded memory channel. `docs/design/actors.md` explains the parts and their costs.
"""
