"""One live peer: a supervisor nursery and its actors.

    Duplex ─ bytes → Reader → Dispatcher → Router → worker of a handler actor → Writer → bytes ─ Duplex

* `session` is the supervisor; `peer` is the part of it that requests and features see.
* `reader` makes messages of frames, and `dispatcher` hands each to its owner.
* `router` decides which request runs when, with `acceptance` (era and route), `register` (the requests and places of
  one peer), `admission` (the places of the server) and `refusals`.
* `request` is a request in flight, and `reply_stream` where its messages leave; `handler_actors` run it.
* `writer` owns the stream of a duplex connection; `outbox` is its mailbox.
* `call` and `pending_calls` are the requests of this side.
* `cancellation_manager` and `progress_tracker` work in both directions.
* `job` is work that may outlive its request.
"""
