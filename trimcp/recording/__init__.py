"""Recordings: the messages of clients and servers in a file, compared with a server or served as one.

`trimcp record` and `trimcp replay` are made of this package, and `trimcp.testing.replay`. Nothing loads it before.
"""
