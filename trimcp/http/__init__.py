"""HTTP on both ends: the HTTP/1.1 engine, ASGI, the endpoint of a server, and the requests of a client."""
