"""The HTTP endpoint: one URL on which a client of any revision is served.

It stands between the doors (`trimcp.transports.http`), which know HTTP and nothing of MCP, and the
sessions, which know MCP and nothing of HTTP.
"""
