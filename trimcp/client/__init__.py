"""The client's side: a session with a server, and typed calls on it.

`connect` opens a `Client`, which programs use; `targets` knows where to, and `negotiation` finds out which revision the
server speaks. A `run` holds the parts of a client: `requests` makes its requests, `features` has the calls of each
feature and the answers to the server, `notifications` has the queues that notices are read from, and `cache` keeps
results. `service` is the client as its session sees it. `calls` is shared by clients and groups.

`extension` is how a program declares one extension; `extension_negotiation` has those that are offered and agreed upon.
`configuration` reads files that list servers; a `group` connects many.
"""
