"""Several processes that serve one address: `trimcp run --workers N`.

The supervisor process (`supervisor`) starts the workers, relays the messages of their bus (`hub`), and replaces workers
that die. A `link` is the connection between the two. Each worker is a node of its own, on a store that all share.
"""
