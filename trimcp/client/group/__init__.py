"""Many servers behind one object: a group of clients, each of them supervised on its own.

`group` is the supervisor, and the public face; a `member` is the actor that keeps one client connected, by
the policy in `restarts`, and says so in `events`. `calls` is what a group does on all of them, under names
that `naming` makes and routes by, from the `lists` that each connection has. `options` is what members are
connected with.
"""
