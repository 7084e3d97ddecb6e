"""Stores: what a server keeps beside its live objects, behind interfaces with async methods.

`event_store`, `session_store`, `subscription_store` and `secret_store` are the interfaces; `memory` has all of them
in this process. Each call of a store is atomic. `contained` calls stores of users: with a deadline, and so that a
store that fails costs no more than what it keeps.
"""
