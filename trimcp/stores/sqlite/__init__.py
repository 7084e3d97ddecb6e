"""The store in an SQLite file: for one process that restarts, and for several on one machine.

`database` owns the file; each other module has some parts of the store, as SQL.
"""
