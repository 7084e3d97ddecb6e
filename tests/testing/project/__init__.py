"""A project of a user: a server, and tests that use the kit alone."""
