"""Tasks, for a client: requests whose results are fetched later.

In 2025-11-25 the client asks for a task (`core_requests`); in 2026-07-28 the server decides (`extension_requests`).
"""
