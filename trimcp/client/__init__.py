"""The client's side: a session with a server, and typed calls on it.

`connect` opens a `Client`; `targets` knows where to; `negotiation` finds out which era the
server speaks. `service` is the client as its session sees it. `results` is what calls return.
`tools`, `resources` and `prompts` are the calls of a `Client`, written against `requester`.
`subscription_calls` reads what a server tells: `notices` are the queues, the `notification_hub` fills them, and
`subscriptions` asks the server for them, by `listen`, or in the legacy era by `leases`. `notification_handlers` is
the actor that calls functions of programs. `cache` keeps results for as long as the server allows. `extension` is
what a program declares of an extension, `extensions` are all of a client.
"""
