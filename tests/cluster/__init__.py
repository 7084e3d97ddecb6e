"""One server on several nodes, in one process: what clients see, and what becomes of the store."""
