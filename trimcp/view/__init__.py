"""The view into a running server: its sessions, requests, tools, messages and actors, in a browser or a terminal.

`trimcp.server` loads this package by name. Nothing here runs, and nothing is recorded, before a view is served.
"""
