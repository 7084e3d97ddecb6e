"""`trimcp install` and `uninstall`: the entry of a server in the configuration file of a host.

`hosts` has the places and the form of the files as data, `entry` makes an entry, the modules `*_text` edit the text of
a file, `host_file` writes it, and `trial` starts the entry as the host would.
"""
