"""`trimcp doctor`: checks a server against the specification, by section, in both eras.

`wire` and `http_wire` carry messages that need not be valid, `examination` runs the checks, and the modules `*_checks`
have them. No check calls a tool of the server: that could do anything.
"""
