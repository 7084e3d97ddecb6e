"""The actor kernel on Trio. It knows nothing of MCP.

An actor owns its state, runs in its supervisor's nursery and is spoken to through functions
that never wait. `Doorbell` wakes one actor, `Crew` runs work for many. `trio.lowlevel` is
used here, and in transports, and nowhere else.
"""
