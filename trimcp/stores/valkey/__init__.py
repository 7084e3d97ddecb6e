"""The store in Valkey: for any number of processes on any number of machines.

`address` reads URLs, `connection` calls the server; each other module has some parts of the store, as scripts. Keys
have the hash of an id between braces, so that all keys of one session or task are in one slot of a cluster.
"""
