"""Many servers behind one object: a group of clients, each supervised on its own.

Programs use a `group`, and hold a `member` for each server. `membership` is the group's actor: it lets members join and
leave, and publishes their `events`. A `member_actor` keeps one client connected, by the policy in `restarts`. `lists`
are read of each member and merged, under names that `naming` makes. `options` are those of the connections.
"""
