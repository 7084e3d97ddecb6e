"""HTTP below the protocol: what a request and its response are, and the two doors they come through."""
