"""The HTTP/1.1 engine of both ends: parsers, connections, output, the pool and TLS of clients, the built-in server."""
