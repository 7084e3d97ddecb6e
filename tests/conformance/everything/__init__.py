"""The parts of the server that has everything the official conformance suite asks for; see `everything_server`."""
