"""The HTTP endpoint of a server: one URL that serves clients of every revision."""
