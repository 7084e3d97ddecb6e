"""`trimcp dev`: a server under development, served again after each change of a file, with the view beside it.

`command` has the options. `file_server` serves the file by one process after the other. `desk` serves the page, which
stays where the processes come and go.
"""
