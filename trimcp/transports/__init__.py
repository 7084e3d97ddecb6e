"""The transports that carry a session, each a `Duplex`. They turn the errors of the system into those of trimcp."""
