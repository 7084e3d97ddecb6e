"""Media that carry a session: each is a `Duplex`. I/O happens here, and only here its exceptions are seen."""
