"""The client over HTTP: a session whose messages go out by POST, and come back by many streams.

`connecting` finds out what is spoken at a URL. A `session` has an `exchange` for each request, and actors: the
`post_queue`, and, in the legacy era, the `get_stream` and the `session_recovery`; `listen_recovery` is the client's.
"""
