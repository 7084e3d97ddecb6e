"""A cluster under stress: nodes on a shared store behind a balancer, clients that count, kills and freezes.

    python -m benchmarks.cluster --nodes 3 --sessions 1000 --store valkey --seconds 120

Nodes are processes of `trimcp run`; the balancer passes each request to the next node, without stickiness. Clients
with sessions hold GET streams and subscriptions, and call a tool whose effect is counted; others use 2026-07-28. Some
of both begin tasks, follow them at whatever node, and cancel some.
Meanwhile nodes are killed, frozen and rolled, and a Valkey that was started here is restarted. At the end these
invariants are checked: no session was answered with 404; each call was answered once, or told that its node was lost,
or refused; no effect happened twice, or was lost after its answer; every client is told of a change; each task ends,
its end and its outcome stay as they were told, and it runs again only where it may (see `task_ledger`); no key of
Valkey lives for ever, but four that do not grow.
"""
