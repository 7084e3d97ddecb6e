"""`trimcp run --reload`: starts the server again when a file changes, and keeps the client connected over stdio.

The server runs in a process of its own. `files` says when a file has changed; over stdio, `bridge` stands between the
client and the server, and `session_record` repeats to a new server what the client has told the old one.
"""
