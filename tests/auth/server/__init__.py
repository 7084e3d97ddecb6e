"""Resource servers and the development authorization server."""
