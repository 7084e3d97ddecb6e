"""Tasks as the side sees them that asked for them: a handle, and the poller behind it.

A client asks servers for tasks (`trimcp.client.tasks`); in 2025-11-25 a server asks clients as well
(`trimcp.server.context.client_tasks`).
"""
