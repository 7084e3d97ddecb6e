"""One live peer: a supervisor nursery and its actors.

    Duplex ─ bytes → Reader → Router → request task → Writer → bytes ─ Duplex

`session` is the supervisor. `reader` turns frames into messages and takes each to its owner;
`router` decides which request runs when; `request` is one request in flight; `writer` owns the
way out. `calls` are our own requests to the peer. `cancellation_manager` and `progress_tracker`
work in both directions. `admission` is shared by all sessions of a server.
"""
