"""Many servers behind one object: a group of clients, each of them supervised on its own.

`group` is the public face, and opens the supervisor; `membership` is the group's actor, which lets members in and
out and publishes what becomes of them as `events`. A `member` is what programs hold; its `member_actor` keeps one
client connected, by the policy in `restarts`, and says how it stands in a `member_status`. `calls` is what a group
does on all of them, under names that `naming` makes and routes by, from the `lists` that each connection has.
`options` is what members are connected with.
"""
